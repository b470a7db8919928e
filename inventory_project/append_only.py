"""Tables that only grow, and who may touch what. Apps name theirs with `keep_append_only`.

PostgreSQL: the application role has no UPDATE, DELETE or TRUNCATE on them. SQLite has no roles,
so triggers refuse; they are made again after every migrate because Django's table rebuilds drop
them in silence.
"""

from typing import Any

from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

_TABLES: set[str] = set()


def keep_append_only(*tables: str) -> None:
    """Name tables that only grow; from the next migrate on that is kept. For `ready()`."""
    _TABLES.update(tables)


def grant_to_application(*, using: str, **_: Any) -> None:
    """Let the application role read and write what the owner's migrations made (PostgreSQL)."""
    connection = connections[using]
    role = settings.APP_DATABASE_ROLE
    if connection.vendor != "postgresql" or not role:
        return
    name = connection.ops.quote_name(role)
    with connection.cursor() as cursor:
        cursor.execute(f"GRANT USAGE ON SCHEMA public TO {name}")
        cursor.execute(f"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO {name}")
        # Never granted where they would be taken away again: a live system may migrate.
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for table in sorted({row[0] for row in cursor.fetchall()} - _TABLES):
            cursor.execute(
                f"GRANT UPDATE, DELETE ON public.{connection.ops.quote_name(table)} TO {name}"
            )
        cursor.execute(f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {name}")


def make_append_only(*, using: str, **_: Any) -> None:
    """Refuse UPDATE and DELETE (and TRUNCATE) on append-only tables from the application."""
    connection = connections[using]
    for table in sorted(_TABLES.intersection(connection.introspection.table_names())):
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
