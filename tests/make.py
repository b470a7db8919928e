"""The small cast of the tests, made through the write modules like everything else."""

import json
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, partial
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.test import Client
from django.test.client import ClientHandler

from accounts.models import User
from catalog import editing
from catalog.editing import Code
from catalog.models import Category, Product
from inventory_project.doors import Sent
from orders import accepting
from orders.draining import drain
from stock import ledger
from stock.models import Level
from stores import registry
from stores.models import Store

NOON = "2026-03-02T12:00:00+05:00"


def make_store(code: str = "LHR-01", **fields: Any) -> Store:
    return registry.register_store(code=code, **{"name": f"Kiryana {code}", **fields})


def make_category(name: str = "Tea") -> Category:
    return editing.create_category(name=name)


def make_product(sku: str = "TEA", **fields: Any) -> Product:
    price = Decimal(str(fields.pop("price", "120")))
    barcodes = [
        code if isinstance(code, Code) else Code(code) for code in fields.pop("barcodes", ())
    ]
    return editing.create_product(
        sku=sku, price=price, barcodes=barcodes, **{"name": f"Product {sku}", **fields}
    )


def make_user(username: str = "alice", **fields: Any) -> User:
    return User.objects.create_user(username, password="correct horse battery", **fields)


def make_superuser(username: str = "head") -> User:
    return User.objects.create_superuser(username, password="correct horse battery")


def make_device(store: Store) -> "Api":
    return Api(registry.issue_key(name="till", store=store).credential)


def make_head_office() -> "Api":
    return Api(registry.issue_key(name="head office", store=None).credential)


def new_id() -> str:
    return str(uuid.uuid4())


def sale(sku: str = "TEA", quantity: Any = 1, **fields: Any) -> dict[str, Any]:
    """A sale event as a till sends it."""
    event = {"event_id": new_id(), "sku": sku, "quantity": quantity, "occurred_at": NOON}
    return event | fields


def movement(
    kind: str = "receipt", sku: str = "TEA", quantity: Any = 10, **fields: Any
) -> dict[str, Any]:
    """A movement by hand as a device sends it."""
    event = {
        "event_id": new_id(),
        "kind": kind,
        "sku": sku,
        "quantity": quantity,
        "occurred_at": NOON,
    }
    if kind in ("waste", "adjustment"):
        event["reason"] = "damaged"
    return event | fields


def receive(store: Store, sku: str, units: int) -> None:
    """Put goods on the shelf."""
    line = ledger.Line(
        event_id=uuid.uuid4(), kind="receipt", sku=sku, quantity=units * 1000,
        occurred_at=datetime(2026, 3, 1, 6, tzinfo=UTC),
    )  # fmt: skip
    ledger.move_by_hand(store=store, lines=[line], actor_id=None, device_id=None)


def apply_all() -> int:
    """Do what the worker does."""
    return drain(seconds_max=60)


def level_of(store: Store, product: Product) -> Decimal:
    """What the store has; absence is 0."""
    found = Level.objects.filter(store=store, product=product).first()
    return found.quantity if found else Decimal(0)


class WebHandler(ClientHandler):
    """Answers as inventory_project/wsgi.py: the door of sales first, Django behind it."""

    # Off, to ask the view what it would have answered.
    has_door = True

    def __call__(self, environ: dict[str, Any]) -> Any:
        if not (self.has_door and environ["PATH_INFO"] == accepting.PATH):
            return super().__call__(environ)
        if not accepting.is_taken(environ):
            return super().__call__(environ)
        read = partial(environ["wsgi.input"].read, int(environ["CONTENT_LENGTH"]))
        (answer,) = accepting.answer_all([Sent(environ, read)])
        response = HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))
        response.wsgi_request = WSGIRequest(environ)
        return response


@cache
def load_handler(*, has_door: bool = True) -> WebHandler:
    """One for all devices: a new one would look for every static file anew, 80 ms each."""
    handler = WebHandler(enforce_csrf_checks=False)
    handler.load_middleware()
    if not has_door:
        handler.has_door = False
    return handler


class Api:
    """A device at the API: JSON in, `(status, body)` out, its key in the header."""

    def __init__(self, credential: str | None = None) -> None:
        self.credential = credential
        self.client = Client(raise_request_exception=False)
        self.client.handler = load_handler()

    def get(self, path: str, **query: Any) -> Any:
        return self._answer(self.client.get(path, query, headers=self._headers()))

    def post(self, path: str, body: Any = None) -> Any:
        return self.send("post", path, json.dumps(body) if body is not None else b"")

    def patch(self, path: str, body: Any) -> Any:
        return self.send("patch", path, json.dumps(body))

    def send(self, method: str, path: str, body: str | bytes, **extra: Any) -> Any:
        headers = self._headers() | extra.pop("headers", {})
        content_type = extra.pop("content_type", "application/json")
        # `generic`, because `post` and `patch` would encode anew what is sent as bytes.
        return self._answer(
            self.client.generic(
                method.upper(), path, body, content_type=content_type, headers=headers, **extra
            )
        )

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Api-Key {self.credential}"} if self.credential else {}

    def _answer(self, response: Any) -> Any:
        response.body = json.loads(response.content) if response.content else None
        return response
