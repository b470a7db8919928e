"""`POST /api/orders/sales/`: what a till is answered. What becomes of it is in test_accept.py."""

import pytest

from catalog.editing import Code
from orders.models import SaleEvent
from tests import make
from tests.bad_input.doors import is_problem
from tests.databases import unchanged
from tests.make import apply_all, level_of, new_id, sale

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("each_door")]
SALES = "/api/orders/sales/"


def test_one_event_is_202_then_200_then_409(till):
    event = sale(quantity="1.5", amount="249.50", receipt="R-7", device_seq=41)
    told = {"event_id": event["event_id"], "status": "accepted"}
    first = till.post(SALES, event)
    assert (first.status_code, first.body) == (202, told)
    with unchanged():
        again = till.post(SALES, event)
        assert (again.status_code, again.body) == (200, told | {"status": "duplicate"})
        is_problem(till.post(SALES, event | {"quantity": 2}), 409, "event_conflict")


def test_batch_is_202_if_anything_was_accepted_else_200(till):
    known, fresh = sale(), sale()
    till.post(SALES, known)
    bad = sale(quantity=0)
    mixed = till.post(SALES, {"events": [known, known | {"quantity": 9}, bad, fresh]})
    assert mixed.status_code == 202
    told = [(r["event_id"], r["status"], r.get("code")) for r in mixed.body["results"]]
    assert told == [
        (known["event_id"], "duplicate", None), (known["event_id"], "conflict", "event_conflict"),
        (bad["event_id"], "rejected", "min_value"), (fresh["event_id"], "accepted", None),
    ]  # fmt: skip
    assert SaleEvent.objects.count() == 2
    with unchanged():
        assert till.post(SALES, {"events": [known, bad, fresh]}).status_code == 200


def test_head_office_says_which_store_in_each_event(head_office, lahore, karachi):
    with unchanged():
        is_problem(head_office.post(SALES, sale()), 400, "required")
        is_problem(head_office.post(SALES, sale(store="NOWHERE")), 400, "unknown_store")
    events = [sale(store="LHR-01"), sale(), sale(store="KHI-02"), sale(store="NOWHERE")]
    results = head_office.post(SALES, {"events": events}).body["results"]
    assert [(r["status"], r.get("code")) for r in results] == [
        ("accepted", None), ("rejected", "required"), ("accepted", None),
        ("rejected", "unknown_store"),
    ]  # fmt: skip


def test_scan_of_a_pack_sells_its_units_and_a_return_brings_them_back(till, lahore):
    eggs = make.make_product("EGGS", barcodes=[Code("BOX-30", 30)])
    for kind, quantity in (("sale", 2), ("return", 1)):
        event = sale(kind=kind, quantity=quantity, barcode="BOX-30")
        del event["sku"]
        assert till.post(SALES, event).status_code == 202
    apply_all()
    assert level_of(lahore, eggs) == -30


def test_shared_barcode_is_accepted_and_parked(till):
    for sku in ("A", "B"):
        make.make_product(sku, barcodes=["SHARED"])
    event = sale(barcode="SHARED")
    del event["sku"]
    assert till.post(SALES, event).status_code == 202
    apply_all()
    told = till.get(f"{SALES}{event['event_id']}/").body
    assert (told["status"], told["reason"]) == ("parked", "ambiguous_barcode")


def test_sale_below_zero_counts_and_where_it_is_refused_it_is_parked(
    till, head_office, lahore, tea
):
    till.post(SALES, sale(quantity=2))
    apply_all()
    assert level_of(lahore, tea) == -2
    head_office.patch("/api/catalog/products/TEA/", {"negative_stock": "refuse"})
    event = sale(quantity=1)
    till.post(SALES, event)
    apply_all()
    assert till.get(f"{SALES}{event['event_id']}/").body["reason"] == "insufficient_stock"
    assert level_of(lahore, tea) == -2


def test_refused_event_uses_up_no_id(till):
    event_id = new_id()
    with unchanged():
        is_problem(till.post(SALES, sale(event_id=event_id, quantity=0)), 400, "min_value")
    assert till.post(SALES, sale(event_id=event_id)).status_code == 202


def test_every_wrong_field_is_named(till):
    with unchanged():
        answer = till.post(SALES, {"event_id": "x", "quantity": 0, "kind": "gift", "colour": 1})
    errors = {e["pointer"]: e["code"] for e in is_problem(answer, 400, "validation")["errors"]}
    assert errors == {
        "/event_id": "not_a_uuid", "/quantity": "min_value", "/kind": "not_a_choice",
        "/colour": "unknown_field", "/occurred_at": "required",
    }  # fmt: skip
