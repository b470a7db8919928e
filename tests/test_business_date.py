"""The day a movement belongs to is the day on the wall of its store."""

from datetime import date

import pytest

from stock.models import Movement
from tests.journal import accept, by_hand, hand_line, line
from tests.make import apply_all, make_device, make_product, make_store, movement, sale

pytestmark = pytest.mark.django_db

CASES = [
    ("Asia/Karachi", "2026-03-01T18:59:59+00:00", date(2026, 3, 1)),
    ("Asia/Karachi", "2026-03-01T19:00:00+00:00", date(2026, 3, 2)),
    ("Asia/Karachi", "2026-03-01T23:30:00-05:00", date(2026, 3, 2)),
    ("America/Chicago", "2022-10-01T04:59:59+00:00", date(2022, 9, 30)),
    ("America/Chicago", "2022-10-01T05:00:00+00:00", date(2022, 10, 1)),
    ("America/Chicago", "2022-11-06T05:30:00+00:00", date(2022, 11, 6)),
    ("America/Chicago", "2022-11-07T05:30:00+00:00", date(2022, 11, 6)),
    ("America/Chicago", "2022-11-07T06:00:00+00:00", date(2022, 11, 7)),
    ("Europe/London", "2026-03-29T23:30:00+00:00", date(2026, 3, 30)),
    ("Pacific/Kiritimati", "2026-01-01T10:00:00+00:00", date(2026, 1, 2)),
    ("Pacific/Pago_Pago", "2026-01-01T10:59:59+00:00", date(2025, 12, 31)),
    ("Asia/Kathmandu", "2026-01-01T18:15:00+00:00", date(2026, 1, 2)),
]


@pytest.mark.parametrize(("zone", "occurred_at", "day"), CASES)
def test_day_of_the_store(zone, occurred_at, day):
    make_product("TEA")
    till = make_device(make_store("S-1", timezone=zone))
    by_till = sale(occurred_at=occurred_at)
    assert till.post("/api/orders/sales/", by_till).status_code == 202
    apply_all()
    booked = movement("receipt", occurred_at=occurred_at)
    assert till.post("/api/stock/movements/", booked).status_code == 201
    assert [m.business_date for m in Movement.objects.order_by("seq")] == [day, day]


def test_one_instant_is_two_days_in_two_stores():
    make_product("TEA")
    east = make_store("EAST", timezone="Asia/Karachi")
    west = make_store("WEST", timezone="America/Chicago")
    for store in (east, west):
        accept(store, line())  # 07:00 UTC
        by_hand(store, hand_line())
    apply_all()
    days = {m.store.code: m.business_date for m in Movement.objects.select_related("store")}
    assert days == {"EAST": date(2026, 3, 2), "WEST": date(2026, 3, 2)}
    late = {"occurred_at": line().occurred_at.replace(hour=3)}
    for store in (east, west):
        accept(store, line(**late))
    apply_all()
    newest = Movement.objects.filter(seq=3).select_related("store")
    assert {m.store.code: m.business_date for m in newest} == {
        "EAST": date(2026, 3, 2),
        "WEST": date(2026, 3, 1),
    }
