"""`GET /api/stock/movements/`: a store's history, or a short look over the chain."""

from datetime import timedelta

import pytest
from django.utils import timezone as clock

from tests import make
from tests.bad_input.doors import is_problem
from tests.make import movement, receive

pytestmark = pytest.mark.django_db
MOVEMENTS = "/api/stock/movements/"


def seqs(answer):
    return [m["seq"] for m in answer.body["results"]]


@pytest.fixture
def history(till, tea):
    """Four movements in Lahore, at 00:00 and 12:00 on the first two days of March there."""
    make.make_product("RICE")
    times = ["2026-03-01T00:00:00+05:00", "2026-03-01T12:00:00+05:00",
             "2026-03-02T00:00:00+05:00", "2026-03-02T12:00:00+05:00"]  # fmt: skip
    for number, instant in enumerate(times):
        sku = "RICE" if number == 3 else "TEA"
        kind = "waste" if number == 2 else "receipt"
        line = movement(kind, sku, quantity=number + 1, occurred_at=instant)
        assert till.post(MOVEMENTS, line).status_code == 201
    return till


def test_movement_is_told_whole(till, tea):
    line = movement(quantity="2.5", amount="99.9", receipt="DN-7")
    till.post(MOVEMENTS, line)
    (told,) = till.get(MOVEMENTS).body["results"]
    assert told.pop("recorded_at")
    assert told == {
        "store": "LHR-01", "seq": 1, "product": "TEA", "kind": "receipt", "quantity": "2.500",
        "balance_after": "2.500", "amount": "99.90", "event_id": line["event_id"],
        "occurred_at": "2026-03-02T07:00:00Z", "business_date": "2026-03-02", "receipt": "DN-7",
        "reason": "", "reverses_seq": None,
    }  # fmt: skip


def test_history_is_filtered_by_product_and_kind(history):
    assert seqs(history.get(MOVEMENTS)) == [1, 2, 3, 4]
    assert seqs(history.get(MOVEMENTS, product="TEA")) == [1, 2, 3]
    assert seqs(history.get(MOVEMENTS, kind="waste")) == [3]
    assert seqs(history.get(MOVEMENTS, kind="sale")) == []
    assert seqs(history.get(MOVEMENTS, kind="receipt", product="RICE")) == [4]


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        ("2026-03-01", "2026-03-02", [1, 2]),
        ("2026-03-01", "2026-03-03", [1, 2, 3, 4]),
        ("2026-02-28T19:00:00Z", "2026-03-01T07:00:00Z", [1]),
        ("2026-03-01T07:00:00Z", "2026-03-01T07:00:00.000001Z", [2]),
        ("2026-03-02", None, [3, 4]),
        (None, "2026-03-01T12:00:00+05:00", [1]),
        ("2026-03-04", "2026-03-05", []),
    ],
)  # fmt: skip
def test_range_is_half_open_and_days_begin_in_the_store(history, low, high, wanted):
    query = {name: value for name, value in (("from", low), ("to", high)) if value}
    assert seqs(history.get(MOVEMENTS, **query)) == wanted


def test_range_that_ends_before_it_begins_is_refused(history):
    for low, high in (("2026-03-02", "2026-03-02"), ("2026-03-03", "2026-03-02")):
        is_problem(history.get(MOVEMENTS, **{"from": low, "to": high}), 400, "empty_range")


def test_pages_hold_everything_once(history):
    seen, cursor = [], {}
    while cursor is not None:
        page = history.get(MOVEMENTS, limit=1, **cursor)
        seen += seqs(page)
        cursor = {"cursor": page.body["next"]} if page.body["next"] else None
    assert seen == [1, 2, 3, 4]


def test_cursor_with_other_filters_is_refused(history):
    cursor = history.get(MOVEMENTS, limit=1).body["next"]
    for query in ({"kind": "waste"}, {"from": "2026-03-01"}, {"store": "LHR-01"}):
        is_problem(history.get(MOVEMENTS, cursor=cursor, **query), 400, "bad_cursor")


def test_chain_wide_look_needs_a_short_range_of_recorded_at(head_office, history, karachi):
    receive(karachi, "TEA", 5)
    today, later = clock.now().date() - timedelta(days=1), clock.now().date() + timedelta(days=2)
    query = {"recorded_from": today.isoformat(), "recorded_to": later.isoformat()}
    stores = [m["store"] for m in head_office.get(MOVEMENTS, **query).body["results"]]
    assert stores == ["LHR-01"] * 4 + ["KHI-02"]
    page = head_office.get(MOVEMENTS, limit=3, **query)
    rest = head_office.get(MOVEMENTS, limit=3, cursor=page.body["next"], **query)
    assert len(page.body["results"]) + len(rest.body["results"]) == 5
    month = (today + timedelta(days=32)).isoformat()
    for wrong in ({}, {"recorded_from": today.isoformat()}, query | {"recorded_to": month}):
        is_problem(head_office.get(MOVEMENTS, **wrong), 400, "range_needed")
    is_problem(head_office.get(MOVEMENTS, **query, **{"from": "2026-03-01"}), 400, "not_here")
    is_problem(head_office.get(MOVEMENTS, **query, store="LHR-01"), 400, "not_here")


@pytest.mark.parametrize("rows", [3, 30])
def test_list_costs_the_same_queries_whatever_its_length(
    till, lahore, django_assert_num_queries, rows
):
    for number in range(rows):
        make.make_product(f"P{number}")
        receive(lahore, f"P{number}", 1)
    with django_assert_num_queries(2):
        assert len(till.get(MOVEMENTS).body["results"]) == rows
