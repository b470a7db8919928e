"""Python rows as a table of one statement, in the types each database stores.

PostgreSQL gets them as one JSON parameter: a placeholder a value costs its driver ten times what
the insert itself costs. SQLite binds placeholders in C and has no bytes in JSON.
"""

import contextlib
import datetime as dt
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson
import psycopg
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

# A plan made for a table that was empty goes through all of it until PostgreSQL measures the table,
# which it does when it comes to it.
PLANNED_AGAIN_S = 1.0
_STORED_AS_THEY_ARE = frozenset((str, int, bool, bytes, type(None)))


def run_planned(connection: BaseDatabaseWrapper, sql: str, params: Sequence[Any]) -> list[Any]:
    """Run a statement that every request repeats; returns its rows.

    PostgreSQL plans it once a second (DATABASE_PREPARES), which took most of its time, and one
    cursor a session runs them all, where Django's would take as long as the statement. Not for a
    statement that meets a thousand rows at once and then one: its plan is for any number of them.
    """
    watched = connection.queries_logged or connection.execute_wrappers
    if connection.vendor != "postgresql" or watched:
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            return list(cursor.fetchall())
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    with connection.wrap_database_errors:
        _forget_old_plans(connection.connection)
        planned = _cursor_of(connection.connection)
        planned.execute(sql, params, prepare=True)
        return planned.fetchall()


def commit_planned(
    connection: BaseDatabaseWrapper, *statements: tuple[str, Sequence[Any]]
) -> list[list[Any]]:
    """Run statements that every request repeats in one transaction, and commit; returns the rows of
    each. Raises RuntimeError within a transaction, whose owner could still roll it back.

    PostgreSQL gets all of them in one journey and commits at its end, where BEGIN, each statement
    and COMMIT would be one each; every statement still sees what was committed before it began.
    """
    watched = connection.queries_logged or connection.execute_wrappers
    if connection.vendor != "postgresql" or watched or connection.in_atomic_block:
        with transaction.atomic(using=connection.alias, durable=True):
            return [run_planned(connection, sql, params) for sql, params in statements]
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    session: Any = connection.connection
    with connection.wrap_database_errors, session.pipeline():
        _forget_old_plans(session)
        # The session's own would write the values into the text, and each would be planned anew.
        planned = [psycopg.Cursor(session) for _ in statements]
        try:
            for cursor, (sql, params) in zip(planned, statements, strict=True):
                cursor.execute(sql, params, prepare=True)
        except BaseException:
            _spoil(session)
            raise
    return [cursor.fetchall() for cursor in planned]


def _forget_old_plans(session: Any) -> None:
    now = time.monotonic()
    if now >= getattr(session, "plans_end_at", 0.0):
        session.plans_end_at = now + PLANNED_AGAIN_S
        psycopg.Cursor(session).execute("DISCARD PLANS")


def _spoil(session: Any) -> None:
    """Have the database take back what a pipeline has sent: its end would commit it, also where the
    driver refused the next statement and so the database never saw an error."""
    with contextlib.suppress(psycopg.Error):  # it may have failed, or be lost, already
        session.execute("SELECT 1 / 0")


def _cursor_of(session: Any) -> psycopg.Cursor[Any]:
    cursor: psycopg.Cursor[Any] | None = getattr(session, "planned_cursor", None)
    if cursor is None:
        cursor = session.planned_cursor = psycopg.Cursor(session)
    return cursor


def be_among(connection: BaseDatabaseWrapper, values: Collection[Any]) -> tuple[str, list[Any]]:
    """The words behind a column that has to be one of these values, and their parameters."""
    if len(values) == 1:
        return "= %s", list(values)
    if connection.vendor == "postgresql":
        return "= ANY(%s)", [list(values)]  # one text, however many
    return f"IN ({', '.join(['%s'] * len(values))})", list(values)


def make_table(
    connection: BaseDatabaseWrapper,
    name: str,
    types: Mapping[str, str],
    rows: Sequence[Sequence[Any]],
) -> tuple[str, list[Any]]:
    """`rows` as something to write behind FROM, called `name`, and its parameters.

    `types` gives the columns in the order of the rows' values, with their PostgreSQL types.
    """
    if connection.vendor == "postgresql":
        columns = ", ".join(
            f"CAST(row_ ->> {n} AS {kind}) AS {column}"
            for n, (column, kind) in enumerate(types.items())
        )
        table = f"(SELECT {columns} FROM jsonb_array_elements(%s) AS row_) AS {name}"
        return table, [orjson.dumps(rows, default=_write_bytes).decode()]
    columns = ", ".join(f"column{n} AS {column}" for n, column in enumerate(types, start=1))
    values = ", ".join(["(" + ", ".join(["%s"] * len(types)) + ")"] * len(rows))
    table = f"(SELECT {columns} FROM (VALUES {values})) AS {name}"
    return table, [adapt_value(connection, value) for row in rows for value in row]


def adapt_value(connection: BaseDatabaseWrapper, value: Any) -> Any:
    """A value as Django itself would store it: SQLite has no UUID and no time type."""
    if type(value) in _STORED_AS_THEY_ARE:
        return value
    if isinstance(value, uuid.UUID):
        return value if connection.features.has_native_uuid_field else value.hex
    if isinstance(value, dt.datetime):
        return connection.ops.adapt_datetimefield_value(value)
    if isinstance(value, dt.date):
        return connection.ops.adapt_datefield_value(value)
    return value


def read_uuid(value: Any) -> uuid.UUID:
    """A UUID as a raw cursor gives it."""
    return value if isinstance(value, uuid.UUID) else uuid.UUID(value)


def _write_bytes(value: Any) -> str:
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    raise TypeError(f"{type(value).__name__} has no place in a row")
