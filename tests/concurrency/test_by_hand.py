"""Goods moved by hand at the same moment: the store's head row is taken first."""

from functools import partial

import pytest
from django.db import IntegrityError

from stock import ledger
from stock.models import Movement
from tests.concurrency.threads import Meeting, errors, together
from tests.journal import by_hand, hand_line, history, incoherences, levels
from tests.make import make_product, receive

pytestmark = [pytest.mark.postgresql, pytest.mark.usefixtures("committed")]

WRITES_LEVELS = "INSERT INTO stock_level"
BOTH_COME, LOCKED_OUT = {}, {"alone_s": 0.5}


@pytest.fixture
def no_lock(monkeypatch):
    monkeypatch.setattr(ledger, "lock_stores", ledger.open_lanes)


def two_wastes_of_seven(store, expected):
    waste = [hand_line("waste", units=7, reason="damaged") for _ in range(2)]
    return together(
        partial(by_hand, store, waste[0]),
        partial(by_hand, store, waste[1]),
        wrapper=Meeting(**expected).before(WRITES_LEVELS),
    )


def two_receipts(store, expected):
    lines = [hand_line("receipt", sku, 5) for sku in ("TEA", "RICE")]
    return together(
        partial(by_hand, store, lines[0]),
        partial(by_hand, store, lines[1]),
        # One has written its movement and not yet committed, the other writes.
        wrapper=Meeting(**expected).before("UPDATE stock_ledgerhead"),
    )


def test_race_without_the_lock_more_is_thrown_away_than_there_is(no_lock, lahore, tea):
    receive(lahore, "TEA", 10)
    two_wastes_of_seven(lahore, BOTH_COME)
    assert levels(lahore) == {"TEA": -4} or incoherences() != []


def test_with_the_lock_the_second_is_refused(lahore, tea):
    receive(lahore, "TEA", 10)
    results = two_wastes_of_seven(lahore, LOCKED_OUT)
    (refused,) = errors(results)
    assert isinstance(refused, ledger.InsufficientStock)
    assert refused.facts == {"sku": "TEA", "available": 3, "asked": 7}
    assert history(lahore) == [(1, "receipt", "TEA", 10, 10), (2, "waste", "TEA", -7, 3)]
    assert incoherences() == []


def test_race_without_the_lock_two_movements_want_the_same_seq(no_lock, lahore, tea):
    make_product("RICE")
    receive(lahore, "TEA", 1)
    (collided,) = errors(two_receipts(lahore, LOCKED_OUT))
    assert isinstance(collided, IntegrityError)
    assert "stock_movement_pkey" in str(collided)


def test_with_the_lock_they_follow_each_other(lahore, tea):
    make_product("RICE")
    assert errors(two_receipts(lahore, LOCKED_OUT)) == []
    assert [row[0] for row in history(lahore)] == [1, 2]
    assert levels(lahore) == {"TEA": 5, "RICE": 5}
    assert incoherences() == []


def test_same_receipt_twice_at_once_counts_once(lahore, tea):
    receipt = hand_line("receipt", units=5)
    send = partial(by_hand, lahore, receipt)
    results = together(send, send, send, send)
    assert sorted(results) == [["duplicate"]] * 3 + [["recorded"]]
    assert history(lahore) == [(1, "receipt", "TEA", 5, 5)]


def test_same_id_other_content_at_once_one_wins(lahore, tea):
    first = hand_line("receipt", units=5)
    other = hand_line("receipt", units=6, event_id=first.event_id)
    results = together(partial(by_hand, lahore, first), partial(by_hand, lahore, other))
    (refused,) = errors(results)
    assert isinstance(refused, ledger.EventConflict)
    assert ["recorded"] in results
    assert Movement.objects.count() == 1
    assert incoherences() == []
