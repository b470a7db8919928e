"""An instant says its offset and lies in our time; a till's wrong clock loses no sale."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone as clock

from orders.models import SaleEvent
from stock.models import Movement
from tests import make
from tests.bad_input.doors import is_problem, open_door
from tests.databases import unchanged
from tests.make import apply_all, movement, sale

pytestmark = pytest.mark.django_db

LINES = pytest.mark.parametrize("name", ["sale", "movement", "movements"])


def refuse_each(name, *instants):
    door = open_door(name)
    for instant in instants:
        door.refuses(door.body_with(occurred_at=instant))


@LINES
def test_41_time_without_an_offset_is_refused(name):
    refuse_each(name, "2026-03-02T12:00:00", "2026-03-02T12:00:00.123", "2026-03-02 12:00:00Z")


@LINES
def test_42_day_that_does_not_exist_is_refused(name):
    refuse_each(
        name,
        "2026-02-30T12:00:00Z", "2025-02-29T12:00:00Z", "2026-13-01T12:00:00Z",
        "2026-00-10T12:00:00Z", "2026-04-31T12:00:00+05:00",
    )  # fmt: skip


@LINES
def test_43_year_outside_our_time_is_refused(name):
    refuse_each(
        name,
        "0001-01-01T00:00:00+05:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-05:00",
        "0000-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z", "-2026-03-02T12:00:00Z",
    )  # fmt: skip


@LINES
def test_44_leap_second_and_hour_24_are_refused(name):
    refuse_each(
        name,
        "2016-12-31T23:59:60Z", "2026-03-02T24:00:00Z", "2026-03-02T12:60:00Z",
        "2026-03-02T12:00:00+25:00", "2026-03-02T12:00:00+05:99",
    )  # fmt: skip


def test_45_sale_dated_more_than_a_day_ahead_is_taken_and_parked(till, tea):
    ahead = (clock.now() + timedelta(days=1, minutes=5)).isoformat()
    event = sale(occurred_at=ahead)
    assert till.post("/api/orders/sales/", event).status_code == 202
    assert apply_all() == 0
    told = till.get(f"/api/orders/sales/{event['event_id']}/").body
    assert (told["status"], told["reason"]) == ("parked", "clock_ahead")
    assert not Movement.objects.exists()


def test_45_sale_dated_less_than_a_day_ahead_counts(till, tea):
    ahead = (clock.now() + timedelta(hours=23)).isoformat()
    till.post("/api/orders/sales/", sale(occurred_at=ahead))
    assert apply_all() == 1
    assert Movement.objects.count() == 1


def test_46_sale_of_three_years_ago_counts_and_recorded_at_tells(till, tea):
    before = clock.now()
    till.post("/api/orders/sales/", sale(occurred_at="2023-03-02T12:00:00+05:00"))
    assert apply_all() == 1
    recorded = Movement.objects.get()
    assert recorded.occurred_at == datetime(2023, 3, 2, 7, tzinfo=UTC)
    assert str(recorded.business_date) == "2023-03-02"
    assert before <= recorded.recorded_at <= clock.now()


@LINES
def test_47_number_or_word_for_a_time_is_refused(name):
    refuse_each(
        name, 1_772_000_000, 1_772_000_000_000, "1772000000", 1.5, True, None, [], {},
        "", "now", "2026-03-02", "12:00:00Z", "2026-061T12:00:00Z", "2026-W10-1T12:00:00Z",
        "2026-03-02T12:00:00 Z", "２０２６-03-02T12:00:00Z", "2026-03-02T12:00Z",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("told", "stored"),
    [
        ("2026-03-02T12:00:00+05:00", datetime(2026, 3, 2, 7, tzinfo=UTC)),
        ("2026-03-02t07:00:00z", datetime(2026, 3, 2, 7, tzinfo=UTC)),
        ("2026-03-02T07:00:00.123456789Z", datetime(2026, 3, 2, 7, 0, 0, 123456, tzinfo=UTC)),
        ("2026-03-01T23:30:00-07:30", datetime(2026, 3, 2, 7, tzinfo=UTC)),
    ],
)
def test_instant_is_stored_in_utc(till, tea, told, stored):
    assert till.post("/api/stock/movements/", movement(occurred_at=told)).status_code == 201
    assert Movement.objects.get().occurred_at == stored


@pytest.mark.parametrize("name", ["from", "to"])
def test_range_that_is_no_time_is_refused(name):
    till = make.make_device(make.make_store())
    wrong = [
        "2026-02-30", "2026-03-02T12:00:00", "0001-01-01", "9999-12-31", "20260301", "2026-W10",
        "1772000000", "now", "9999-12-31T23:59:59-05:00", "2026-03-01T00:00:00 05:00",
    ]  # fmt: skip
    for value in wrong:
        with unchanged():
            is_problem(till.get("/api/stock/movements/", **{name: value}), 400, "validation")


def test_clock_ahead_is_judged_line_by_line(till, tea):
    far = sale(occurred_at=(clock.now() + timedelta(days=400)).isoformat())
    answer = till.post("/api/orders/sales/", {"events": [sale(), far, sale()]})
    assert [r["status"] for r in answer.body["results"]] == ["accepted"] * 3
    assert apply_all() == 2
    assert str(SaleEvent.objects.get().event_id) == far["event_id"]
