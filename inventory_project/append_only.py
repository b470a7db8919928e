"""Tables that only grow, and who may touch what.

PostgreSQL: the application role has no UPDATE, DELETE or TRUNCATE on them. SQLite has no roles,
so triggers refuse; they are made again after every migrate because Django's table rebuilds drop
them in silence.
"""

from typing import Any

from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper


def grant_to_application(*, using: str, **_: Any) -> None:
    """Let the application role read and write what the owner's migrations made (PostgreSQL)."""
    connection = connections[using]
    role = settings.APP_DATABASE_ROLE
    if connection.vendor != "postgresql" or not role:
        return
    name = connection.ops.quote_name(role)
    with connection.cursor() as cursor:
        cursor.execute(f"GRANT USAGE ON SCHEMA public TO {name}")
        cursor.execute(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}"
        )
        cursor.execute(f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {name}")


def make_append_only(*tables: str, using: str) -> None:
    """Refuse UPDATE and DELETE (and TRUNCATE) on these tables from the application."""
    connection = connections[using]
    existing = set(connection.introspection.table_names())
    for table in tables:
        if table in existing:
            _REFUSE[connection.vendor](connection, table)


def _revoke(connection: BaseDatabaseWrapper, table: str) -> None:
    # Without a role of its own the application owns the table; an owner can take the right from
    # itself, which stops every mistake though not malice.
    role = connection.ops.quote_name(settings.APP_DATABASE_ROLE or connection.settings_dict["USER"])
    with connection.cursor() as cursor:
        cursor.execute(
            f"REVOKE UPDATE, DELETE, TRUNCATE ON {connection.ops.quote_name(table)} FROM {role}"
        )


def _make_triggers(connection: BaseDatabaseWrapper, table: str) -> None:
    with connection.cursor() as cursor:
        for verb in ("UPDATE", "DELETE"):
            cursor.execute(
                f"CREATE TRIGGER IF NOT EXISTS {table}_refuses_{verb.lower()} "
                f"BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


_REFUSE = {"postgresql": _revoke, "sqlite": _make_triggers}
