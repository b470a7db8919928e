"""The earlier addresses with a body each that they take, and how they are called."""

import json
from typing import Any, NamedTuple

from tests.make import Api

FORM = "application/x-www-form-urlencoded"


class Call(NamedTuple):
    method: str
    path: str
    body: dict[str, Any] | None = None
    head_office_only: bool = False


def all_calls(store_id: Any, product_id: Any) -> list[Call]:
    """Every row of the table, about this store and product."""
    moved = {"quantity": 1, "movementtype": "add"}
    return [
        Call("POST", "/addproduct", {"name": "Soap", "category": "Home"}, head_office_only=True),
        Call("POST", f"/addQuantity/{product_id}", moved),
        Call("GET", f"/getCurrentStock/{product_id}"),
        Call("POST", "/createProduct", {"name": "Soap", "price": 90}, head_office_only=True),
        Call("GET", "/allProducts"),
        Call("POST", "/addStore", {"name": "Multan", "address": "Fort"}, head_office_only=True),
        Call("GET", "/allStores"),
        Call("GET", f"/stock/store/{store_id}"),
        Call("PUT", f"/stock/{store_id}/{product_id}", moved),
        Call("GET", f"/stockMovement?storeId={store_id}"),
        Call("POST", "/stockMovement", {"storeId": store_id}),
        Call("POST", "/api/product/addProduct", {"productName": "Soap", "productPrice": 90},
             head_office_only=True),
        Call("GET", "/api/product/products"),
        Call("POST", "/api/store/addStore", {"storeName": "Multan", "storeAddres": "Fort"},
             head_office_only=True),
        Call("GET", "/api/store/stores"),
        Call("PUT", f"/api/inventory/stores/{store_id}/stock/{product_id}", moved),
        Call("POST", f"/api/order/orderProduct/{product_id}", {"storeId": store_id, "quantity": 1}),
    ]  # fmt: skip


def ask(api: Api, call: Call) -> Any:
    body = json.dumps(call.body) if call.body is not None else b""
    return api.send(call.method, call.path, body)


def put(api: Api, path: str, **body: Any) -> Any:
    return api.send("put", path, json.dumps(body))
