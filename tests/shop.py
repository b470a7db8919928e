"""A shop on one file, in processes of its own; and readers that share no code with the product."""

import json
import os
import sqlite3
import subprocess
import sys
import uuid
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from django.db import connection

CHECKOUT = Path(__file__).resolve().parent.parent
SALES = 10_000 - 41  # and forty deliveries, and one sale that head office told

MOVEMENTS = """
SELECT m.seq, p.sku, m.kind, m.quantity, m.balance_after, m.amount, m.event_id, m.digest,
       m.occurred_at, m.recorded_at, m.business_date, m.receipt, m.reason, u.username, k.prefix,
       m.reverses_seq
  FROM stock_movement AS m
  JOIN stores_store AS s ON s.id = m.store_id
  LEFT JOIN catalog_product AS p ON p.id = m.product_id
  LEFT JOIN accounts_user AS u ON u.id = m.actor_id
  LEFT JOIN stores_storekey AS k ON k.id = m.device_id
 WHERE s.code = '{code}' ORDER BY m.seq
"""
LEVELS = """
SELECT p.sku, l.quantity, l.updated_seq FROM stock_level AS l
  JOIN stores_store AS s ON s.id = l.store_id
  JOIN catalog_product AS p ON p.id = l.product_id
 WHERE s.code = '{code}' ORDER BY p.sku
"""
INBOX = """
SELECT e.event_id, e.kind, e.sku, e.barcode, e.quantity, e.amount, e.receipt, e.device_seq,
       e.occurred_at, e.received_at, e.business_date, e.digest, e.status, e.attempts,
       e.next_try_at, e.park_reason, e.detail, e.dismiss_reason, e.dismissed_at,
       k.prefix, a.username, d.username
  FROM orders_saleevent AS e
  JOIN stores_store AS s ON s.id = e.store_id
  LEFT JOIN stores_storekey AS k ON k.id = e.device_id
  LEFT JOIN accounts_user AS a ON a.id = e.actor_id
  LEFT JOIN accounts_user AS d ON d.id = e.dismissed_by_id
 WHERE s.code = '{code}' ORDER BY e.received_at, e.event_id
"""
HEAD = """
SELECT h.last_seq FROM stock_ledgerhead AS h
  JOIN stores_store AS s ON s.id = h.store_id WHERE s.code = '{code}'
"""


def plain(value):
    """A value as both databases give it: SQLite has text for ids and times."""
    if isinstance(value, uuid.UUID):
        return value.hex
    if isinstance(value, datetime):
        value = value.astimezone(UTC).replace(tzinfo=None)
        return value.isoformat(" ")
    if isinstance(value, memoryview):
        return bytes(value)
    return value.isoformat() if hasattr(value, "isoformat") else value


def read_file(path, sql, code="SHOP"):
    with closing(sqlite3.connect(f"{Path(path).as_uri()}?mode=ro", uri=True)) as shop:
        return [tuple(map(plain, row)) for row in shop.execute(sql.format(code=code))]


def read_chain(sql, code):
    with connection.cursor() as cursor:
        cursor.execute(sql.format(code=code))
        return [tuple(map(plain, row)) for row in cursor.fetchall()]


def environment(local, **more):
    """Of a process that works on the shop of this folder."""
    left_out = {"DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "FAILPOINT"}
    inherited = {name: value for name, value in os.environ.items() if name not in left_out}
    return inherited | {"LOCAL_DIR": str(local), "SHOP": "true", **more}


def run(local, *arguments, **more):
    """A Python process on the shop of this folder."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=CHECKOUT, env=environment(local, **more), capture_output=True, text=True,
    )  # fmt: skip


def manage(local, *arguments, **more):
    return run(local, "manage.py", *arguments, **more)


def make_shop(local, sales=SALES):
    """A shop in this folder; returns its facts."""
    made = manage(local, "shell", "-v", "0", "-c", f"import tests.shop_work as w; w.main({sales})")
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)


def write_file(path, sql, *values):
    """Change a shop's file behind the product's back."""
    with closing(sqlite3.connect(path)) as shop, shop:
        for (name,) in shop.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            shop.execute(f"DROP TRIGGER {name}")
        assert shop.execute(sql, values).rowcount == 1


def damage(path):
    """What a bad disk does: one value of a table is another one than in its index."""
    ((prefix,), *_) = read_file(path, "SELECT prefix FROM stores_storekey")
    stored = path.read_bytes()
    assert stored.count(prefix.encode()) >= 2
    path.write_bytes(stored.replace(prefix.encode(), b"x" * len(prefix), 1))
