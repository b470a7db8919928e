"""PostgreSQL plans what every sale asks once a second, not once a sale."""

import time

import pytest
from django.db import connection

from inventory_project.rows import PLANNED_AGAIN_S
from tests import make
from tests.make import sale

SALES = "/api/orders/sales/"


@pytest.mark.postgresql
def test_three_statements_take_a_sale_in_and_none_is_planned_again(committed):
    till = make.make_device(make.make_store())
    for _ in range(20):
        assert till.post(SALES, sale()).status_code == 202
    with connection.cursor() as cursor:
        cursor.execute("SELECT custom_plans, generic_plans FROM pg_prepared_statements")
        assert cursor.fetchall() == [(0, 20)] * 3  # the key; the insert; the look at the ledger


COPY_ONE = """
INSERT INTO stock_movement
SELECT copy.*
  FROM stock_movement AS one, generate_series(2, 5000) AS nth,
       jsonb_populate_record(one, jsonb_build_object('seq', nth, 'event_id', gen_random_uuid()))
       AS copy
"""
LOOK = "SELECT name FROM pg_prepared_statements WHERE statement LIKE '%WITH looked%'"


@pytest.mark.postgresql
def test_a_plan_that_reads_the_whole_ledger_lives_a_second(committed):
    """For a ledger that was empty just then such a plan was as good as any."""
    till = make.make_device(make.make_store())
    make.make_product("TEA")
    till.post(SALES, sale())
    make.apply_all()
    with connection.cursor() as cursor:
        cursor.execute(COPY_ONE)
    time.sleep(PLANNED_AGAIN_S)
    with connection.cursor() as cursor:
        for kind in ("indexscan", "indexonlyscan", "bitmapscan"):
            cursor.execute(f"SET enable_{kind} = off")
    till.post(SALES, sale())
    assert "Seq Scan on stock_movement" in explain_look()
    with connection.cursor() as cursor:
        cursor.execute("RESET ALL")
    assert "Seq Scan on stock_movement" in explain_look()  # it is kept, whatever it cost
    time.sleep(PLANNED_AGAIN_S)
    till.post(SALES, sale())
    assert "Seq Scan on stock_movement" not in explain_look()


def explain_look():
    with connection.cursor() as cursor:
        cursor.execute(LOOK)
        ((name,),) = cursor.fetchall()
        cursor.execute(f"EXPLAIN EXECUTE {name}('[]')")
        return "\n".join(row[0] for row in cursor.fetchall())
