"""`POST /api/stock/movements/`: goods moved by hand, one or up to 1,000, all or none."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog.editing import Code
from stock.models import Movement
from stores import registry
from tests import make
from tests.bad_input.doors import is_problem
from tests.databases import unchanged
from tests.make import level_of, movement, receive, sale

pytestmark = pytest.mark.django_db
MOVEMENTS = "/api/stock/movements/"


def test_one_movement_is_answered_with_its_place_and_balance(till, tea):
    line = movement(quantity=10)
    answer = till.post(MOVEMENTS, line)
    assert (answer.status_code, answer.body) == (201, {
        "event_id": line["event_id"], "status": "recorded", "seq": 1, "balance_after": 10,
    })  # fmt: skip
    again = till.post(MOVEMENTS, line)
    assert (again.status_code, again.body) == (200, answer.body | {"status": "duplicate"})


def test_batch_is_answered_line_by_line(till, lahore, tea):
    lines = [movement(quantity=5), movement("waste", quantity=2), movement("return", quantity=1)]
    answer = till.post(MOVEMENTS, {"movements": lines})
    assert answer.status_code == 201
    assert [r["event_id"] for r in answer.body["results"]] == [line["event_id"] for line in lines]
    assert [(r["seq"], r["balance_after"]) for r in answer.body["results"]] == [
        (1, 5), (2, 3), (3, 4),
    ]  # fmt: skip
    again = till.post(MOVEMENTS, {"movements": lines})
    assert again.status_code == 200
    assert {r["status"] for r in again.body["results"]} == {"duplicate"}
    assert level_of(lahore, tea) == 4


def test_want_of_stock_is_409_with_available_and_asked(till, lahore, tea):
    receive(lahore, "TEA", 3)
    with unchanged():
        answer = till.post(MOVEMENTS, movement("waste", quantity="3.5"))
    problem = is_problem(answer, 409, "insufficient_stock")
    assert (problem["sku"], problem["available"], problem["asked"]) == ("TEA", 3, "3.500")
    assert problem["errors"][0]["pointer"] == "/quantity"


def test_one_line_short_and_none_of_the_batch_is_recorded(till, lahore, tea):
    receive(lahore, "TEA", 3)
    lines = [movement(quantity=1), movement("waste", quantity=2), movement("waste", quantity=3)]
    with unchanged():
        answer = till.post(MOVEMENTS, {"movements": lines})
    problem = is_problem(answer, 409, "insufficient_stock")
    assert problem["errors"][0]["pointer"] == "/movements/2/quantity"
    assert (problem["available"], problem["asked"]) == (2, 3)


@pytest.mark.parametrize("where", ["store", "product"])
def test_store_or_product_may_allow_what_the_chain_refuses(till, head_office, tea, where):
    path = {"store": "/api/stores/LHR-01/", "product": "/api/catalog/products/TEA/"}[where]
    assert head_office.patch(path, {"negative_stock": "allow"}).status_code == 200
    assert till.post(MOVEMENTS, movement("waste", quantity=2)).body["balance_after"] == -2


def test_adjustment_is_signed_and_every_wrong_line_is_named(till, lahore, tea):
    receive(lahore, "TEA", 5)
    adjusted = till.post(MOVEMENTS, movement("adjustment", quantity=-2, reason="theft"))
    assert adjusted.body["balance_after"] == 3
    with unchanged():
        answer = till.post(MOVEMENTS, {"movements": [
            movement("waste", reason=None), movement(quantity=-1), movement(),
            movement(reason="damaged"), movement("sale"), movement("waste", reason="because"),
        ]})  # fmt: skip
    pointers = [error["pointer"] for error in is_problem(answer, 400, "validation")["errors"]]
    assert pointers == [
        "/movements/0/reason", "/movements/1/quantity", "/movements/3/reason",
        "/movements/4/kind", "/movements/5/reason",
    ]  # fmt: skip


def test_waste_without_a_reason_is_refused(till, tea):
    line = movement("waste")
    del line["reason"]
    with unchanged():
        is_problem(till.post(MOVEMENTS, line), 400, "required")


def test_scan_of_a_pack_moves_its_units(till, lahore):
    pack = make.make_product("EGGS", barcodes=["2000000000015", Code("BOX-30", 30)])
    for code, units in (("BOX-30", 30), ("02000000000015", 31)):
        line = movement(quantity=1, barcode=code)
        del line["sku"]
        assert till.post(MOVEMENTS, line).body["balance_after"] == units
    assert level_of(lahore, pack) == 31


def test_shared_barcode_is_409_with_the_candidates(till):
    for sku in ("B", "A"):
        make.make_product(sku, barcodes=["SHARED"])
    line = movement(barcode="SHARED")
    del line["sku"]
    with unchanged():
        answer = till.post(MOVEMENTS, {"movements": [line]})
    problem = is_problem(answer, 409, "ambiguous_barcode")
    assert problem["candidates"] == ["A", "B"]
    assert problem["errors"][0]["pointer"] == "/movements/0/barcode"


def test_retired_product_or_store_takes_no_new_movement(till, head_office, lahore, tea):
    make.editing.retire_product(tea)
    with unchanged():
        is_problem(till.post(MOVEMENTS, movement()), 409, "retired")
    make.make_product("RICE")
    registry.retire_store(lahore)
    with unchanged():
        answer = head_office.post(MOVEMENTS, movement(sku="RICE", store="LHR-01"))
        is_problem(answer, 409, "retired")


def test_head_office_says_which_store_and_a_device_need_not(head_office, till, lahore, tea):
    with unchanged():
        is_problem(head_office.post(MOVEMENTS, movement()), 400)
        is_problem(head_office.post(MOVEMENTS, {"movements": [movement()]}), 400)
    assert head_office.post(MOVEMENTS, movement(store="LHR-01")).status_code == 201
    batch = {"store": "LHR-01", "movements": [movement()]}
    assert head_office.post(MOVEMENTS, batch).status_code == 201
    assert till.post(MOVEMENTS, movement(store="LHR-01")).status_code == 201
    with unchanged():
        is_problem(till.post(MOVEMENTS, movement(store="KHI-02")), 404, "not_found")
        batch = {"movements": [movement(store="LHR-01")]}
        is_problem(till.post(MOVEMENTS, batch), 400, "unknown_field")


def test_device_and_person_are_named_in_the_ledger(till, lahore, tea):
    till.post(MOVEMENTS, movement())
    assert Movement.objects.get().device.store == lahore
    assert Movement.objects.get().actor_id is None


@pytest.mark.parametrize("rows", [3, 30])
def test_batch_costs_the_same_queries_whatever_its_size(till, tea, rows, lahore):
    receive(lahore, "TEA", 1)
    counts = []
    for size in (3, rows):
        with CaptureQueriesContext(connection) as queries:
            till.post(MOVEMENTS, {"movements": [movement() for _ in range(size)]})
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_sale_is_not_moved_by_hand(till, tea):
    with unchanged():
        is_problem(till.post(MOVEMENTS, sale()), 400, "required")


def test_id_of_a_sale_that_waits_is_not_a_receipts(till, lahore, tea):
    told = sale(quantity=3)
    till.post("/api/orders/sales/", told)
    with unchanged():
        taken = movement(event_id=told["event_id"])
        is_problem(till.post(MOVEMENTS, taken), 409, "event_conflict")
    make.apply_all()
    assert level_of(lahore, tea) == -3
    assert till.post("/api/orders/sales/", told).body["status"] == "duplicate"


def test_id_of_a_dismissed_sale_never_counts(till, head_office, lahore, tea):
    told = sale(sku="NOBODYS")
    till.post("/api/orders/sales/", told)
    make.apply_all()
    address = f"/api/orders/sales/{told['event_id']}/dismiss/?store={lahore.code}"
    assert head_office.post(address, {"reason": "typed by mistake"}).status_code == 200
    with unchanged():
        lines = [movement(), movement(event_id=told["event_id"])]
        refused = till.post(MOVEMENTS, {"movements": lines})
        is_problem(refused, 409, "event_conflict")
        assert refused.body["errors"][0]["pointer"] == "/movements/1/event_id"
