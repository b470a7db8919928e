"""Accepting sales: on disk before the till is answered, each id once, the first content stays."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone as clock

from orders import sales
from orders.models import SaleEvent
from stock.models import Level, Movement
from stores.principals import Principal
from tests.journal import MORNING, accept, by_hand, hand_line, history, line, waiting
from tests.make import NOON, apply_all, make_head_office, make_store, sale

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("each_door")]

SALES = "/api/orders/sales/"


def statuses(answer):
    return [result["status"] for result in answer.body["results"]]


def test_accepted_event_stands_in_the_inbox_as_it_was_told(till, lahore):
    event = sale(quantity="1.250", amount="99.5", receipt="R-1", device_seq=7)
    assert till.post(SALES, event).status_code == 202
    row = SaleEvent.objects.get()
    assert (row.store, str(row.event_id), row.kind, row.sku, row.barcode) == (
        lahore, event["event_id"], "sale", "TEA", "",
    )  # fmt: skip
    assert (str(row.quantity), str(row.amount), row.receipt, row.device_seq) == (
        "1.250", "99.5000", "R-1", 7,
    )  # fmt: skip
    assert (row.occurred_at, str(row.business_date)) == (
        datetime(2026, 3, 2, 7, tzinfo=UTC), "2026-03-02",
    )  # fmt: skip
    assert (row.status, row.attempts, row.next_try_at, row.actor_id) == ("pending", 0, None, None)
    assert row.device.store == lahore


def test_accepting_moves_no_stock(till, lahore, tea):
    till.post(SALES, sale())
    assert not Movement.objects.exists()
    assert not Level.objects.exists()


def test_resent_event_is_a_duplicate_before_and_after_it_is_applied(till, lahore, tea):
    event = sale(quantity=3)
    assert till.post(SALES, event).status_code == 202
    for _ in range(2):
        again = till.post(SALES, event)
        assert (again.status_code, again.body["status"]) == (200, "duplicate")
        apply_all()
    assert history(lahore) == [(1, "sale", "TEA", -3, -3)]
    assert waiting(lahore) == {}


@pytest.mark.parametrize("applied", [False, True], ids=["waiting", "applied"])
@pytest.mark.parametrize(
    "other",
    [
        {"quantity": 2},
        {"sku": "RICE"},
        {"kind": "return"},
        {"amount": "1"},
        {"receipt": "R"},
        {"occurred_at": "2026-03-02T12:00:01+05:00"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_same_id_other_content_is_409_and_the_first_stays(till, lahore, tea, other, applied):
    event = sale(quantity=1)
    till.post(SALES, event)
    if applied:
        apply_all()
    answer = till.post(SALES, event | other)
    assert (answer.status_code, answer.body["code"]) == (409, "event_conflict")
    apply_all()
    assert history(lahore) == [(1, "sale", "TEA", -1, -1)]
    assert waiting(lahore) == {}


@pytest.mark.parametrize(
    "same",
    [{"quantity": "1.000"}, {"occurred_at": "2026-03-02T07:00:00Z"}, {"kind": "sale"},
     {"device_seq": 9}],
    ids=lambda same: next(iter(same)),
)  # fmt: skip
def test_content_is_compared_as_meant_not_as_spelt(till, lahore, same):
    event = sale(quantity=1)
    till.post(SALES, event)
    assert till.post(SALES, event | same).body["status"] == "duplicate"
    assert SaleEvent.objects.count() == 1


def test_id_used_by_a_receipt_is_a_conflict(till, lahore, tea):
    receipt = hand_line("receipt", units=10)
    by_hand(lahore, receipt)
    assert till.post(SALES, sale(event_id=str(receipt.event_id))).status_code == 409
    assert waiting(lahore) == {}


def test_batch_answers_each_in_its_place(till, lahore, tea):
    known, new, first = sale(), sale(), sale()
    till.post(SALES, known)
    answer = till.post(
        SALES,
        {
            "events": [
                new,
                known,
                known | {"quantity": 9},
                {"event_id": "no"},
                sale(quantity=-1),
                sale(store="KHI-02"),
                first,
                first,
                first | {"receipt": "other"},
            ]
        },
    )
    assert answer.status_code == 202
    assert statuses(answer) == [
        "accepted", "duplicate", "conflict", "rejected", "rejected", "rejected",
        "accepted", "duplicate", "conflict",
    ]  # fmt: skip
    assert SaleEvent.objects.count() == 3
    assert apply_all() == 3
    assert [row[3] for row in history(lahore)] == [-1, -1, -1]


def test_copies_in_a_batch_are_judged_by_what_is_stored_not_by_each_other(till, lahore, tea):
    stored = sale(quantity=1)
    other = stored | {"quantity": 2}
    till.post(SALES, stored)
    answer = till.post(SALES, {"events": [other, other, stored]})
    assert (answer.status_code, statuses(answer)) == (200, ["conflict", "conflict", "duplicate"])


def test_batch_of_known_events_is_200(till, lahore, tea):
    batch = {"events": [sale(), sale()]}
    assert till.post(SALES, batch).status_code == 202
    again = till.post(SALES, batch)
    assert (again.status_code, statuses(again)) == (200, ["duplicate", "duplicate"])


def test_same_id_in_two_stores_are_two_events(till, head_office, lahore, karachi, tea):
    event = sale(quantity=2)
    assert till.post(SALES, event).status_code == 202
    apply_all()
    there = event | {"store": "KHI-02", "quantity": 5}
    assert head_office.post(SALES, there).body["status"] == "accepted"
    apply_all()
    assert history(lahore) == [(1, "sale", "TEA", -2, -2)]
    assert history(karachi) == [(1, "sale", "TEA", -5, -5)]


def test_head_office_batch_reaches_several_stores(lahore, karachi, tea):
    shared = sale()
    events = [shared | {"store": "LHR-01"}, shared | {"store": "KHI-02"}, sale(store="NO-03")]
    answer = make_head_office().post(SALES, {"events": events})
    assert statuses(answer) == ["accepted", "accepted", "rejected"]
    assert answer.body["results"][2]["code"] == "unknown_store"
    assert set(SaleEvent.objects.values_list("store__code", flat=True)) == {"LHR-01", "KHI-02"}


def test_order_of_arrival_is_the_order_of_the_batch(lahore, tea):
    lines = [line(units=n) for n in range(1, 30)]
    accept(lahore, *lines[:20])
    accept(lahore, *lines[20:])
    apply_all()
    assert [-row[3] for row in history(lahore)] == list(range(1, 30))


def test_dismissed_and_parked_ids_stay_used(head_office, till, lahore):
    event = sale(sku="NOBODY")
    till.post(SALES, event)
    apply_all()
    assert till.post(SALES, event).body["status"] == "duplicate"
    dismissed = head_office.post(
        f"{SALES}{event['event_id']}/dismiss/?store=LHR-01", {"reason": "training"}
    )
    assert dismissed.status_code == 200
    assert till.post(SALES, event).body["status"] == "duplicate"
    assert till.post(SALES, event | {"quantity": 2}).status_code == 409
    assert apply_all() == 0
    assert history(lahore) == []


@pytest.mark.parametrize(
    ("ahead", "status"),
    [
        (timedelta(hours=23, minutes=59), ("pending", "")),
        (timedelta(hours=24, minutes=1), ("parked", "clock_ahead")),
    ],
    ids=["within_a_day", "beyond_a_day"],
)
def test_clock_ahead(till, lahore, tea, ahead, status):
    event = sale(occurred_at=(clock.now() + ahead).isoformat())
    assert till.post(SALES, event).status_code == 202
    assert list(waiting(lahore).values()) == [status]
    apply_all()
    assert len(history(lahore)) == (status[0] == "pending")


def test_clock_far_behind_counts(till, lahore, tea):
    till.post(SALES, sale(occurred_at="1999-12-31T23:59:59+00:00"))
    apply_all()
    assert history(lahore) == [(1, "sale", "TEA", -1, -1)]


def test_retired_store_and_product_still_count_what_head_office_brings(head_office, lahore, tea):
    closed = make_store("OLD-09", retired=True)
    answer = head_office.post(SALES, sale(store="OLD-09"))
    assert answer.status_code == 202
    apply_all()
    assert history(closed) == [(1, "sale", "TEA", -1, -1)]


def test_batch_costs_the_same_number_of_statements_whatever_its_size(lahore, tea):
    costs = []
    for size in (2, 300):
        lines = [line() for _ in range(size)]
        with CaptureQueriesContext(
            connection,
        ) as queries:
            sales.accept(principal=Principal(store=lahore), lines=lines)
        costs.append(len(queries))
    assert costs[0] == costs[1]


def test_id_is_compared_whole(lahore):
    base = uuid.UUID("0192f0c1-7d3a-7c3e-9b1a-0242ac120002")
    near = uuid.UUID("0192f0c1-7d3a-7c3e-9b1a-0242ac120003")
    assert accept(lahore, line(event_id=base), line(event_id=near)) == ["accepted", "accepted"]
    assert NOON.startswith(f"{MORNING:%Y-%m-%d}")
