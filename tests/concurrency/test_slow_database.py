"""A database too slow for a whole batch, or a row somebody holds: the others get through."""

import psycopg
import pytest
from django.db import OperationalError, connection

from orders import sales
from orders.draining import Round, drain
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
    assert drain(seconds_max=30) == EVENTS
    assert SaleEvent.objects.count() == 0
    assert list(Movement.objects.order_by("seq").values_list("seq", flat=True)) == list(
        range(1, EVENTS + 1)
    )


def test_what_was_too_much_is_remembered_by_the_next_drain(slow_levels):
    """A drain that has time for one failure only must not begin with the same one again."""
    store = make.make_store()
    skus = [make.make_product(f"SKU-{n}").sku for n in range(EVENTS)]
    sales.accept(principal=Principal(store=store), lines=[line(sku) for sku in skus])
    with connection.cursor() as cursor:
        cursor.execute(f"SET statement_timeout = {TIMEOUT_MS}")
    going = Round()
    for _ in range(40):
        drain(seconds_max=0.25, going=going)
    assert SaleEvent.objects.count() == 0


def test_row_that_somebody_holds_holds_up_one_store_only(committed):
    stores = [make.make_store(code) for code in ("A", "B", "C")]
    make.make_product("TEA")
    for store in stores:
        make.receive(store, "TEA", 10)
        sales.accept(principal=Principal(store=store), lines=[line("TEA")])
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 200")
    with psycopg.connect(OWNER_URL) as somebody:
        somebody.execute(
            "UPDATE stock_level SET quantity = quantity WHERE store_id = %s", [stores[0].pk]
        )
        assert drain(seconds_max=5) == 2
        assert list(SaleEvent.objects.values_list("store_id", flat=True)) == [stores[0].pk]
        somebody.rollback()
    assert drain(seconds_max=5) == 1


def test_error_is_told_when_nothing_could_be_applied(committed):
    store = make.make_store()
    make.make_product("TEA")
    make.receive(store, "TEA", 10)
    sales.accept(principal=Principal(store=store), lines=[line("TEA")])
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 200")
    with psycopg.connect(OWNER_URL) as somebody:
        somebody.execute("UPDATE stock_level SET quantity = quantity")
        with pytest.raises(OperationalError):
            drain(seconds_max=5)
        somebody.rollback()
