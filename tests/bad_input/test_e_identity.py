"""An event has one id for ever; what bears no id, or an id in disguise, is refused."""

import uuid

import pytest

from orders.models import SaleEvent
from stock.models import Movement
from tests import make
from tests.bad_input.doors import is_problem, open_door
from tests.databases import unchanged
from tests.make import apply_all, level_of, movement, new_id, receive, sale

pytestmark = pytest.mark.django_db

LINES = pytest.mark.parametrize("name", ["sale", "movement", "movements"])
KNOWN = "0192f0c1-7d3a-7c3e-9b1a-0242ac120002"


@LINES
def test_48_missing_event_id_is_refused(name):
    door = open_door(name)
    body = door.make_body()
    del (body[door.rows][0] if door.rows else body)["event_id"]
    door.refuses(body, code="required")


@LINES
def test_49_id_that_is_no_uuid_is_refused(name):
    door = open_door(name)
    for wrong in ("", "1", "not-a-uuid", KNOWN[:-1], KNOWN + "0", "g" + KNOWN[1:], f" {KNOWN}"):
        door.refuses(door.body_with(event_id=wrong), code="not_a_uuid")


@LINES
def test_50_number_for_an_id_is_refused(name):
    door = open_door(name)
    for wrong in (7, uuid.UUID(KNOWN).int % 2**63, 1.5, True, None, [KNOWN], {"id": KNOWN}):
        door.refuses(door.body_with(event_id=wrong), code="not_a_uuid")


@LINES
def test_51_id_in_braces_as_urn_or_without_dashes_is_refused(name):
    door = open_door(name)
    for wrong in (f"{{{KNOWN}}}", f"urn:uuid:{KNOWN}", KNOWN.replace("-", "")):
        door.refuses(door.body_with(event_id=wrong), code="not_a_uuid")


def test_51_capitals_are_the_same_id(till, tea):
    event = sale(event_id=KNOWN)
    assert till.post("/api/orders/sales/", event).body["event_id"] == KNOWN
    again = till.post("/api/orders/sales/", event | {"event_id": KNOWN.upper()})
    assert (again.status_code, again.body["status"]) == (200, "duplicate")
    assert again.body["event_id"] == KNOWN
    assert till.get(f"/api/orders/sales/{KNOWN.upper()}/").body["event_id"] == KNOWN


@LINES
def test_52_nil_uuid_is_refused(name):
    door = open_door(name)
    door.refuses(door.body_with(event_id=str(uuid.UUID(int=0))), code="nil_uuid")


def test_53_same_event_twice_in_a_batch_counts_once(till, lahore, tea):
    event = sale(quantity=2)
    answer = till.post("/api/orders/sales/", {"events": [event, event]})
    assert [r["status"] for r in answer.body["results"]] == ["accepted", "duplicate"]
    receive(lahore, "TEA", 10)
    apply_all()
    assert level_of(lahore, tea) == 8


def test_54_same_id_with_other_content_in_a_batch_is_a_conflict(till, lahore, tea):
    first = sale(quantity=2)
    answer = till.post("/api/orders/sales/", {"events": [first, first | {"quantity": 3}]})
    assert [r["status"] for r in answer.body["results"]] == ["accepted", "conflict"]
    assert SaleEvent.objects.get().quantity == 2


def test_54_same_id_with_other_content_among_movements_refuses_all(till, tea):
    first = movement(quantity=2)
    with unchanged():
        answer = till.post(
            "/api/stock/movements/", {"movements": [movement(), first, first | {"quantity": 3}]}
        )
    problem = is_problem(answer, 409, "event_conflict")
    assert problem["errors"][0]["pointer"] == "/movements/2/event_id"


@pytest.mark.parametrize("applied", [False, True], ids=["waiting", "applied"])
def test_55_known_id_with_other_content_is_409_and_the_first_stays(till, lahore, tea, applied):
    event = sale(quantity=2)
    till.post("/api/orders/sales/", event)
    if applied:
        apply_all()
    for other in ({"quantity": 3}, {"sku": "RICE"}, {"kind": "return"}, {"amount": "1"}):
        with unchanged():
            answer = till.post("/api/orders/sales/", event | other)
        problem = is_problem(answer, 409, "event_conflict")
        assert problem["errors"][0]["pointer"] == "/event_id"


def test_55_known_id_of_a_movement_with_other_content_is_409(till, tea):
    line = movement()
    till.post("/api/stock/movements/", line)
    with unchanged():
        is_problem(
            till.post("/api/stock/movements/", line | {"quantity": 3}), 409, "event_conflict"
        )


def test_55_id_of_a_sale_cannot_be_a_receipt_and_the_other_way_round(till, tea):
    told = sale()
    till.post("/api/orders/sales/", told)
    apply_all()
    with unchanged():
        is_problem(
            till.post("/api/stock/movements/", movement(event_id=told["event_id"])),
            409, "event_conflict",
        )  # fmt: skip
    received = movement()
    till.post("/api/stock/movements/", received)
    with unchanged():
        answer = till.post("/api/orders/sales/", sale(event_id=received["event_id"]))
        is_problem(answer, 409, "event_conflict")


def test_56_same_id_in_another_store_is_another_event_and_tells_nothing(lahore, karachi, tea):
    lahore_till, karachi_till = make.make_device(lahore), make.make_device(karachi)
    event = sale(event_id=new_id(), quantity=2)
    first = lahore_till.post("/api/orders/sales/", event)
    second = karachi_till.post("/api/orders/sales/", event | {"quantity": 5})
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.body == second.body
    apply_all()
    assert (level_of(lahore, tea), level_of(karachi, tea)) == (-2, -5)
    assert Movement.objects.count() == 2
