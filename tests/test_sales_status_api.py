"""`GET /api/orders/sales/`: where events are, one by one and in lists."""

import pytest

from orders.models import SaleEvent
from tests import make
from tests.bad_input.doors import is_problem
from tests.make import apply_all, sale

pytestmark = pytest.mark.django_db
SALES = "/api/orders/sales/"


def ids(answer):
    return [event["event_id"] for event in answer.body["results"]]


def tell(till, **fields):
    event = sale(**fields)
    assert till.post(SALES, event).status_code == 202
    return event["event_id"]


def test_event_is_told_from_pending_to_applied(till, tea):
    event_id = tell(till, quantity=2, amount="240", receipt="R-7")
    pending = till.get(f"{SALES}{event_id}/").body
    assert pending.pop("received_at")
    both = {
        "event_id": event_id, "store": "LHR-01", "kind": "sale", "sku": "TEA", "quantity": 2,
        "amount": "240.00", "receipt": "R-7", "occurred_at": "2026-03-02T07:00:00Z",
    }  # fmt: skip
    assert pending == both | {"status": "pending"}
    apply_all()
    applied = till.get(f"{SALES}{event_id}/").body
    assert applied.pop("recorded_at")
    assert applied == both | {"status": "applied", "seq": 1}


def test_lists_by_status(till, head_office, tea):
    parked, dismissed = tell(till, sku="NOT-YET"), tell(till, sku="NEVER")
    applied = [tell(till), tell(till, kind="return")]
    apply_all()
    head_office.post(f"{SALES}{dismissed}/dismiss/?store=LHR-01", {"reason": "Typed twice."})
    pending = tell(till)
    assert ids(till.get(SALES, status="pending")) == [pending]
    assert ids(till.get(SALES, status="applied")) == applied
    assert ids(till.get(SALES, status="parked")) == [parked]
    assert ids(till.get(SALES, status="dismissed")) == [dismissed]
    assert ids(till.get(SALES)) == [parked, dismissed, pending]
    (told,) = till.get(SALES, status="dismissed").body["results"]
    assert told["dismiss_reason"] == "Typed twice."


@pytest.mark.parametrize("status", ["pending", "applied"])
def test_pages_hold_every_event_once(till, tea, status):
    wanted = [tell(till) for _ in range(5)]
    if status == "applied":
        apply_all()
    seen, cursor = [], {}
    while cursor is not None:
        page = till.get(SALES, status=status, limit=2, **cursor)
        seen += ids(page)
        cursor = {"cursor": page.body["next"]} if page.body["next"] else None
    assert seen == wanted
    other = "applied" if status == "pending" else "pending"
    first = till.get(SALES, status=status, limit=2).body["next"]
    is_problem(till.get(SALES, status=other, cursor=first), 400, "bad_cursor")


def test_head_office_says_which_store(head_office, till, tea):
    event_id = tell(till)
    is_problem(head_office.get(SALES), 400, "required")
    is_problem(head_office.get(f"{SALES}{event_id}/"), 400, "required")
    assert ids(head_office.get(SALES, store="LHR-01")) == [event_id]
    assert head_office.get(f"{SALES}{event_id}/", store="LHR-01").status_code == 200


def test_receipt_by_hand_is_no_sale(till, lahore, tea):
    line = make.movement()
    till.post("/api/stock/movements/", line)
    assert ids(till.get(SALES, status="applied")) == []
    is_problem(till.get(f"{SALES}{line['event_id']}/"), 404, "not_found")


@pytest.mark.parametrize("status", ["pending", "applied"])
@pytest.mark.parametrize("rows", [3, 30])
def test_list_costs_the_same_queries_whatever_its_length(
    till, tea, django_assert_num_queries, rows, status
):
    till.post(SALES, {"events": [sale() for _ in range(rows)]})
    if status == "applied":
        apply_all()
        assert not SaleEvent.objects.exists()
    with django_assert_num_queries(2):
        assert len(till.get(SALES, status=status).body["results"]) == rows
