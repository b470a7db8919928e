"""Several workers on one inbox: the head row is the lane, and only one of them gets it."""

import random
from collections import defaultdict
from functools import partial

import pytest
from django.db import OperationalError, transaction
from django.test import override_settings

from inventory_project import failpoints
from orders import sales, statements
from orders.draining import Round, drain
from orders.models import SaleEvent
from stock import ledger
from stock.models import Movement
from tests.concurrency.threads import Meeting, errors, together
from tests.journal import (
    HEAD_OFFICE,
    accept,
    by_hand,
    hand_line,
    history,
    incoherences,
    levels,
    line,
    waiting,
)
from tests.make import apply_all, make_product, make_store

pytestmark = [pytest.mark.postgresql, pytest.mark.usefixtures("committed")]

HALVED = "could not be applied; halving it"


@pytest.fixture
def meet_after_claim(monkeypatch):
    monkeypatch.setitem(failpoints.armed, "after_claim", Meeting().reach)


def test_race_without_the_lock_two_workers_take_the_same_events(monkeypatch, caplog, lahore, tea):
    monkeypatch.setitem(statements.LOCK, "postgresql", "")
    accept(lahore, *(line(units=n) for n in range(1, 11)))
    both_have_staged = Meeting().before("INSERT INTO stock_level")
    results = together(sales.apply_next, sales.apply_next, wrapper=both_have_staged)
    assert HALVED in caplog.text
    assert "movement_event_once_per_store" in caplog.text or "stock_movement_pkey" in caplog.text
    # What the lock did not stop, the unique key did.
    assert errors(results) == []
    apply_all()
    assert levels(lahore) == {"TEA": -55}
    assert incoherences() == []


def test_with_the_lock_the_second_worker_passes_by(meet_after_claim, caplog, lahore, tea):
    accept(lahore, *(line(units=n) for n in range(1, 11)))
    results = together(sales.apply_next, sales.apply_next)
    assert sorted(applied.taken for applied in results) == [0, 10]
    assert caplog.text == ""
    assert [row[4] for row in history(lahore)][-1] == -55
    assert waiting(lahore) == {}
    assert incoherences() == []


def drain_beside_a_held_lane(held):
    """What a worker says while another transaction holds one store's lane."""
    with transaction.atomic():
        ledger.lock_stores({held.pk})
        return together(partial(drain, seconds_max=5))[0]


def test_race_without_skip_locked_a_held_store_holds_up_all(monkeypatch, lahore, karachi, tea):
    monkeypatch.setitem(statements.LOCK, "postgresql", "FOR UPDATE OF head")
    accept(lahore, line())
    accept(karachi, line())
    said = drain_beside_a_held_lane(lahore)
    assert isinstance(said, OperationalError)
    assert "lock timeout" in str(said)
    assert history(karachi) == []


def test_held_store_holds_up_nobody_else(lahore, karachi, tea):
    accept(lahore, line())
    accept(karachi, line(units=2))
    assert drain_beside_a_held_lane(lahore) == 1
    assert (len(history(lahore)), levels(karachi)) == (0, {"TEA": -2})
    assert apply_all() == 1
    assert levels(lahore) == {"TEA": -1}


def make_journal(stores, skus, events, seed):
    """Sales and returns, most of them of a few hot products in a few hot stores."""
    chance = random.Random(seed)
    hot_stores, hot_skus = stores[:4], skus[:3]
    journal = []
    for _ in range(events):
        store = chance.choice(hot_stores if chance.random() < 0.5 else stores)
        sku = chance.choice(hot_skus if chance.random() < 0.7 else skus)
        kind = "return" if chance.random() < 0.1 else "sale"
        units = chance.randint(1, 4000) / 1000
        journal.append((store, line(sku, units, kind=kind, store_code=store.code)))
    return journal


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_workers_drain_together_while_goods_come_in(caplog, workers):
    """5,200 events of 40 stores, receipts by hand in between: every event once, exact chain."""
    skus = [make_product(f"P-{n:02}").sku for n in range(20)]
    stores = [make_store(f"S-{n:02}") for n in range(40)]
    journal = make_journal(stores, skus, 5_200, seed=7)
    for start in range(0, len(journal), 650):
        sales.accept(
            principal=HEAD_OFFICE, lines=[told for _, told in journal[start : start + 650]]
        )
    expected = defaultdict(int)
    for store, told in journal:
        expected[store.code, told.sku] += told.quantity * (1 if told.kind == "return" else -1)
    receipts = random.Random(8)
    booked = [
        (receipts.choice(stores[:6]), [hand_line("receipt", sku, 50) for sku in skus[:4]])
        for _ in range(40)
    ]
    for store, lines in booked:
        for told in lines:
            expected[store.code, told.sku] += told.quantity

    def receive():
        for store, lines in booked:
            by_hand(store, *lines)

    with override_settings(SALES_APPLY_EVENTS_MAX=300, SALES_APPLY_STORES_MAX=8):
        drains = [
            partial(drain, seconds_max=25, going=Round(after_store_id=stores[n * 10].pk))
            for n in range(workers)
        ]
        results = together(receive, *drains)
        assert errors(results) == []
        apply_all()  # what one of them found locked at its very end
    assert caplog.text == ""
    assert not SaleEvent.objects.exists()
    known = set(Movement.objects.values_list("store_id", "event_id"))
    assert len(known) == 5_200 + 160
    assert {(store.pk, told.event_id) for store, told in journal} <= known
    kept = {
        (store.code, sku): int(quantity * 1000)
        for store in stores
        for sku, quantity in levels(store).items()
    }
    assert kept == dict(expected)
    assert incoherences() == []
