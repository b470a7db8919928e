"""A claim begins behind what was taken before; what is older is found a little later."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone as clock

from orders import draining, sales
from orders.draining import Round, drain
from orders.models import SaleEvent
from stock.models import LedgerHead
from tests.journal import HEAD_OFFICE, accept, by_hand, hand_line, history, levels, line, waiting
from tests.make import make_product

pytestmark = pytest.mark.django_db


@pytest.fixture
def going():
    return Round()


def come_late(store, *lines):
    """Committed now, with a time of arrival before all others."""
    with time_machine.travel(clock.now() - timedelta(minutes=5), tick=False):
        accept(store, *lines)


def test_head_remembers_the_newest_arrival_taken(lahore, tea):
    accept(lahore, line(), line(), line("NOBODY"))
    newest = max(SaleEvent.objects.values_list("received_at", flat=True))
    sales.apply_next()
    come_late(lahore, line())
    sales.apply_next()
    by_hand(lahore, hand_line())
    assert LedgerHead.objects.get().taken_until == newest
    assert levels(lahore) == {"TEA": 7}


def test_what_arrived_at_the_same_moment_or_later_is_taken_without_looking_back(lahore, tea):
    with time_machine.travel(clock.now(), tick=False):
        accept(lahore, line(units=1))
        sales.apply_next()
        accept(lahore, line(units=2))
    assert sales.apply_next(looks_back=False).taken == 1
    accept(lahore, line(units=4))
    assert sales.apply_next(looks_back=False).taken == 1
    assert levels(lahore) == {"TEA": -7}


def test_what_came_late_is_taken_by_the_next_round_that_looks_back(lahore, tea, going):
    accept(lahore, line(units=1))
    assert drain(seconds_max=5, going=going) == 1
    come_late(lahore, line(units=2))
    assert drain(seconds_max=5, going=going) == 0
    going._looks_back_at -= draining.LOOK_BACK_EVERY_S + 1
    assert drain(seconds_max=5, going=going) == 1
    assert levels(lahore) == {"TEA": -3}


def test_a_slow_round_looks_back_seldomer(lahore, tea, going, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(draining.time, "monotonic", lambda: now[0])
    going.begin()
    now[0] += 3
    going.go_on(0)
    for later, looks_back in ((29, False), (2, True)):
        now[0] += later
        going.begin()
        assert going.looks_back == looks_back


def test_a_round_that_did_not_come_to_its_end_still_looks_back(going):
    going.begin()
    going.go_on(7)
    going.begin()
    assert going.looks_back


def test_replayed_and_freed_sales_are_taken_at_once(lahore, tea, going):
    replayed, freed = line("NOBODY"), line("LATER")
    accept(lahore, freed, replayed, line())
    assert drain(seconds_max=5, going=going) == 3
    make_product("NOBODY")
    sales.replay(principal=HEAD_OFFICE, event_id=replayed.event_id)
    assert drain(seconds_max=5, going=going) == 1
    make_product("LATER")
    assert sales.free_known_products() == 1
    assert drain(seconds_max=5, going=going) == 1
    assert waiting(lahore) == {}
    assert [row[2] for row in history(lahore)] == ["TEA", "NOBODY", "LATER"]
