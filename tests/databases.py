"""What tests do to the database as its owner: migrate it, and empty it after a test."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg
from django.core.cache import caches
from django.core.management import call_command
from django.db import connection

from tests.environment import OWNER_URL

CHECKOUT = Path(__file__).resolve().parent.parent
# Made by migrate itself, not by tests.
KEPT_TABLES = {
    "django_migrations", "django_content_type", "auth_permission", "auth_group",
    "auth_group_permissions",
}  # fmt: skip


# Who was refused is noted, and that somebody came: nothing was changed by it.
_LEFT_OUT = {
    # What a page was asked for, and when, is in the session of who asked.
    "django_session": "WHERE 1 = 0",
    "accounts_auditentry": "WHERE action NOT IN ('access.refused', 'log_in.failed', 'log_in.done')",
}


def migrate() -> None:
    """As the manual says: on PostgreSQL the owner migrates and grants to the application."""
    if connection.vendor == "sqlite":
        call_command("migrate", verbosity=0)
        return
    role = unquote(urlsplit(os.environ["DATABASE_URL"]).username or "")
    environment = os.environ | {"DATABASE_URL": OWNER_URL, "APP_DATABASE_ROLE": role}
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=CHECKOUT, env=environment, check=True,
    )  # fmt: skip


def empty_tables() -> None:
    """Delete every row a test committed, through the owner: the application may not."""
    caches["doorbell"].clear()
    caches["default"].clear()
    tables = set(connection.introspection.table_names()) - KEPT_TABLES
    if connection.vendor == "sqlite":
        _empty_sqlite(tables)
    else:
        _empty_postgresql(tables)


def _empty_sqlite(tables: set[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA foreign_keys = OFF")
        triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        for (name,) in cursor.execute(triggers).fetchall():
            cursor.execute(f"DROP TRIGGER {name}")
        for table in tables:
            cursor.execute(f'DELETE FROM "{table}"')
        cursor.execute("PRAGMA foreign_keys = ON")
    call_command("migrate", verbosity=0)  # makes the triggers again, as an operator would


def _empty_postgresql(tables: set[str]) -> None:
    with psycopg.connect(OWNER_URL, autocommit=True) as owner:
        names = sorted(tables)
        filled = owner.execute(
            " UNION ALL ".join(
                f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM \"{name}\")" for name in names
            )
        ).fetchall()
        if filled:
            listed = ", ".join(f'"{name}"' for (name,) in filled)
            owner.execute(f"TRUNCATE {listed} RESTART IDENTITY CASCADE")


def hash_tables() -> dict[str, str]:
    """A hash of all rows, by table."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                " UNION ALL ".join(
                    f"SELECT '{name}', md5(string_agg(t::text, '\n' ORDER BY t::text)) "
                    f'FROM "{name}" t {_LEFT_OUT.get(name, "")}'
                    for name in _lasting_tables()
                )
            )
            return dict(cursor.fetchall())
        hashes = {}
        for name in _lasting_tables():
            statement = f'SELECT * FROM "{name}" {_LEFT_OUT.get(name, "")}'
            rows = sorted(map(repr, cursor.execute(statement).fetchall()))
            hashes[name] = hashlib.blake2b("\n".join(rows).encode()).hexdigest()
        return hashes


@cache
def _lasting_tables() -> list[str]:
    # stock_posting is a temporary table: on PostgreSQL it is listed while its session lasts.
    left_out = (KEPT_TABLES - {"auth_group", "auth_group_permissions"}) | {"stock_posting"}
    found = set(connection.introspection.table_names()) - left_out
    return sorted(found)


@contextmanager
def unchanged() -> Iterator[None]:
    """What happens inside must leave every row of every table as it was."""
    before = hash_tables()
    yield
    after = hash_tables()
    changed = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
    assert not changed, f"changed: {', '.join(sorted(changed))}"
