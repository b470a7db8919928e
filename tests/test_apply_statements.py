"""Applying costs the same number of statements, however many events and stores."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders import sales
from stock.models import Movement
from tests.journal import accept, by_hand, hand_line, line
from tests.make import make_product, make_store

pytestmark = pytest.mark.django_db

APPLY_STATEMENTS = 11
HAND_STATEMENTS = 16


@pytest.fixture
def stores(tea):
    make_product("RICE")
    return [make_store(f"S-{n}") for n in range(25)]


def count(work):
    with CaptureQueriesContext(connection) as queries:
        work()
    words = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT")
    return len([q for q in queries if not q["sql"].startswith(words)])


@pytest.mark.parametrize("events", [1, 500])
def test_apply_costs_the_same_statements_for_one_event_and_five_hundred(stores, events):
    for n, store in enumerate(stores[: max(1, events // 20)]):
        accept(store, *(line(("TEA", "RICE")[n % 2]) for _ in range(min(events, 20))))
    assert count(lambda: sales.apply_next(events_max=500)) == APPLY_STATEMENTS
    assert Movement.objects.count() == events


@pytest.mark.parametrize("lines", [1, 500])
def test_moving_by_hand_costs_the_same_statements_for_one_line_and_five_hundred(stores, lines):
    work = [hand_line("receipt", ("TEA", "RICE")[n % 2]) for n in range(lines)]
    assert count(lambda: by_hand(stores[0], *work)) == HAND_STATEMENTS
    assert Movement.objects.count() == lines
