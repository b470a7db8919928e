"""A backlog of scanned sales beside a real catalogue: the statement's time is its promise.

PostgreSQL's planner goes wrong only when it knows the catalogue and not the stage.
"""

import psycopg
import pytest
from django.db import connection

from orders import sales
from stock.models import Movement
from tests.environment import OWNER_URL
from tests.journal import accept, line
from tests.make import make_product, make_store

pytestmark = [pytest.mark.postgresql, pytest.mark.usefixtures("committed")]

PRODUCTS = 25_000
STORES = 20
EVENTS_A_STORE = 500


def make_catalogue():
    """Copies of one product, each with its barcode; analysed, as after an import."""
    make_product("SEED")
    columns = "name, unit, price, negative_stock, created_at, version"
    with psycopg.connect(OWNER_URL, autocommit=True) as owner:
        owner.execute(
            f"INSERT INTO catalog_product (sku, {columns}) SELECT 'P' || n, {columns}"
            f" FROM catalog_product, generate_series(1, {PRODUCTS}) AS n WHERE sku = 'SEED'"
        )
        owner.execute(
            "INSERT INTO catalog_barcode (product_id, code, comparable, units)"
            " SELECT id, '0' || id, lpad(id::text, 14, '0'), 1 FROM catalog_product"
        )
        owner.execute("ANALYZE")
        return [n for (n,) in owner.execute("SELECT id FROM catalog_product WHERE sku <> 'SEED'")]


def test_ten_thousand_scanned_sales_are_applied_in_one_statements_time():
    stores = [make_store(f"S{number}") for number in range(STORES)]
    scanned = [f"{n:014d}" for n in make_catalogue()[:EVENTS_A_STORE]]
    for store in stores:
        accept(store, *[line(barcode=code) for code in scanned])
    with connection.cursor() as cursor:
        # The right plan needs about 0.1 s for this, the wrong one runs into the usual 5 s.
        cursor.execute("SET statement_timeout = '2s'")
    try:
        applied = sales.apply_next(events_max=STORES * EVENTS_A_STORE)
    finally:
        connection.close()
    assert (applied.taken, applied.movements) == (10_000, 10_000)
    assert Movement.objects.count() == 10_000
