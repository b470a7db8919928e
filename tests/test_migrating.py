"""Migrations of a live chain: an index is made while a long transaction holds the table."""

import threading
import time

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection

from tests.databases import migrate
from tests.environment import OWNER_URL

pytestmark = pytest.mark.postgresql


def test_index_waits_for_a_transaction_longer_than_others_may(committed, monkeypatch):
    """Making it waits for every transaction that was there before; a till waits for none of it."""
    with psycopg.connect(OWNER_URL, autocommit=True) as owner:
        owner.execute("DROP INDEX movement_by_segment")
        owner.execute("DELETE FROM django_migrations WHERE app = 'stock' AND name >= '0004'")
        owner.execute("CREATE INDEX movement_history ON stock_movement (store_id, product_id, seq)")
        owner.execute("ALTER TABLE stock_ledgerhead DROP COLUMN taken_until")
        owner.execute("DROP TABLE stock_ledgerseal")
    monkeypatch.setenv("DATABASE_LOCK_TIMEOUT_MS", "200")
    with psycopg.connect(OWNER_URL) as report:
        report.execute("SELECT count(*) FROM stock_movement")
        migrating = threading.Thread(target=migrate)
        migrating.start()
        time.sleep(4)  # the process has started, and waits for far longer than 0.2 s
        assert migrating.is_alive()
    migrating.join(60)
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'stock_movement'")
        names = {row[0] for row in cursor.fetchall()}
    assert "movement_by_segment" in names and "movement_history" not in names
    call_command("migrate", check_unapplied=True, verbosity=0)
