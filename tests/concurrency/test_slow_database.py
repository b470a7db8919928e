"""A database too slow for a whole batch: a smaller one gets through."""

import psycopg
import pytest
from django.db import connection

from orders import sales
from orders.models import SaleEvent
from stock.models import Movement
from stores.principals import Principal
from tests import make
from tests.environment import OWNER_URL
from tests.journal import line

pytestmark = pytest.mark.postgresql

# Each level takes 2 ms, so that 300 of them cannot be had within the time for one statement.
SLOW = """
CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_sleep(0.002); RETURN NEW; END $$;
CREATE TRIGGER dawdle BEFORE INSERT ON stock_level FOR EACH ROW EXECUTE FUNCTION dawdle();
"""
NORMAL = "DROP TRIGGER dawdle ON stock_level; DROP FUNCTION dawdle();"
EVENTS = 300
TIMEOUT_MS = 300


@pytest.fixture
def slow_levels(committed):
    with psycopg.connect(OWNER_URL, autocommit=True) as owner:
        owner.execute(SLOW)
        yield
        owner.execute(NORMAL)


def test_batch_that_runs_out_of_time_is_made_smaller_until_it_fits(slow_levels):
    store = make.make_store()
    skus = [make.make_product(f"SKU-{n}").sku for n in range(EVENTS)]
    lines = [line(sku) for sku in skus]
    sales.accept(principal=Principal(store=store), lines=lines)
    with connection.cursor() as cursor:
        cursor.execute(f"SET statement_timeout = {TIMEOUT_MS}")
    assert sales.drain(seconds_max=30) == EVENTS
    assert SaleEvent.objects.count() == 0
    assert list(Movement.objects.order_by("seq").values_list("seq", flat=True)) == list(
        range(1, EVENTS + 1)
    )
