"""A product's history is answered by the index made for it, once the database knows its table."""

import psycopg
from django.db import connection
from django.test.utils import CaptureQueriesContext

from stock.models import SEGMENT_MOVEMENTS, Movement
from tests.environment import OWNER_URL
from tests.make import make_product, make_store
from tests.rice import make_history


def test_each_look_is_answered_by_the_index_of_segments(committed):
    lahore = make_store("LHR-01")
    make_product("TEA")
    rice = make_history(lahore, make_store("KHI-02"))
    analyze()
    with CaptureQueriesContext(connection) as queries:
        list(Movement.objects.of_product(store_id=lahore.pk, product_id=rice.pk, rows=3))
    looks = [q["sql"] for q in queries if f"/ {SEGMENT_MOVEMENTS})" in q["sql"]]
    assert len(looks) == 1
    assert "movement_by_segment" in explain(looks[0])


def analyze():
    """As autovacuum would, in time: of a table believed to be empty, any index is good."""
    if connection.vendor == "postgresql":
        with psycopg.connect(OWNER_URL, autocommit=True) as owner:
            owner.execute("ANALYZE stock_movement")


def explain(sql):
    words = {"postgresql": "EXPLAIN", "sqlite": "EXPLAIN QUERY PLAN"}[connection.vendor]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # Of so few rows it would rather read all.
            cursor.execute("SET enable_seqscan = off")
        cursor.execute(f"{words} {sql}".replace("%", "%%"))
        return str(cursor.fetchall())
