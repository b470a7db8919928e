"""Two tills tell the same at the same moment: the inbox's key decides."""

import threading
from functools import partial

import pytest
from django.db import IntegrityError, OperationalError, connection

from inventory_project import failpoints
from orders import sales, statements
from orders.models import SaleEvent
from stock import ledger
from tests.concurrency.threads import Meeting, errors, together
from tests.journal import accept, history, incoherences, levels, line, waiting
from tests.make import apply_all

pytestmark = [pytest.mark.postgresql, pytest.mark.usefixtures("committed")]

INSERTS = "INSERT INTO orders_saleevent"


def send_twice(store, lines, others=None):
    # The first event of a store makes its head row, and there one would wait for the other.
    ledger.open_lanes({store.pk})
    return together(
        partial(accept, store, *lines),
        partial(accept, store, *(others or lines)),
        wrapper=Meeting().before(INSERTS),
    )


def test_race_without_on_conflict_the_second_till_is_refused(monkeypatch, lahore):
    words = "ON CONFLICT (store_id, event_id) DO NOTHING"
    assert words in statements.INSERT
    monkeypatch.setattr(statements, "INSERT", statements.INSERT.replace(words, ""))
    (refused,) = errors(send_twice(lahore, [line(), line()]))
    assert isinstance(refused, IntegrityError)


def test_same_batch_at_once_is_accepted_once(lahore, tea):
    lines = [line(units=n) for n in range(1, 101)]
    results = send_twice(lahore, lines)
    assert sorted(results) == [["accepted"] * 100, ["duplicate"] * 100]
    assert apply_all() == 100
    assert levels(lahore) == {"TEA": -5050}
    assert incoherences() == []


def test_same_id_other_content_at_once_one_wins(lahore, tea):
    first = line(units=1)
    other = line(units=2, event_id=first.event_id)
    results = send_twice(lahore, [first], [other])
    assert sorted(results) == [["accepted"], ["conflict"]]
    apply_all()
    winner = 1 if results[0] == ["accepted"] else 2
    assert history(lahore) == [(1, "sale", "TEA", -winner, -winner)]
    assert waiting(lahore) == {}


def test_race_with_unsorted_rows_two_batches_deadlock(monkeypatch, lahore):
    monkeypatch.setattr(sales, "sorted", lambda rows, **_: list(rows), raising=False)
    for _ in range(20):
        lines = [line() for _ in range(600)]
        found = errors(send_twice(lahore, lines, lines[::-1]))
        if found:
            break
    (deadlock,) = found
    assert isinstance(deadlock, OperationalError)
    assert "deadlock detected" in str(deadlock)


def test_batches_in_opposite_order_wait_for_each_other(lahore):
    for _ in range(5):
        lines = [line() for _ in range(600)]
        results = send_twice(lahore, lines, lines[::-1])
        assert errors(results) == []
        assert sorted(results) == [["accepted"] * 600, ["duplicate"] * 600]
    assert SaleEvent.objects.count() == 3000


def test_copy_that_comes_while_the_first_is_applied_counts_once(lahore, tea):
    """The row is deleted but not committed when the copy arrives; the ledger's key has it."""
    sold, tills, told = line(units=3), [], []
    accept(lahore, sold)

    def arrive():
        waits = threading.Event()
        tills.append(threading.Thread(target=send, args=(waits,)))
        tills[0].start()
        assert waits.wait(5)

    def send(waits):
        def announce(execute, sql, *rest):
            if INSERTS in sql:
                waits.set()
            return execute(sql, *rest)

        connection.ensure_connection()
        with connection.execute_wrapper(announce):
            told.extend(accept(lahore, sold, line(event_id=sold.event_id), line(units=1)))
        connection.close()

    failpoints.armed["before_apply_commit"] = arrive
    try:
        sales.apply_next()
    finally:
        del failpoints.armed["before_apply_commit"]
    tills[0].join(10)
    assert told == ["duplicate", "conflict", "accepted"]
    assert SaleEvent.objects.count() == 1
    apply_all()
    assert history(lahore) == [(1, "sale", "TEA", -3, -3), (2, "sale", "TEA", -1, -4)]
    assert waiting(lahore) == {}
    assert incoherences() == []
