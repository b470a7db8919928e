"""Two tills tell the same at the same moment: the inbox's key decides."""

import threading
import time
from functools import partial

import pytest
from django.db import IntegrityError, OperationalError, connection

from inventory_project import failpoints
from orders import inbox, sales, statements
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
    monkeypatch.setattr(inbox, "sorted", lambda rows, **_: list(rows), raising=False)
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


def wait_until_somebody_waits_for_us():
    """The statement of another has its snapshot by then; before, it might see our commit."""
    for _ in range(500):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks"
                " WHERE NOT granted AND transactionid = pg_current_xact_id()::xid"
            )
            if cursor.fetchone()[0]:
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits")


def tell_while_applied(store, sold, lines):
    """What a till is told of `lines` when they come while `sold` is applied, not yet committed."""
    tills, told = [], []
    accept(store, sold)

    def arrive():
        waits = threading.Event()
        tills.append(threading.Thread(target=send, args=(waits,)))
        tills[0].start()
        assert waits.wait(5)
        wait_until_somebody_waits_for_us()

    def send(waits):
        def announce(execute, sql, *rest):
            if INSERTS in sql:
                waits.set()
            return execute(sql, *rest)

        connection.ensure_connection()
        with connection.execute_wrapper(announce):
            told.extend(accept(store, *lines))
        connection.close()

    failpoints.armed["before_apply_commit"] = arrive
    try:
        sales.apply_next()
    finally:
        del failpoints.armed["before_apply_commit"]
    tills[0].join(10)
    return told


FEW, MANY = 1, inbox.PLANNED_ROWS_MAX
NOTHING_KNOWN = "SELECT key.store_id, key.event_id, NULL FROM {keys} WHERE key.store_id < 0"


@pytest.mark.parametrize("others", [FEW, MANY])
def test_race_without_the_second_look_the_copy_is_taken_for_new(monkeypatch, lahore, tea, others):
    monkeypatch.setattr(statements, "LOOK_AND_TAKE_BACK", NOTHING_KNOWN)
    insert = inbox._insert_and_watch
    monkeypatch.setattr(inbox, "_insert_and_watch", lambda *rest: (insert(*rest)[0], set()))
    sold = line(units=3)
    lines = [sold] + [line() for _ in range(others)]
    assert tell_while_applied(lahore, sold, lines) == ["accepted"] * (1 + others)
    assert SaleEvent.objects.count() == 1 + others
    apply_all()
    assert levels(lahore) == {"TEA": -(3 + others)}  # the ledger's key holds all the same


@pytest.mark.parametrize("others", [FEW, MANY])
@pytest.mark.parametrize("before", [0, 2])
def test_copy_that_comes_while_the_first_is_applied_counts_once(lahore, tea, before, others):
    """The row is deleted but not committed when the copy arrives; the ledger's key has it."""
    accept(lahore, *[line(units=5) for _ in range(before)])
    apply_all()
    sold = line(units=3)
    lines = [sold, line(event_id=sold.event_id)] + [line() for _ in range(others)]
    told = tell_while_applied(lahore, sold, lines)
    assert told == ["duplicate", "conflict"] + ["accepted"] * others
    assert SaleEvent.objects.count() == others
    assert apply_all() == others
    assert levels(lahore) == {"TEA": -(5 * before + 3 + others)}
    assert len(history(lahore)) == before + 1 + others
    assert waiting(lahore) == {}
    assert incoherences() == []


def test_many_that_the_ledger_knows_are_known(lahore, tea):
    lines = [line() for _ in range(MANY + 1)]
    accept(lahore, *lines)
    apply_all()
    told = accept(lahore, *lines, line(event_id=lines[0].event_id, units=2), line())
    assert told == ["duplicate"] * len(lines) + ["conflict", "accepted"]
    assert SaleEvent.objects.count() == 1
