"""Parked events wait for a decision: try again, or never count."""

import json

import pytest

from accounts import roles
from accounts.models import AuditEntry
from orders.models import SaleEvent
from stock.models import Movement
from tests import make, office
from tests.bad_input.doors import is_problem, park_sale
from tests.databases import unchanged
from tests.make import Api, apply_all, level_of, sale

pytestmark = pytest.mark.django_db
SALES = "/api/orders/sales/"


@pytest.fixture
def event():
    return park_sale()


def path(event, action):
    return f"{SALES}{event['event_id']}/{action}/?store=LHR-01"


def test_replayed_event_counts_once_its_product_exists(head_office, event):
    product = make.make_product("NOBODY-KNOWS")
    answer = head_office.post(path(event, "replay"))
    assert (answer.status_code, answer.body["status"]) == (202, "pending")
    assert "reason" not in answer.body
    apply_all()
    assert level_of(make.Store.objects.get(), product) == -1
    with unchanged():
        is_problem(head_office.post(path(event, "replay")), 404, "not_found")


def test_replayed_event_that_still_fails_is_parked_again(head_office, event):
    head_office.post(path(event, "replay"))
    apply_all()
    assert SaleEvent.objects.get().park_reason == "unknown_product"
    assert not Movement.objects.exists()


def test_dismissed_event_never_counts_and_its_id_stays_used(head_office, event):
    till = make.make_device(make.Store.objects.get())
    answer = head_office.post(path(event, "dismiss"), {"reason": " Typed twice. "})
    assert answer.status_code == 200
    assert (answer.body["status"], answer.body["dismiss_reason"]) == ("dismissed", "Typed twice.")
    make.make_product("NOBODY-KNOWS")
    apply_all()
    assert not Movement.objects.exists()
    with unchanged():
        assert till.post(SALES, event).body["status"] == "duplicate"
        is_problem(head_office.post(path(event, "replay")), 409, "not_parked")
        again = head_office.post(path(event, "dismiss"), {"reason": "Again."})
        is_problem(again, 409, "not_parked")


def test_dismissal_needs_a_reason(head_office, event):
    for body in ({}, {"reason": ""}, {"reason": None}, {"reason": "r" * 251}, {"why": "x"}):
        with unchanged():
            is_problem(head_office.post(path(event, "dismiss"), body), 400, "validation")


def test_pending_event_can_be_neither_replayed_nor_dismissed(head_office, till):
    waiting = sale()
    till.post(SALES, waiting)
    with unchanged():
        is_problem(head_office.post(path(waiting, "replay")), 409, "not_parked")
        answer = head_office.post(path(waiting, "dismiss"), {"reason": "No."})
        is_problem(answer, 409, "not_parked")


def test_till_decides_nothing(event):
    till = make.make_device(make.Store.objects.get())
    with unchanged():
        is_problem(till.post(path(event, "replay")), 403)
        is_problem(till.post(path(event, "dismiss"), {"reason": "No."}), 403)


def test_head_office_says_which_store(head_office, event):
    address = f"{SALES}{event['event_id']}/replay/"
    with unchanged():
        is_problem(head_office.post(address), 400, "required")
        is_problem(head_office.post(f"{address}?store=NOWHERE"), 404, "not_found")


def test_person_of_the_store_decides_and_is_named(client, event):
    user = office.make_person(roles.MANAGER, make.Store.objects.get())
    browser = Api()
    browser.client = client
    client.force_login(user)
    assert browser.post(path(event, "dismiss"), {"reason": "Typed twice."}).status_code == 200
    assert SaleEvent.objects.get().dismissed_by == user


def test_who_dismissed_is_in_the_audit_also_where_it_was_a_key(head_office, event):
    answer = head_office.post(path(event, "dismiss"), {"reason": "Rung up twice"})
    assert answer.status_code == 200
    entry = AuditEntry.objects.get(action="sale.dismissed")
    assert (entry.actor_kind, entry.actor) == ("key", head_office.credential.partition(".")[0])
    assert (entry.object_type, entry.object_id) == ("sale", event["event_id"])
    assert json.loads(entry.after) == {
        "store": "LHR-01", "parked_for": "unknown_product", "reason": "Rung up twice",
    }  # fmt: skip
    head_office.post(path(event, "dismiss"), {"reason": "Once more"})
    assert AuditEntry.objects.filter(action="sale.dismissed").count() == 1
