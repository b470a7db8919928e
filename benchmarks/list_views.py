"""Lists of the product, and beside them the same views doing less; asked without a network.

`constant/` answers bytes that were made before, and `values/` the same rows as they come,
rendered by orjson. Uncached is the list itself when nobody keeps it.
"""

import threading
import time
from collections.abc import Callable
from decimal import Decimal
from io import BytesIO
from multiprocessing.synchronize import Barrier
from typing import Any
from urllib.parse import urlsplit

import orjson
from django.conf import settings
from django.core.cache import caches
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpResponse
from django.urls import include, path
from rest_framework.request import Request
from rest_framework.views import APIView

from catalog import editing
from catalog.editing import Code, ProductRow
from catalog.models import Barcode, Product
from catalog.views import ProductViewSet
from inventory_project import caching
from stores import registry

CATEGORIES = 40
ROWS_AT_ONCE = 1_000
# fmt: off
COLUMNS = (
    "pk", "sku", "name", "category__name", "unit", "price", "negative_stock", "retired_at",
    "version",
)
# fmt: on
JSON = "application/json"
START_SECONDS_MAX = 60
constants: dict[str, bytes] = {}

_start: Barrier


def keep_barrier(start: Barrier) -> None:
    """Where all threads of all processes meet."""
    global _start
    _start = start


def _render(rows: Any) -> HttpResponse:
    return HttpResponse(orjson.dumps(rows, default=str), content_type=JSON)


class ConstantPage(ProductViewSet):
    def list(self, request: Request) -> HttpResponse:
        return HttpResponse(constants["page"], content_type=JSON)


class ValuesPage(ProductViewSet):
    """Both queries of the page, and nothing done to their rows."""

    def list(self, request: Request) -> HttpResponse:
        products = Product.objects.order_by("sku").values(*COLUMNS)
        rows = list(products[: int(request.query_params["limit"]) + 1])
        barcodes = Barcode.objects.filter(product_id__in=[row["pk"] for row in rows])
        return _render([rows, list(barcodes.values("product_id", "code", "units"))])


class Constant(APIView):
    needs = {"GET": ProductViewSet.needs["list"]}
    limit_kind = "earlier"

    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(constants["whole"], content_type=JSON)


class Values(APIView):
    needs = Constant.needs
    limit_kind = "earlier"

    def get(self, request: Request) -> HttpResponse:
        return _render(list(Product.objects.order_by("pk").values("pk", "name", "price")))


urlpatterns = [
    path("", include("inventory_project.urls")),
    path("constant/api/catalog/products/", ConstantPage.as_view({"get": "list"})),
    path("values/api/catalog/products/", ValuesPage.as_view({"get": "list"})),
    path("constant/allProducts", Constant.as_view()),
    path("values/allProducts", Values.as_view()),
]
settings.ROOT_URLCONF = "benchmarks.list_views"
_application = get_wsgi_application()


def load(products: int) -> str:
    """Fill an empty database; returns a head-office key."""
    rows = [
        ProductRow(
            sku=f"SKU-{number:06}", name=f"Product number {number}", unit="each",
            category=f"Category {number % CATEGORIES}", price=Decimal(number) / 100,
            barcodes=(Code(f"BAR{number:09}"),),
        )
        for number in range(products)
    ]  # fmt: skip
    for start in range(0, products, ROWS_AT_ONCE):
        editing.save_products(rows[start : start + ROWS_AT_ONCE])
    return registry.issue_key(name="benchmark", store=None).credential


def change_a_product() -> None:
    """A new version of the catalogue."""
    product = Product.objects.order_by("pk")[0]
    editing.change_product(product, price=product.price + 1)


def measure(
    key: str, lists: dict[str, str], rounds: int, seconds: float
) -> dict[str, list[dict[str, float]]]:
    """Requests a second of each list in each way, one thread; the ways take turns."""
    return {
        name: [_measure_round(key, name, address, seconds) for _ in range(rounds + 1)][1:]
        for name, address in lists.items()
    }


def _measure_round(key: str, name: str, address: str, seconds: float) -> dict[str, float]:
    status, headers, constants[name] = _ask(key, address)
    assert status == 200, constants[name]
    known = {"HTTP_IF_NONE_MATCH": headers["ETag"]}
    return {
        "constant": _rate(lambda: _ask(key, f"constant/{address}"), seconds),
        "cached": _rate(lambda: _ask(key, address), seconds),
        "not_modified": _rate(lambda: _ask(key, address, **known), seconds),
        "uncached": _rate(lambda: _ask_anew(key, address), seconds),
        "values": _rate(lambda: _ask(key, f"values/{address}"), seconds),
    }


def _rate(ask: Callable[[], Any], seconds: float) -> float:
    begin = time.perf_counter()
    count = 0
    while time.perf_counter() < begin + seconds:
        assert ask()[0] in (200, 304)
        count += 1
    return count / (time.perf_counter() - begin)


def _ask(key: str, address: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """As the web server asks the product."""
    parts = urlsplit(address)
    told: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
        told.extend((status, headers))

    answer = _application(
        {
            "REQUEST_METHOD": "GET", "PATH_INFO": f"/{parts.path}", "QUERY_STRING": parts.query,
            "SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1", "wsgi.url_scheme": "http", "wsgi.input": BytesIO(),
            "HTTP_HOST": "localhost", "HTTP_AUTHORIZATION": f"Api-Key {key}",
        } | headers,
        start_response,
    )  # fmt: skip
    body = b"".join(answer)
    answer.close()
    return int(told[0].split()[0]), dict(told[1]), body


def _ask_anew(key: str, address: str) -> Any:
    caching._local.clear()
    caches["default"].clear()
    return _ask(key, address)


def ask_at_once(key: str, address: str, threads: int) -> int:
    """So many callers at one moment; returns how often the rows of products were asked for."""
    asked: list[str] = []

    def count(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if 'FROM "catalog_product"' in sql:
            asked.append(sql)
        return execute(sql, params, many, context)

    def ask() -> None:
        connection.ensure_connection()
        _start.wait(START_SECONDS_MAX)
        with connection.execute_wrapper(count):
            assert _ask(key, address)[0] == 200
        connection.close()

    callers = [threading.Thread(target=ask) for _ in range(threads)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return len(asked)
