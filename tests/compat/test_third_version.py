"""Version 3: services behind one gateway, and sales that go through the queue."""

import json

import pytest

from catalog.models import Product
from orders import tasks
from orders.models import SaleEvent
from stock.models import Movement
from stores.models import Store
from tests import make
from tests.bad_input.doors import is_problem
from tests.compat.calls import put
from tests.databases import unchanged
from tests.make import level_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def rung(monkeypatch):
    """How often the bell rang."""
    rings = []
    monkeypatch.setattr("compat.moving.ring_doorbell", lambda: rings.append(1))
    return rings


def test_product(head_office, till):
    body = {"productName": "Soap", "productPrice": 90.5}
    answer = head_office.post("/api/product/addProduct", body)
    number = Product.objects.get().pk
    soap = {"id": number, "name": "Soap", "price": 90.5}
    assert (answer.status_code, answer.body) == (
        200, {"success": True, "message": "Product added.", "product": soap},
    )  # fmt: skip
    assert till.get("/api/product/products").body == {
        "success": True, "message": "All products.", "products": [soap],
    }  # fmt: skip


@pytest.mark.parametrize("field", ["storeAddres", "storeAddress"])
def test_store(head_office, field):
    answer = head_office.post("/api/store/addStore", {"storeName": "Multan", field: "Fort Road"})
    multan = {"id": Store.objects.get().pk, "name": "Multan", "address": "Fort Road"}
    assert (answer.status_code, answer.body) == (
        200, {"success": True, "message": "Store added.", "store": multan},
    )  # fmt: skip
    assert head_office.get("/api/store/stores").body == {
        "success": True, "message": "All stores.", "stores": [multan],
    }  # fmt: skip


def test_store_has_one_address(head_office):
    for body in (
        {"storeName": "Multan"},
        {"storeName": "Multan", "storeAddres": "a", "storeAddress": "b"},
    ):
        with unchanged():
            is_problem(
                head_office.post("/api/store/addStore", body), 400, "storeAddres_or_storeAddress"
            )


def test_stores_are_those_of_the_caller(till, lahore, karachi):
    assert [s["id"] for s in till.get("/api/store/stores").body["stores"]] == [lahore.pk]


def test_put_is_that_of_version_2(till, lahore, tea):
    path = f"/api/inventory/stores/{lahore.pk}/stock/{tea.pk}"
    answer = put(till, path, quantity=10, movementtype="add")
    assert (answer.status_code, answer.body) == (
        200, {"result": {"message": "Stock updated.", "newQuantity": 10}},
    )  # fmt: skip
    is_problem(put(till, path, quantity=11, movementtype="sales"), 409, "insufficient_stock")


def test_order_is_on_disk_when_answered_and_counted_by_the_worker(till, lahore, tea, rung):
    make.receive(lahore, "TEA", 10)
    answer = till.post(
        f"/api/order/orderProduct/{tea.pk}", {"storeId": lahore.pk, "quantity": "2.5"}
    )
    event = SaleEvent.objects.get()
    accepted = {"event_id": str(event.event_id), "status": "accepted"}
    assert answer.status_code == 200
    assert answer.body == {"message": "success", "data": accepted}
    assert (event.sku, event.store_id, event.kind) == ("TEA", lahore.pk, "sale")
    assert rung == [1]
    path = f"/stock/store/{lahore.pk}"
    assert till.get(path).body["result"][0]["quantity"] == 10
    assert make.apply_all() == 1
    assert till.get(path).body["result"][0]["quantity"] == 7.5
    assert Movement.objects.get(seq=2).event_id == event.event_id


def test_order_that_there_is_no_stock_for_counts_as_every_sale_does(till, lahore, tea):
    till.post(f"/api/order/orderProduct/{tea.pk}", {"storeId": lahore.pk, "quantity": 3})
    make.apply_all()
    assert level_of(lahore, tea) == -3


def test_bell_out_of_order_costs_no_order(till, lahore, tea, monkeypatch):
    def fail(**how):
        raise OSError("no broker")

    monkeypatch.setattr(tasks.apply_sales, "apply_async", fail)
    monkeypatch.setattr(tasks, "_silent_until", 0.0)
    body = {"storeId": lahore.pk, "quantity": 1}
    assert till.post(f"/api/order/orderProduct/{tea.pk}", body).status_code == 200
    assert SaleEvent.objects.count() == 1


def test_order_of_head_office_names_its_store(head_office, lahore, karachi, tea):
    path = f"/api/order/orderProduct/{tea.pk}"
    assert head_office.post(path, {"storeId": karachi.pk, "quantity": 1}).status_code == 200
    assert SaleEvent.objects.get().store == karachi
    with unchanged():
        is_problem(head_office.post(path, {"quantity": 1}), 400, "required")


@pytest.mark.parametrize("store_id", ["1x", -1, 1.0, None, True, [], "9" * 19, ""])
def test_store_id_that_is_none_is_400(till, tea, store_id, rung):
    body = json.dumps({"storeId": store_id, "quantity": 1})
    with unchanged():
        answer = till.send("post", f"/api/order/orderProduct/{tea.pk}", body)
    problem = is_problem(answer, 400, "not_an_id")
    assert problem["errors"][0]["pointer"] == "/storeId"
    assert rung == []


def test_addresses_of_today_still_end_with_a_slash(till, tea):
    for path in ("/api/stores", "/api/orders/sales", "/api/product", "/api/product/addProduc"):
        with unchanged():
            problem = is_problem(till.post(path, make.sale()), 404, "not_found")
        assert problem["detail"] == "Every address here ends with a slash."
