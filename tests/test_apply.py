"""Applying sales: one transaction takes events out of the inbox and into the ledger."""

import uuid
from decimal import Decimal

import pytest
from django.test import override_settings
from django.utils import timezone as clock

from catalog import editing
from orders import sales
from orders.draining import Round, drain
from orders.models import SaleEvent
from stock.models import LedgerHead, Movement
from stores.principals import Principal
from tests.journal import (
    MORNING,
    accept,
    by_hand,
    hand_line,
    history,
    incoherences,
    levels,
    line,
    waiting,
)
from tests.make import apply_all, make_product, make_store, receive

pytestmark = pytest.mark.django_db


@pytest.fixture
def rice():
    return make_product("RICE", unit="kg")


def test_sales_take_out_and_returns_bring_back(lahore, tea, rice):
    receive(lahore, "TEA", 10)
    accept(
        lahore,
        line("TEA", 3),
        line("RICE", 1.25),
        line("TEA", 1, kind="return"),
        line("RICE", 0.005),
    )
    assert apply_all() == 4
    assert history(lahore) == [
        (1, "receipt", "TEA", 10, 10),
        (2, "sale", "TEA", -3, 7),
        (3, "sale", "RICE", Decimal("-1.25"), Decimal("-1.25")),
        (4, "return", "TEA", 1, 8),
        (5, "sale", "RICE", Decimal("-0.005"), Decimal("-1.255")),
    ]
    assert levels(lahore) == {"TEA": 8, "RICE": Decimal("-1.255")}
    assert waiting(lahore) == {}
    assert incoherences() == []


def test_movement_keeps_what_the_till_told(lahore, tea):
    sold = line(units=2, amount=2_405_000, receipt="R-77")
    accept(lahore, sold)
    before = clock.now()
    apply_all()
    kept = Movement.objects.get()
    assert (kept.event_id, kept.amount, kept.receipt) == (sold.event_id, Decimal("240.5"), "R-77")
    assert (kept.occurred_at, str(kept.business_date)) == (MORNING, "2026-03-02")
    assert before <= kept.recorded_at <= clock.now()
    assert (kept.reason, kept.reverses_seq, kept.actor_id) == ("", None, None)


def test_device_is_named_in_the_movement(till, lahore, tea):
    lines = [line()]
    key = lahore.keys.get()
    sales.accept(principal=Principal(store=lahore, key=key), lines=lines)
    apply_all()
    assert Movement.objects.get().device == key


def test_unknown_product_is_parked_and_its_neighbours_count(lahore, tea):
    odd = line("NOBODY")
    accept(lahore, line(units=1), odd, line(units=2))
    assert sales.apply_next() == sales.Applied(taken=3, movements=2, duplicates=0, parked=1)
    assert history(lahore) == [(1, "sale", "TEA", -1, -1), (2, "sale", "TEA", -2, -3)]
    assert waiting(lahore) == {odd.event_id: ("parked", "unknown_product")}


def test_copy_that_slipped_into_the_inbox_is_removed_and_counts_no_second_time(lahore, tea):
    sold = line(units=2)
    accept(lahore, sold)
    stored = SaleEvent.objects.values().get()
    apply_all()
    SaleEvent.objects.create(**stored)  # accepted while the first was between inbox and ledger
    assert sales.apply_next() == sales.Applied(1, 0, 1, 0)
    assert history(lahore) == [(1, "sale", "TEA", -2, -2)]
    assert waiting(lahore) == {}


def test_conflict_that_slipped_into_the_inbox_is_parked(lahore, tea):
    sold = line(units=2)
    accept(lahore, sold)
    stored = SaleEvent.objects.values().get()
    apply_all()
    SaleEvent.objects.create(**(stored | {"quantity": 5, "digest": b"y" * 16}))
    assert sales.apply_next() == sales.Applied(1, 0, 0, 1)
    assert history(lahore) == [(1, "sale", "TEA", -2, -2)]
    assert waiting(lahore) == {sold.event_id: ("parked", "conflict")}


def test_what_the_ledger_knows_outranks_an_unknown_product(lahore, tea):
    sold = line()
    accept(lahore, sold)
    stored = SaleEvent.objects.values().get()
    apply_all()
    SaleEvent.objects.create(**(stored | {"sku": "NOBODY", "digest": b"y" * 16}))
    apply_all()
    assert waiting(lahore) == {sold.event_id: ("parked", "conflict")}


def test_receipt_that_took_the_id_first_wins_and_the_sale_is_parked(lahore, tea):
    """Both were looked up before either was there: the ledger's unique key decides."""
    shared = uuid.uuid4()
    by_hand(lahore, hand_line("receipt", units=10, event_id=shared))
    accept(lahore, line())
    SaleEvent.objects.update(event_id=shared)
    apply_all()
    assert history(lahore) == [(1, "receipt", "TEA", 10, 10)]
    assert waiting(lahore) == {shared: ("parked", "conflict")}


def test_event_of_a_retired_product_counts(lahore, tea):
    editing.retire_product(tea)
    accept(lahore, line())
    apply_all()
    assert levels(lahore) == {"TEA": -1}


def test_batches_do_not_change_the_result(lahore, tea, rice):
    stores = [lahore, *(make_store(f"S-{n}") for n in range(6))]
    for store in stores:
        accept(store, *(line(("TEA", "RICE")[n % 2], n) for n in range(1, 12)))
    with override_settings(SALES_APPLY_EVENTS_MAX=3, SALES_APPLY_STORES_MAX=2):
        sales.LANE_EVENTS_MIN, kept = 4, sales.LANE_EVENTS_MIN
        try:
            assert apply_all() == 77
        finally:
            sales.LANE_EVENTS_MIN = kept
    for store in stores:
        assert levels(store) == {"TEA": -30, "RICE": -36}
        assert [-row[3] for row in history(store)] == list(range(1, 12))
    assert incoherences() == []


def test_claim_begins_behind_the_given_store_and_goes_round(tea):
    stores = [make_store(f"S-{n}") for n in range(3)]
    for store in stores:
        accept(store, line(), line())
    with override_settings(SALES_APPLY_STORES_MAX=1, SALES_APPLY_EVENTS_MAX=1):
        assert sales.apply_next(after_store_id=stores[0].pk).last_store_id == stores[1].pk
        assert sales.apply_next(after_store_id=stores[1].pk).last_store_id == stores[2].pk
        assert sales.apply_next(after_store_id=stores[2].pk).taken == 0
        assert drain(seconds_max=60, going=Round(after_store_id=stores[2].pk)) == 4
    assert [len(history(store)) for store in stores] == [2, 2, 2]


def test_nothing_to_do_is_nothing_done(lahore, tea):
    assert apply_all() == 0
    assert sales.apply_next() == sales.Applied()
    assert not LedgerHead.objects.exists()


def test_drain_stops_when_its_time_is_over(lahore, tea):
    accept(lahore, line())
    assert drain(seconds_max=0) == 0
    assert len(waiting(lahore)) == 1


def test_oldest_due_is_told(lahore, tea):
    assert sales.oldest_due_at() is None
    accept(lahore, line(), line())
    oldest = min(SaleEvent.objects.values_list("received_at", flat=True))
    assert sales.oldest_due_at() == oldest
    apply_all()
    assert sales.oldest_due_at() is None
