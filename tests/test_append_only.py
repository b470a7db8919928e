"""Movements and changes of the catalogue only grow, whoever asks."""

import os
import subprocess
import sys

import psycopg
import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from catalog.models import ProductChange
from stock.models import Movement
from stock.sealing import seal_all
from tests import databases
from tests.environment import OWNER_URL
from tests.journal import accept, history, incoherences, line
from tests.make import apply_all, receive

pytestmark = pytest.mark.django_db

KEYS = {
    "stock_movement": "seq",
    "catalog_productchange": "version",
    "accounts_auditentry": "id",
    "accounts_auditseal": "first",
    "stock_ledgerseal": "first_seq",
}
TABLES = list(KEYS)
SAID = {"sqlite": "{} is append-only", "postgresql": "permission denied for table {}"}


@pytest.fixture
def rows(lahore, tea):
    receive(lahore, "TEA", 10)
    seal_all({"test": bytes(32)})
    return Movement.objects.count(), ProductChange.objects.count()


def refuse(table, statement):
    said = SAID[connection.vendor].format(table)
    with (
        pytest.raises(DatabaseError, match=said),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


@pytest.mark.parametrize("table", TABLES)
def test_rows_cannot_be_changed_or_deleted(rows, table):
    key = KEYS[table]
    for statement in (
        f"UPDATE {table} SET {key} = {key} + 1",
        f"UPDATE {table} SET {key} = {key}",
        f"DELETE FROM {table}",
        f"DELETE FROM {table} WHERE {key} = (SELECT min({key}) FROM {table})",
    ):
        refuse(table, statement)
    assert (Movement.objects.count(), ProductChange.objects.count()) == rows


@pytest.mark.sqlite
@pytest.mark.parametrize("table", TABLES)
def test_nor_replaced_by_an_insert(rows, table):
    """REPLACE deletes the row in its way, and by default SQLite calls no trigger for that."""
    with connection.cursor() as cursor:
        columns = [row[1] for row in cursor.execute(f"PRAGMA table_info({table})").fetchall()]
        before = cursor.execute(f"SELECT * FROM {table}").fetchall()
    another = ", ".join("'2001-01-01'" if c.endswith("ed_at") else c for c in columns)
    refuse(table, f"INSERT OR REPLACE INTO {table} SELECT {another} FROM {table}")
    refuse(table, f"REPLACE INTO {table} SELECT {another} FROM {table}")
    with connection.cursor() as cursor:
        assert cursor.execute(f"SELECT * FROM {table}").fetchall() == before


def test_nor_through_the_models(rows):
    for work in (
        lambda: Movement.objects.update(quantity=1),
        lambda: Movement.objects.all().delete(),
        lambda: ProductChange.objects.update(key="OTHER"),
        lambda: ProductChange.objects.all().delete(),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            work()
    assert (Movement.objects.count(), ProductChange.objects.count()) == rows


@pytest.mark.postgresql
@pytest.mark.parametrize("table", TABLES)
def test_tables_cannot_be_truncated_or_dropped_or_opened_again(rows, table):
    refuse(table, f"TRUNCATE {table}")
    for statement, said in (
        (f"DROP TABLE {table}", "must be owner"),
        (f"ALTER TABLE {table} DISABLE TRIGGER ALL", "must be owner"),
    ):
        with (
            pytest.raises(DatabaseError, match=said),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
    with connection.cursor() as cursor:  # PostgreSQL only warns that nothing was granted
        cursor.execute(f"GRANT UPDATE ON {table} TO CURRENT_USER")
    refuse(table, f"DELETE FROM {table}")


@pytest.mark.postgresql
def test_application_is_an_ordinary_role_that_owns_nothing():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolsuper, rolcreatedb, rolcreaterole, rolbypassrls, rolreplication "
            "FROM pg_roles WHERE rolname = current_user"
        )
        assert cursor.fetchone() == (False,) * 5
        cursor.execute(
            "SELECT count(*) FROM pg_class JOIN pg_roles AS r ON r.oid = relowner "
            "WHERE r.rolname = current_user AND relnamespace = 'public'::regnamespace"
        )
        assert cursor.fetchone() == (0,)
        cursor.execute(
            "SELECT count(*) FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.member "
            "WHERE r.rolname = current_user"
        )
        assert cursor.fetchone() == (0,)


@pytest.mark.postgresql
def test_rights_given_by_mistake_are_taken_back_by_migrate(rows):
    role = connection.settings_dict["USER"]
    with psycopg.connect(OWNER_URL, autocommit=True) as owner:
        for table in TABLES:
            owner.execute(f'GRANT UPDATE, DELETE, TRUNCATE ON {table} TO "{role}"')
    databases.migrate()
    for table in TABLES:
        refuse(table, f"DELETE FROM {table}")
        refuse(table, f"TRUNCATE {table}")


@pytest.mark.postgresql
def test_granting_never_opens_them_not_even_for_a_moment(rows):
    """Between a GRANT and its REVOKE a live system would be open; so it is never granted."""
    role = connection.settings_dict["USER"]
    code = (
        "from inventory_project.append_only import grant_to_application as grant; "
        "grant(using='default')"
    )
    subprocess.run(
        [sys.executable, "-c", f"import django; django.setup(); {code}"],
        cwd=databases.CHECKOUT, check=True,
        env=os.environ | {"DATABASE_URL": OWNER_URL, "APP_DATABASE_ROLE": role,
                          "DJANGO_SETTINGS_MODULE": "inventory_project.settings"},
    )  # fmt: skip
    for table in TABLES:
        refuse(table, f"DELETE FROM {table}")
    may = {verb: tables_with(verb) for verb in ("SELECT", "INSERT", "UPDATE", "DELETE")}
    assert may["SELECT"] == may["INSERT"] > set(TABLES)
    assert may["UPDATE"] == may["DELETE"] == may["SELECT"] - set(TABLES)


def tables_with(verb):
    """The tables on which the application has this right."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
            f"AND relkind = 'r' AND has_table_privilege(oid, '{verb}')"
        )
        return {name for (name,) in cursor.fetchall()}


@pytest.mark.sqlite
def test_triggers_come_back_with_migrate(rows):
    """Django rebuilds a table to change it, and the triggers go with the old one in silence."""
    with connection.cursor() as cursor:
        names = "SELECT name FROM sqlite_master WHERE type = 'trigger' ORDER BY name"
        before = cursor.execute(names).fetchall()
        assert len(before) == 2 * len(TABLES)
        for (name,) in before:
            cursor.execute(f"DROP TRIGGER {name}")
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        assert cursor.execute(names).fetchall() == before
    for table in TABLES:
        refuse(table, f"DELETE FROM {table}")


def test_what_is_written_stays_and_more_can_be_added(rows, lahore):
    accept(lahore, line(units=4))
    apply_all()
    assert history(lahore) == [(1, "receipt", "TEA", 10, 10), (2, "sale", "TEA", -4, 6)]
    assert incoherences() == []
