"""The addresses of three earlier versions, as thin doors to what writes today."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from catalog import editing
from catalog.models import CatalogHead
from catalog.views import ADD_PRODUCT, READ_PRODUCTS
from compat import reading
from compat.door import (
    Door,
    HeadOfficeOrShop,
    find_own_store,
    find_product,
    find_store,
    find_store_to_write,
)
from compat.moving import add_product, move, order
from compat.reading import read_fields
from compat.writing import (
    describe_first_product,
    describe_level,
    describe_movement,
    describe_product,
    describe_products,
    describe_store,
    write_number,
    write_thousandths,
)
from inventory_project.bodies import read_sent
from inventory_project.caching import answer_by_version
from inventory_project.errors import Invalid
from inventory_project.paging import read_after, read_limit
from inventory_project.reading import read_object, refuse_both_or_neither
from orders.views import TELL_SALES
from stock.filters import between, read_range
from stock.models import Level, Movement
from stock.views import BOOK_MOVEMENTS, READ_LEVELS, READ_MOVEMENTS
from stores import registry
from stores.models import Store, StoresHead
from stores.permissions import ADD_STORE, READ_STORES, principal_of

PRODUCT_ADDED = "Product added."
STORE_ADDED = "Store added."
STOCK_UPDATED = "Stock updated."

# --- version 1: one shop --------------------------------------------------------------------


class FirstAddProduct(Door):
    permission_classes = [HeadOfficeOrShop]
    needs = {"POST": ADD_PRODUCT}

    def post(self, request: Request) -> Response:
        fields = read_fields(request, reading.FIRST_PRODUCT)
        product = add_product(by=principal_of(request), **fields)
        return Response({"message": PRODUCT_ADDED, "product": describe_first_product(product)})


class FirstAddQuantity(Door):
    needs = {"POST": BOOK_MOVEMENTS}

    def post(self, request: Request, product_id: str) -> Response:
        balance = _move(request, find_own_store(request), product_id)
        return Response({"message": STOCK_UPDATED, "quantity": balance})


class FirstCurrentStock(Door):
    needs = {"GET": READ_LEVELS}

    def get(self, request: Request, product_id: str) -> Response:
        store, product = find_own_store(request), find_product(product_id)
        level = Level.objects.for_store(store).filter(product=product).first()
        quantity = write_number(level.quantity) if level else 0
        return Response({"stock": [{"product_id": product.pk, "quantity": quantity}]})


# --- version 2: a catalogue and many stores -------------------------------------------------


class SecondCreateProduct(Door):
    needs = {"POST": ADD_PRODUCT}

    def post(self, request: Request) -> Response:
        fields = read_fields(request, reading.SECOND_PRODUCT)
        product = editing.create_product(by=principal_of(request), **fields)
        return Response({"message": PRODUCT_ADDED, "product": describe_product(product)})


class SecondProducts(Door):
    needs = {"GET": READ_PRODUCTS}

    def get(self, request: Request) -> HttpResponse:
        return _keep_products(
            request, lambda products: {"status": "success", "data": {"products": products}}
        )


class SecondAddStore(Door):
    needs = {"POST": ADD_STORE}

    def post(self, request: Request) -> Response:
        store = registry.register_store(**read_fields(request, reading.SECOND_STORE))
        return Response({"message": STORE_ADDED, "store": describe_store(store)})


class SecondStores(Door):
    needs = {"GET": READ_STORES}

    def get(self, request: Request) -> HttpResponse:
        return _keep_stores(request, lambda stores: {"stores": stores})


class SecondStockOfStore(Door):
    needs = {"GET": READ_LEVELS}

    def get(self, request: Request, store_id: str) -> Response:
        store = find_store(principal_of(request), store_id)
        levels = Level.objects.for_store(store).order_by("product_id")
        return Response({"result": [describe_level(level) for level in levels]})


class MoveStock(Door):
    """Of version 2, and under another address of version 3."""

    needs = {"PUT": BOOK_MOVEMENTS}

    def put(self, request: Request, store_id: str, product_id: str) -> Response:
        store = find_store_to_write(principal_of(request), store_id)
        balance = _move(request, store, product_id)
        return Response({"result": {"message": STOCK_UPDATED, "newQuantity": balance}})


class SecondHistory(Door):
    """One store's movements. Asked by GET, or by POST with the filters in the body."""

    needs = {"GET": READ_MOVEMENTS, "POST": READ_MOVEMENTS}
    parameters = {"storeId", "from", "to", "after", "limit"}

    def get(self, request: Request) -> Response:
        return self._answer(request, _read_filters(request))

    def post(self, request: Request) -> Response:
        return self._answer(request, _read_filters(request) | _read_sent_filters(request))

    def _answer(self, request: Request, filters: dict[str, Any]) -> Response:
        store = _find_store_of(request, filters)
        low, high = read_range(filters, "from", "to", ZoneInfo(store.timezone))
        limit = read_limit(request)
        movements = Movement.objects.for_store(store).after(read_after(request))
        rows = list(between(movements, "occurred_at", low, high)[: limit + 1])
        response = Response([describe_movement(movement) for movement in rows[:limit]])
        if len(rows) > limit:
            query = urlencode(filters | {"limit": limit, "after": rows[limit - 1].seq})
            response["Link"] = f'<{request.path}?{query}>; rel="next"'
        return response


# --- version 3: services, and sales by a queue ----------------------------------------------


class ThirdAddProduct(Door):
    needs = {"POST": ADD_PRODUCT}

    def post(self, request: Request) -> Response:
        fields = read_fields(request, reading.THIRD_PRODUCT)
        product = editing.create_product(
            by=principal_of(request), name=fields["productName"], price=fields["productPrice"]
        )
        return _succeed(PRODUCT_ADDED, product=describe_product(product))


class ThirdProducts(Door):
    needs = {"GET": READ_PRODUCTS}

    def get(self, request: Request) -> HttpResponse:
        return _keep_products(request, lambda products: _tell("All products.", products=products))


class ThirdAddStore(Door):
    needs = {"POST": ADD_STORE}

    def post(self, request: Request) -> Response:
        fields = read_fields(request, reading.THIRD_STORE)
        refuse_both_or_neither(fields, "storeAddres", "storeAddress")
        address = fields.get("storeAddres", fields.get("storeAddress"))
        store = registry.register_store(name=fields["storeName"], address=address)
        return _succeed(STORE_ADDED, store=describe_store(store))


class ThirdStores(Door):
    needs = {"GET": READ_STORES}

    def get(self, request: Request) -> HttpResponse:
        return _keep_stores(request, lambda stores: _tell("All stores.", stores=stores))


class ThirdOrder(Door):
    """Answered when it is on disk; a worker counts it."""

    needs = {"POST": TELL_SALES}

    def post(self, request: Request, product_id: str) -> Response:
        product, principal = find_product(product_id), principal_of(request)
        fields = read_fields(request, reading.ORDER)
        store = find_store_to_write(principal, fields.pop("storeId"))
        event_id = order(principal=principal, store=store, product=product, **fields)
        return Response(
            {"message": "success", "data": {"event_id": str(event_id), "status": "accepted"}}
        )


# --- what they share ------------------------------------------------------------------------


def _move(request: Request, store: Store, product_id: str) -> Any:
    product = find_product(product_id)
    fields = read_fields(request, reading.MOVEMENT)
    principal = principal_of(request)
    return write_thousandths(move(principal=principal, store=store, product=product, **fields))


def _keep_products(request: Request, wrap: Callable[[list[Any]], Any]) -> HttpResponse:
    """All products, whole and never by pages: earlier programs know none."""
    return answer_by_version(
        request, head=CatalogHead, scope="", make=lambda: wrap(describe_products())
    )


def _keep_stores(request: Request, wrap: Callable[[list[Any]], Any]) -> HttpResponse:
    """All stores that the caller sees."""
    principal = principal_of(request)
    stores = Store.objects.visible_to(principal).order_by("pk")
    rows = stores.values_list("pk", "name", "address", named=True)
    return answer_by_version(
        request,
        head=StoresHead,
        scope=principal.scope,
        make=lambda: wrap([*map(describe_store, rows)]),
    )


def _tell(message: str, **facts: Any) -> dict[str, Any]:
    return {"success": True, "message": message, **facts}


def _succeed(message: str, **facts: Any) -> Response:
    return Response(_tell(message, **facts))


def _read_filters(request: Request) -> dict[str, Any]:
    given = request.query_params
    return {name: given[name] for name in reading.HISTORY if name in given}


def _read_sent_filters(request: Request) -> dict[str, Any]:
    """The filters of a body, which may be missing; none may stand in the address as well."""
    if not _has_body(request):
        return {}
    fields = read_object(read_sent(request), reading.HISTORY, frozenset())
    twice = sorted(fields.keys() & request.query_params.keys())
    if twice:
        detail = "is given in the address and in the body"
        raise Invalid([(f"/{name}", "given_twice", detail) for name in twice])
    return fields


def _has_body(request: Request) -> bool:
    # Chunks have no length; `read_sent` refuses them instead of passing over the filters in them.
    length = request.META.get("CONTENT_LENGTH", "")
    return length not in ("", "0") or "HTTP_TRANSFER_ENCODING" in request.META


def _find_store_of(request: Request, filters: dict[str, Any]) -> Store:
    principal = principal_of(request)
    if "storeId" in filters:
        return find_store(principal, filters["storeId"])
    if principal.store is None:
        raise Invalid([("?storeId", "required", "head-office keys say which store")])
    return principal.store
