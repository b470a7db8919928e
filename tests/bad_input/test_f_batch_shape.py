"""A broken envelope is refused whole; a bad event in a sound one never holds up its neighbours."""

import pytest

from orders.models import SaleEvent
from stock.models import Movement
from tests import make
from tests.bad_input.doors import MARK, is_rejected, open_door
from tests.databases import unchanged
from tests.make import apply_all, movement, sale

pytestmark = pytest.mark.django_db

ENVELOPES = pytest.mark.parametrize("name", ["sales", "movements"])


@ENVELOPES
def test_60_empty_batch_is_refused(name):
    door = open_door(name)
    door.refuses({door.rows: []}, code="empty")


@ENVELOPES
def test_60_batch_that_is_no_list_is_refused(name):
    door = open_door(name)
    for wrong in (None, {}, MARK, 7, True, {"0": make.sale()}):
        door.refuses({door.rows: wrong}, code="empty")


@ENVELOPES
def test_61_batch_above_the_cap_is_413(name):
    door = open_door(name)
    row = door.make_body()[door.rows][0]
    rows = [row | {"event_id": make.new_id()} for _ in range(1_001)]
    door.refuses({door.rows: rows}, 413, "too_large")
    assert door.send({door.rows: rows[:1_000]}).status_code in (201, 202)


@ENVELOPES
def test_61_body_above_a_mebibyte_is_413(name):
    door = open_door(name)
    body = door.body_with(receipt="r" * 1_048_576)
    door.refuses(body, 413, "too_large")


def test_62_event_without_sku_and_barcode_is_rejected(till):
    bare = sale()
    del bare["sku"]
    answer = till.post("/api/orders/sales/", {"events": [sale(), bare]})
    is_rejected(answer, 1, "sku_or_barcode")
    assert SaleEvent.objects.count() == 1


def test_63_event_with_sku_and_barcode_is_rejected(till):
    answer = till.post("/api/orders/sales/", {"events": [sale(barcode=MARK), sale()]})
    is_rejected(answer, 0, "sku_or_barcode")
    assert SaleEvent.objects.count() == 1


@pytest.mark.parametrize("name", ["sale", "movement", "movements"])
def test_62_63_alone_either_is_refused(name):
    door = open_door(name)
    door.refuses(door.body_with(barcode=MARK), code="sku_or_barcode")
    body = door.make_body()
    del (body[door.rows][0] if door.rows else body)["sku"]
    door.refuses(body, code="sku_or_barcode")


def test_64_event_of_another_store_is_rejected_as_of_an_unknown_one(till, karachi):
    events = [sale(), sale(store="KHI-02"), sale(store="NOWHERE"), sale(store="LHR-01")]
    answer = till.post("/api/orders/sales/", {"events": events})
    is_rejected(answer, 1, "unknown_store")
    foreign, missing = answer.body["results"][1:3]
    assert foreign | {"event_id": ""} == missing | {"event_id": ""}
    assert {e.store.code for e in SaleEvent.objects.all()} == {"LHR-01"}
    assert SaleEvent.objects.count() == 2


def test_65_one_bad_event_of_a_hundred_and_99_are_accepted(till, lahore, tea):
    events = [sale() for _ in range(100)]
    events[41]["quantity"] = -1
    answer = till.post("/api/orders/sales/", {"events": events})
    assert answer.status_code == 202
    is_rejected(answer, 41, "min_value")
    assert [r["event_id"] for r in answer.body["results"]] == [e["event_id"] for e in events]
    assert [r["status"] for r in answer.body["results"]].count("accepted") == 99
    assert apply_all() == 99
    assert make.level_of(lahore, tea) == -99


def test_65_batch_of_nothing_good_is_200_and_stores_nothing(till):
    events = [7, None, [], MARK, {}, sale(quantity=0), {"event_id": MARK, MARK: 1}]
    with unchanged():
        answer = till.post("/api/orders/sales/", {"events": events})
    assert answer.status_code == 200
    assert {r["status"] for r in answer.body["results"]} == {"rejected"}
    assert [r["event_id"] for r in answer.body["results"]][:5] == [None] * 5
    assert answer.body["results"][6]["event_id"] is None


def test_66_unknown_sku_is_accepted_then_parked_and_seen(till, head_office):
    event = sale("NOBODY-KNOWS")
    assert till.post("/api/orders/sales/", event).status_code == 202
    apply_all()
    told = till.get(f"/api/orders/sales/{event['event_id']}/").body
    assert (told["status"], told["reason"]) == ("parked", "unknown_product")
    listed = head_office.get("/api/orders/sales/", store="LHR-01", status="parked").body["results"]
    assert [e["event_id"] for e in listed] == [event["event_id"]]
    assert not Movement.objects.exists()


def test_66_movement_of_an_unknown_sku_is_refused(till, tea):
    with unchanged():
        answer = till.post("/api/stock/movements/", {"movements": [movement(), movement(sku="X")]})
    assert (answer.status_code, answer.body["code"]) == (400, "unknown_product")
    assert answer.body["errors"][0]["pointer"] == "/movements/1/sku"


def test_67_unknown_field_is_refused_and_named(door):
    problem = door.refuses(door.body_with(quantitty=3), code="unknown_field")
    assert "quantitty" in problem["errors"][0]["pointer"]


@ENVELOPES
def test_67_unknown_field_beside_the_rows_is_refused(name):
    door = open_door(name)
    door.refuses(door.make_body() | {"quantitty": 3}, code="unknown_field")


def test_67_unknown_field_in_one_event_rejects_that_one(till):
    answer = till.post("/api/orders/sales/", {"events": [sale(quantitty=3), sale()]})
    is_rejected(answer, 0, "unknown_field")
    assert "quantitty" in answer.body["results"][0]["detail"]
    assert SaleEvent.objects.count() == 1


def test_67_field_that_only_the_server_writes_is_refused():
    for name, field in (("product", "version"), ("store", "retired_at"), ("sale", "seq")):
        door = open_door(name)
        door.refuses(door.body_with(**{field: 1}), code="unknown_field")


def test_67_thousand_unknown_fields_are_answered_with_fifty(door):
    fields = {f"f{n}": n for n in range(5_000)}
    assert len(door.refuses(door.body_with(**fields))["errors"]) == 50


def test_barcode_without_a_code_is_refused_also_in_a_change():
    for name in ("product", "product_change"):
        door = open_door(name)
        for wrong in ([{}], [{"units": 3}], [None], [[]], "A1", {"code": "A1"}, [7], None):
            door.refuses(door.body_with(barcodes=wrong))


def test_more_barcodes_than_a_product_may_have_are_refused():
    door = open_door("product")
    codes = [{"code": f"C{n}"} for n in range(51)]
    door.refuses(door.body_with(barcodes=codes), code="max_length")
    crowded = [{"code": f"C{n}"} | {f"x{m}": m for m in range(100)} for n in range(50)]
    door.refuses(door.body_with(barcodes=crowded))
