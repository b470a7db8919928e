"""A day through every earlier address: real HTTP, a real queue, a real worker."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

from script.server_process import wait_until
from tests import make
from tests.compat.calls import FORM
from tests.web import CHECKOUT, running_web

pytestmark = pytest.mark.usefixtures("committed")

WORKER = [
    "-m", "celery", "-A", "inventory_project", "worker", "-Q", "inventory_events",
    "--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--concurrency", "1",
]  # fmt: skip
ARRIVED_SECONDS_MAX = 40.0


@contextmanager
def running_worker():
    process = subprocess.Popen(
        [sys.executable, *WORKER], cwd=CHECKOUT, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Program:
    """A program of the old time: an address, a key, JSON or a form."""

    def __init__(self, url, api):
        self.url, self.key = url, api.credential

    def call(self, method, path, body=None, content_type="application/json"):
        """(status, headers, body) of the answer."""
        raw = body.encode() if isinstance(body, str) else body and json.dumps(body).encode()
        headers = {"Authorization": f"Api-Key {self.key}", "Content-Type": content_type}
        request = urllib.request.Request(self.url + path, raw, headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=20) as answer:
                return answer.status, answer.headers, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, json.loads(error.read())

    def ok(self, method, path, body=None, **how):
        status, _, answer = self.call(method, path, body, **how)
        assert status == 200, answer
        return answer


@pytest.fixture
def day():
    """Head office and the till of a store at a running server, and that store."""
    store = make.make_store(name="Kiryana Lahore", address="Mall Road")
    apis = make.make_head_office(), make.make_device(store)
    with running_web() as url:
        yield *(Program(url, api) for api in apis), store


def test_version_1(day):
    office, till, _ = day
    made = office.ok("POST", "/addproduct", {"name": "Tea", "category": "Drinks"})
    tea = made["product"]["id"]
    assert made == {
        "message": "Product added.", "product": {"id": tea, "name": "Tea", "category": "Drinks"},
    }  # fmt: skip
    form = "quantity=24&movementtype=add"
    assert till.ok("POST", f"/addQuantity/{tea}", form, content_type=FORM) == {
        "message": "Stock updated.", "quantity": 24,
    }  # fmt: skip
    sold = {"quantity": 0.5, "movementtype": "sales"}
    assert till.ok("POST", f"/addQuantity/{tea}", sold)["quantity"] == 23.5
    assert till.ok("GET", f"/getCurrentStock/{tea}") == {
        "stock": [{"product_id": tea, "quantity": 23.5}]
    }


def test_version_2(day):
    office, till, store = day
    form = "name=Tea&price=449.50"
    tea = office.ok("POST", "/createProduct", form, content_type=FORM)["product"]
    assert tea == {"id": tea["id"], "name": "Tea", "price": 449.5}
    assert till.ok("GET", "/allProducts") == {"status": "success", "data": {"products": [tea]}}
    multan = office.ok("POST", "/addStore", {"name": "Multan", "address": "Fort"})["store"]
    assert multan == {"id": multan["id"], "name": "Multan", "address": "Fort"}
    own = {"id": store.pk, "name": "Kiryana Lahore", "address": "Mall Road"}
    assert office.ok("GET", "/allStores") == {"stores": [own, multan]}
    assert till.ok("GET", "/allStores") == {"stores": [own]}
    stock = f"/stock/{store.pk}/{tea['id']}"
    for word, balance in (("add", 10), ("sales", 8), ("remove", 6)):
        body = {"quantity": 10 if word == "add" else 2, "movementtype": word}
        assert till.ok("PUT", stock, body) == {
            "result": {"message": "Stock updated.", "newQuantity": balance}
        }
    status, headers, problem = till.call("PUT", stock, {"quantity": 7, "movementtype": "sales"})
    assert (status, headers["Content-Type"]) == (409, "application/problem+json")
    assert problem["message"] == problem["detail"] and problem["code"] == "insufficient_stock"
    assert till.ok("GET", f"/stock/store/{store.pk}") == {
        "result": [{"store_id": store.pk, "product_id": tea["id"], "quantity": 6}]
    }
    _, headers, page = till.call("GET", f"/stockMovement?storeId={store.pk}&limit=2")
    assert [row["movementtype"] for row in page] == ["add", "sales"]
    following = headers["Link"].partition("<")[2].partition(">")[0]
    assert [row["movementtype"] for row in till.ok("GET", following)] == ["remove"]
    assert len(till.ok("POST", "/stockMovement", {"storeId": store.pk})) == 3
    assert len(till.ok("POST", f"/stockMovement?storeId={store.pk}", b"")) == 3
    status, _, problem = till.call("GET", f"/stock/store/{multan['id']}")
    assert (status, problem["message"]) == (404, "There is no such store.")


def test_version_3(day):
    office, till, store = day
    made = office.ok("POST", "/api/product/addProduct", {"productName": "Tea", "productPrice": 450})
    tea = made["product"]
    assert made == {"success": True, "message": "Product added.", "product": tea}
    assert tea == {"id": tea["id"], "name": "Tea", "price": 450}
    assert till.ok("GET", "/api/product/products")["products"] == [tea]
    form = "storeName=Multan&storeAddres=Fort"
    made = office.ok("POST", "/api/store/addStore", form, content_type=FORM)
    assert made["success"] and made["store"]["address"] == "Fort"
    stores = till.ok("GET", "/api/store/stores")
    assert stores["success"] and [one["id"] for one in stores["stores"]] == [store.pk]
    stock = f"/api/inventory/stores/{store.pk}/stock/{tea['id']}"
    assert till.ok("PUT", stock, {"quantity": 10, "movementtype": "add"}) == {
        "result": {"message": "Stock updated.", "newQuantity": 10}
    }
    with running_worker():
        order = {"storeId": store.pk, "quantity": 3}
        answer = till.ok("POST", f"/api/order/orderProduct/{tea['id']}", order)
        assert (answer["message"], answer["data"]["status"]) == ("success", "accepted")
        path = f"/stock/store/{store.pk}"
        wait_until(lambda: till.ok("GET", path)["result"][0]["quantity"] == 7, ARRIVED_SECONDS_MAX)
        assert till.ok("GET", path)["result"][0]["quantity"] == 7
    sale = till.ok("GET", f"/api/orders/sales/{answer['data']['event_id']}/")
    assert (sale["status"], sale["quantity"], sale["seq"]) == ("applied", 3, 2)
