"""Parked events: shown with their reason, replayed or dismissed by those who may."""

import pytest

from orders.models import SaleEvent
from stock.models import Movement
from tests import make, office

pytestmark = pytest.mark.django_db

PARKED = "/admin/orders/parkedevent/"


@pytest.fixture
def head():
    return office.head_of_chain()


def park(till, sku="NOPE", **fields):
    event = make.sale(sku, **fields)
    till.post("/api/orders/sales/", event)
    make.apply_all()
    return SaleEvent.objects.get(event_id=event["event_id"])


def address_of(event, what):
    return f"{PARKED}{event.store_id}-{event.event_id}/{what}/"


def test_the_list_tells_reason_store_and_age(head, till):
    park(till)
    (row,) = office.rows_of(head.get(PARKED))
    assert row.startswith("Unknown product LHR-01 Kiryana Lahore NOPE Sale 1")
    assert "0 minutes" in row
    assert row.endswith("Replay Dismiss")


def test_only_what_is_parked_is_listed(head, till, tea):
    till.post("/api/orders/sales/", make.sale("TEA"))
    assert office.rows_of(head.get(PARKED)) == []


def test_replay_asks_first_then_the_sale_counts_once_the_product_exists(head, till):
    event = park(till)
    assert "Replay: Sale of NOPE" in office.text_of(head.get(address_of(event, "replay")))
    event.refresh_from_db()
    assert event.status == "parked"
    make.make_product("NOPE")
    answer = head.post(address_of(event, "replay"))
    assert (answer.status_code, answer.url) == (302, PARKED)
    event.refresh_from_db()
    assert (event.status, event.park_reason) == ("pending", "")
    make.apply_all()
    assert Movement.objects.get().event_id == event.event_id
    assert not SaleEvent.objects.exists()


def test_dismissing_needs_a_reason_and_keeps_it_with_the_name(head, till):
    event = park(till)
    for reason in ("", "   ", "x" * 251, "a\u202eb"):
        answer = head.post(address_of(event, "dismiss"), {"reason": reason})
        assert answer.status_code == 200
    event.refresh_from_db()
    assert event.status == "parked"
    answer = head.post(address_of(event, "dismiss"), {"reason": "till of the training room"})
    assert (answer.status_code, answer.url) == (302, PARKED)
    event.refresh_from_db()
    assert (event.status, event.dismiss_reason, event.dismissed_by.username) == (
        "dismissed", "till of the training room", "head",
    )  # fmt: skip
    make.make_product("NOPE")
    make.apply_all()
    assert not Movement.objects.exists()


def test_deciding_twice_says_so_and_changes_nothing(head, till):
    event = park(till)
    head.post(address_of(event, "dismiss"), {"reason": "first"})
    for what in ("dismiss", "replay"):
        answer = head.post(address_of(event, what), {"reason": "second"})
        assert answer.status_code == 404
    event.refresh_from_db()
    assert (event.status, event.dismiss_reason) == ("dismissed", "first")


def test_equal_ids_in_two_stores_are_decided_one_by_one(head, lahore, karachi):
    event_id = make.new_id()
    for store in (lahore, karachi):
        make.make_device(store).post("/api/orders/sales/", make.sale("NOPE", event_id=event_id))
    make.apply_all()
    event = SaleEvent.objects.get(store=karachi)
    head.post(address_of(event, "dismiss"), {"reason": "no"})
    statuses = dict(SaleEvent.objects.values_list("store__code", "status"))
    assert statuses == {"LHR-01": "parked", "KHI-02": "dismissed"}


def test_staff_without_the_permission_may_look_but_not_decide(lahore, till):
    event = park(till)
    staff = office.sign_in(office.make_staff(lahore, permissions=["view_saleevent"]))
    (row,) = office.rows_of(staff.get(PARKED))
    assert "Replay" not in row
    for what in ("replay", "dismiss"):
        assert staff.get(address_of(event, what)).status_code == 403
        assert staff.post(address_of(event, what), {"reason": "x"}).status_code == 403
    event.refresh_from_db()
    assert event.status == "parked"


def test_staff_of_another_store_meets_a_missing_event(karachi, till):
    event = park(till)
    staff = office.sign_in(office.make_staff(karachi))
    assert office.rows_of(staff.get(PARKED)) == []
    for what in ("replay", "dismiss"):
        assert staff.get(address_of(event, what)).status_code == 404
        assert staff.post(address_of(event, what), {"reason": "x"}).status_code == 404
    event.refresh_from_db()
    assert event.status == "parked"


def test_staff_of_the_store_decides(lahore, till):
    event = park(till)
    staff = office.sign_in(office.make_staff(lahore))
    staff.post(address_of(event, "dismiss"), {"reason": "rung twice"})
    event.refresh_from_db()
    assert (event.status, event.dismissed_by.username) == ("dismissed", "sana")
