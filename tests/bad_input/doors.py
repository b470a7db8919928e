"""The doors that take a body, each with a body it accepts; and what a refusal looks like."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tests import databases, make
from tests.make import Api

SALES = "/api/orders/sales/"
# Stands in bodies that are refused; an answer that shows it repeats its caller.
MARK = "zX7echo"


@dataclass(frozen=True)
class Door:
    """One address and method, a key that opens it, and a body that it takes."""

    name: str
    api: Api
    method: str
    path: str
    make_body: Callable[[], dict[str, Any]]
    # Where the lines stand in a body that holds many.
    rows: str = ""

    def body_with(self, **fields: Any) -> dict[str, Any]:
        body = self.make_body()
        (body[self.rows][0] if self.rows else body).update(fields)
        return body

    def send(self, body: Any, **extra: Any) -> Any:
        """Send a document, or the bytes or text of something that may be none."""
        raw = body if isinstance(body, bytes | str) else json.dumps(body)
        return self.api.send(self.method, self.path, raw, **extra)

    def refuses(self, body: Any, status: int = 400, code: str = "", **extra: Any) -> Any:
        """Send what must be refused; checks the answer and that nothing changed."""
        with databases.unchanged():
            response = self.send(body, **extra)
        return is_problem(response, status, code)


def is_problem(response: Any, status: int, code: str = "") -> Any:
    """Check that an answer is a problem document which does not repeat its caller."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    problem = json.loads(response.content)
    assert {"type", "title", "status", "code", "detail"} <= problem.keys()
    assert problem["status"] == status
    assert problem["type"] == f"urn:kiryana:problem:{problem['code']}"
    assert len(problem.get("errors", [])) <= 50
    assert MARK not in response.content.decode()
    if code:
        assert code in codes_of(problem), problem
    return problem


def codes_of(problem: dict[str, Any]) -> set[str]:
    return {problem["code"]} | {error["code"] for error in problem.get("errors", [])}


# Sales come by the door in front of Django; what it does not take, by the view behind it.
SALE_DOORS = ("sale", "sales", "sale_view", "sales_view")
MOVEMENT_DOORS = ("movement", "movements")
MASTER_DOORS = (
    "product", "product_change", "category", "category_change", "store", "store_change",
)  # fmt: skip
# A bad event in a batch of sales is no refusal of the batch; group F is about that.
DOORS = ("sale", "sale_view", *MOVEMENT_DOORS, *MASTER_DOORS, "dismissal")


def open_door(name: str) -> Door:
    """Make what stands behind the door, and the door."""
    makers = {
        "sale": lambda: _till_door("sale", SALES, make.sale),
        "sales": lambda: _till_door("sales", SALES, _make_batch, rows="events"),
        "sale_view": lambda: _past_the_door(_till_door("sale_view", SALES, make.sale)),
        "sales_view": lambda: _past_the_door(
            _till_door("sales_view", SALES, _make_batch, rows="events")
        ),
        "movement": lambda: _till_door("movement", "/api/stock/movements/", make.movement),
        "movements": lambda: _till_door(
            "movements", "/api/stock/movements/",
            lambda: {"movements": [make.movement()]}, rows="movements",
        ),
        "product": lambda: _office_door(
            "product", "post", "/api/catalog/products/",
            lambda: {"sku": f"P-{make.new_id()[:8]}", "name": "Rice"},
        ),
        "product_change": _product_change_door,
        "category": lambda: _office_door(
            "category", "post", "/api/catalog/categories/", lambda: {"name": make.new_id()}
        ),
        "category_change": _category_change_door,
        "store": lambda: _office_door(
            "store", "post", "/api/stores/",
            lambda: {"code": f"S-{make.new_id()[:8]}", "name": "Kiryana Quetta"},
        ),
        "store_change": _store_change_door,
        "dismissal": _dismissal_door,
    }  # fmt: skip
    return makers[name]()


def _make_batch() -> dict[str, Any]:
    return {"events": [make.sale()]}


def _past_the_door(door: Door) -> Door:
    door.api.client.handler = make.load_handler(has_door=False)
    return door


def _till_door(name: str, path: str, make_body: Any, rows: str = "") -> Door:
    store = make.make_store()
    make.make_product()
    return Door(name, make.make_device(store), "post", path, make_body, rows)


def _office_door(name: str, method: str, path: str, make_body: Any) -> Door:
    return Door(name, make.make_head_office(), method, path, make_body)


def _product_change_door() -> Door:
    make.make_product()
    path = "/api/catalog/products/TEA/"
    return _office_door("product_change", "patch", path, lambda: {"name": make.new_id()})


def _category_change_door() -> Door:
    make.make_category()
    path = "/api/catalog/categories/Tea/"
    return _office_door("category_change", "patch", path, lambda: {"name": make.new_id()})


def _store_change_door() -> Door:
    make.make_store()
    path = "/api/stores/LHR-01/"
    return _office_door("store_change", "patch", path, lambda: {"name": make.new_id()})


def _dismissal_door() -> Door:
    event = park_sale()
    path = f"/api/orders/sales/{event['event_id']}/dismiss/?store=LHR-01"
    return _office_door("dismissal", "post", path, lambda: {"reason": "Typed twice."})


def park_sale(store_code: str = "LHR-01") -> dict[str, Any]:
    """Tell a sale of an unknown product, which is parked."""
    event = make.sale("NOBODY-KNOWS")
    store = make.make_store(store_code)
    assert make.make_device(store).post("/api/orders/sales/", event).status_code == 202
    make.apply_all()
    return event


def is_rejected(response: Any, place: int, code: str) -> None:
    """Check that a batch of sales was taken but for the event in this place."""
    assert response.status_code in (200, 202), response.content
    result = response.json()["results"][place]
    assert (result["status"], result["code"]) == ("rejected", code)
    assert MARK not in response.content.decode()


def read_json(content: bytes) -> Any:
    with suppress(ValueError):
        return json.loads(content)
    return None
