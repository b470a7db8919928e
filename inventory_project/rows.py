"""Python rows as a table of one statement, in the types each database stores.

PostgreSQL gets them as one JSON parameter: a placeholder a value costs its driver ten times what
the insert itself costs. SQLite binds placeholders in C and has no bytes in JSON.
"""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from django.db.backends.base.base import BaseDatabaseWrapper

_STORED_AS_THEY_ARE = frozenset((str, int, bool, bytes, type(None)))


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
