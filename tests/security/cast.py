"""Who asks in the matrix, what stands behind every address, and how each address is asked."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from django.contrib.auth.models import Group
from django.urls import URLPattern, get_resolver
from django.utils import timezone as clock

from accounts import roles
from accounts.audit_tables import AuditEntry
from accounts.models import User
from catalog.models import Category, ProductChange
from stores import registry
from stores.models import Scope, Store
from tests import make, office, routes

# The store of most of the cast; one of somebody else; and one that is not there.
OWN, OTHER, MISSING = "own", "other", "missing"
TARGETS = (OWN, OTHER, MISSING)
NO_ID = 999_999
WRITING = {"POST", "PUT", "PATCH", "DELETE"}


@dataclass(frozen=True)
class Place:
    """What is there of one target."""

    code: str
    store: int
    key: int
    event: str


@dataclass
class Cast:
    """The people and keys, by their names in the table, and the places."""

    callers: dict[str, make.Api]
    places: dict[str, Place]
    ids: dict[str, int]


def enter() -> Cast:
    """Make two stores in which the same has happened, and everybody who may ask about them."""
    lahore, karachi = make.make_store("LHR-01"), make.make_store("KHI-02")
    quetta = make.make_store("UET-03")
    make.make_category()
    tea = make.make_product("TEA")
    places = {
        OWN: _furnish(lahore),
        OTHER: _furnish(karachi),
        MISSING: Place("NO-SUCH", NO_ID, NO_ID, make.new_id()),
    }
    make.apply_all()
    ids = {
        "product": tea.pk,
        "category": Category.objects.get().pk,
        "productchange": ProductChange.objects.filter(key="TEA").get().pk,
        "group": Group.objects.get(name=roles.CLERK).pk,
        "user": User.objects.create(username="target", is_staff=True).pk,
    }
    ids["auditentry"] = AuditEntry.objects.filter(object_type="person").latest("pk").pk
    return Cast(_make_callers(lahore, karachi, quetta), places, ids)


def _furnish(store: Store) -> Place:
    make.receive(store, "TEA", 10)
    event = make.sale("NOBODY-KNOWS")
    issued = registry.issue_key(name="till", store=store)
    assert make.Api(issued.credential).post("/api/orders/sales/", event).status_code == 202
    return Place(store.code, store.pk, issued.key.pk, event["event_id"])


class Browser(make.Api):
    """A person of staff, signed in."""

    def __init__(self, user: User) -> None:
        super().__init__()
        self.client.force_login(user)


def _make_callers(lahore: Store, karachi: Store, quetta: Store) -> dict[str, make.Api]:
    yesterday = clock.now() - timedelta(days=1)
    revoked = registry.issue_key(name="revoked", store=lahore)
    registry.revoke_key(revoked.key)
    expired = registry.issue_key(
        name="expired", store=lahore, valid_from=yesterday, expires_at=clock.now()
    )
    seller = registry.issue_key(name="seller", store=lahore, scopes=[Scope.SALES_WRITE])
    return {
        "nobody": make.Api(),
        "revoked": make.Api(revoked.credential),
        "ended": make.Api(expired.credential),
        "till": make.make_device(lahore),
        "other": make.make_device(karachi),
        "seller": make.Api(seller.credential),
        "hq": make.make_head_office(),
        "guest": Browser(User.objects.create(username="guest", is_staff=True)),
        "clerk": Browser(office.make_person(roles.CLERK, lahore)),
        "manager": Browser(office.make_person(roles.MANAGER, lahore)),
        "region": Browser(office.make_person(roles.REGIONAL, lahore, quetta)),
        "catalog": Browser(office.make_person(roles.CATALOGUE)),
        "auditor": Browser(office.make_person(roles.AUDITOR)),
        "head": Browser(office.make_person(roles.HEAD_OFFICE)),
    }


# --- the addresses, as the URL resolver knows them --------------------------------------------


def all_routes() -> list[str]:
    """Every address, such as `/api/stores/<code>/`; the admin's by the name of their id."""
    return sorted(_callbacks())


@cache
def _callbacks() -> dict[str, Callable[..., Any]]:
    return dict(_walk(get_resolver(), "/"))


def _walk(resolver: Any, before: str) -> Iterator[tuple[str, Any]]:
    for pattern in resolver.url_patterns:
        route = before + _write(str(pattern.pattern))
        if isinstance(pattern, URLPattern):
            yield route, pattern.callback
        else:
            yield from _walk(pattern, route)


def _write(pattern: str) -> str:
    """`stores/<str:code>/` and `^(?P<app_label>a|b)/$` as `stores/<code>/` and `<app_label>/`."""
    text = re.sub(r"\(\?P(<\w+>)[^)]*\)", r"\1", pattern).strip("^$")
    return re.sub(r"<\w+:", "<", text).replace("<object_id>", "<id>")


def methods_of(route: str) -> list[str]:
    """The methods that an address of the API takes; the admin's take any, as Django's do."""
    view = _callbacks()[route]
    actions = getattr(view, "actions", None)
    known = getattr(view, "view_class", None) or getattr(view, "cls", None)
    if known is None or route.startswith("/admin/"):
        return ["GET", "POST"] if route.startswith("/admin/") else ["GET"]
    names = ("get", "post", "put", "patch", "delete")
    return [n.upper() for n in names if (n in actions if actions else hasattr(known, n))]


# --- how each is asked ------------------------------------------------------------------------

ABOUT_A_STORE = ("/api/stock/", "/api/orders/sales/", "/stockMovement")


def targets_of(method: str, route: str) -> tuple[str, ...]:
    """Of whom one can ask there: of a store, of something the chain has, or of nothing."""
    if _is_of_a_store(method, route):
        return TARGETS
    return (OWN, MISSING) if "<" in route else (OWN,)


def _is_of_a_store(method: str, route: str) -> bool:
    names = ("<code>", "<store_id>", "<event_id>", "/orderProduct/")
    twins = ("/stores/", "/leveltwin/", "/movementtwin/", "/saleeventtwin/", "/parkedevent/")
    if route.startswith("/admin/"):
        return "<id>" in route and any(name in route for name in twins)
    return route.startswith(ABOUT_A_STORE) or any(name in route for name in names)


def ask(cast: Cast, caller: str, method: str, route: str, target: str) -> Any:
    """Ask for this target; returns the answer. Who asked to log out stays signed in."""
    cookies = cast.callers[caller].client.cookies.copy()
    answer = _ask(cast, cast.callers[caller], method, route, target)
    cast.callers[caller].client.cookies = cookies
    return answer


def _ask(cast: Cast, api: make.Api, method: str, route: str, target: str) -> Any:
    place = cast.places[target]
    path = fill_in(cast, route, target)
    if route.startswith("/admin/"):
        form = {"hours": "1", "reason": "Typed twice."} if method == "POST" else {}
        call = api.client.post if method == "POST" else api.client.get
        return call(path, form, headers=api._headers())
    if _is_of_a_store(method, route) and method == "GET" and route.startswith(ABOUT_A_STORE):
        name = "storeId" if route == "/stockMovement" else "store"
        path += f"?{name}={place.store if name == 'storeId' else place.code}"
    elif "<event_id>" in route:
        path += f"?store={place.code}"
    return api.client.generic(
        method, path, _make_body(method, route, place),
        content_type="application/json", headers=api._headers(),
    )  # fmt: skip


def fill_in(cast: Cast, route: str, target: str) -> str:
    place, is_there = cast.places[target], target != MISSING
    product = cast.ids["product"] if is_there or "<store_id>" in route else NO_ID
    if "orderProduct" in route:
        product = cast.ids["product"]
    values = {
        "code": place.code, "event_id": place.event, "store_id": str(place.store),
        "sku": "TEA" if is_there else "NONE", "name": "Tea" if is_there else "None",
        "product_id": str(product), "id": _find_admin_id(cast, route, target),
        "content_type_id": "1", "app_label": "stores", "url": "nothing/here",
    }  # fmt: skip
    return routes.fill_in(route, **values)


def _find_admin_id(cast: Cast, route: str, target: str) -> str:
    place, tea = cast.places[target], cast.ids["product"]
    model = f"{route}//".split("/")[3]
    of_stores = {
        "store": str(place.store), "storekey": str(place.key), "leveltwin": f"{place.store}-{tea}",
        "movementtwin": f"{place.store}-1", "saleeventtwin": f"{place.store}-{place.event}",
        "parkedevent": f"{place.store}-{place.event}",
    }  # fmt: skip
    return of_stores.get(model, str(cast.ids.get(model, 1) if target != MISSING else NO_ID))


def _make_body(method: str, route: str, place: Place) -> bytes:
    if method not in WRITING:
        return b""
    moved = {"movementtype": "add", "quantity": 1, "event_id": make.new_id()}
    body = {
        "/api/stores/": {"code": "NEW", "name": "New"},
        "/api/stores/<code>/": {"name": "Other"},
        "/api/catalog/products/": {"sku": "NEW", "name": "New"},
        "/api/catalog/products/<sku>/": {"name": "Other"},
        "/api/catalog/categories/": {"name": "New"},
        "/api/catalog/categories/<name>/": {"name": "Other"},
        "/api/stock/movements/": make.movement(store=place.code),
        "/api/orders/sales/": make.sale(store=place.code),
        "/api/orders/sales/<event_id>/dismiss/": {"reason": "Typed twice."},
        "/addproduct": {"name": "Soap", "category": "Home"},
        "/addQuantity/<product_id>": moved,
        "/createProduct": {"name": "Soap", "price": 3},
        "/addStore": {"name": "New", "address": "Mall Road"},
        "/stock/<store_id>/<product_id>": moved,
        "/stockMovement": {"storeId": place.store},
        "/api/product/addProduct": {"productName": "Soap", "productPrice": 3},
        "/api/store/addStore": {"storeName": "New", "storeAddress": "Mall Road"},
        "/api/inventory/stores/<store_id>/stock/<product_id>": moved,
        "/api/order/orderProduct/<product_id>": {"storeId": place.store, "quantity": 1},
    }.get(route)
    return json.dumps(body).encode() if body else b""
