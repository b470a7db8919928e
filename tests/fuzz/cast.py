"""Who asks, and what there is to ask for. Runs inside Django: `manage.py shell -c`."""

import json
import re
from typing import Any

from django.contrib.auth.models import Permission
from django.test import Client

from orders.models import SaleEvent
from stores.models import Store, StoreMember
from tests import journal, make
from tests.compat.calls import Call, all_calls
from tests.fuzz.names import GONE, MARKS, OTHER, OWN

CSRF_TOKEN = "a" * 32


def main() -> None:
    """Make them; prints what the fuzzer has to know, as JSON."""
    stores = {code: make_store(code) for code in (OWN, OTHER)}
    make.make_store(GONE)
    for name in ("TEA", "GONE"):
        make.make_product(name, category=make.make_category(name), barcodes=[f"{name}-1"])
    for store in stores.values():
        fill(store)
    callers = {
        "anonymous": {},
        "device": key(make.make_device(stores[OWN])),
        "other_store": key(make.make_device(stores[OTHER])),
        "head_office": key(make.make_head_office()),
        "head_office_session": session("office"),
        "store_session": session("sana", stores[OWN]),
    }
    print(json.dumps({"callers": callers, "known": known(), "earlier": describe_earlier()}))


def make_store(code: str) -> Store:
    return make.make_store(code, name=f"Kiryana {MARKS[code]}", address=f"Road {MARKS[code]}")


def fill(store: Store) -> None:
    """Goods on the shelf, a sale that counted, and one that waits, parked."""
    make.receive(store, "TEA", 1_000)
    receipt = f"R-{MARKS[store.code]}"
    lines = [journal.line(sku, receipt=receipt) for sku in ("TEA", "NOBODY-KNOWS")]
    assert journal.accept(store, *lines) == ["accepted", "accepted"]
    make.apply_all()


def key(api: make.Api) -> dict[str, str]:
    return {"Authorization": f"Api-Key {api.credential}"}


def session(username: str, *stores: Store) -> dict[str, str]:
    """A browser in which this person of staff is signed in; head office where no store is named."""
    user = make.make_user(username, is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    if stores:
        user.user_permissions.remove(*Permission.objects.filter(codename__endswith="_chain_wide"))
    for store in stores:
        StoreMember.objects.create(user=user, store=store)
    client = Client()
    client.force_login(user)
    cookies = f"sessionid={client.cookies['sessionid'].value}; csrftoken={CSRF_TOKEN}"
    return {"Cookie": cookies, "X-CSRFToken": CSRF_TOKEN}


def known() -> dict[str, str]:
    """What stands in an address, by the name that the schema gives it."""
    store = Store.objects.get(code=OWN)
    parked = SaleEvent.objects.filter(store=store).first()
    return {
        "code": OWN, "sku": "TEA", "name": "TEA", "event_id": str(parked and parked.event_id),
        "store_id": str(store.pk), "product_id": "1",
    }  # fmt: skip


def describe_earlier() -> dict[str, Any]:
    """The addresses of earlier versions as OpenAPI: the product's own schema leaves them out."""
    paths: dict[str, Any] = {}
    for call in all_calls("{store_id}", "{product_id}"):
        path, _, query = call.path.partition("?")
        named = [(name, "path") for name in re.findall(r"{(\w+)}", path)]
        named += [(name, "query") for name in re.findall(r"(\w+)=", query)]
        paths.setdefault(path, {})[call.method.lower()] = {
            "parameters": [
                {"name": name, "in": place, "required": place == "path", "schema": {}}
                for name, place in named
            ],
            "responses": {"default": {"description": "Not described."}},
        } | describe_body(call)
    return {
        "openapi": "3.1.0", "info": {"title": "Earlier versions", "version": "1"}, "paths": paths,
    }  # fmt: skip


def describe_body(call: Call) -> dict[str, Any]:
    if call.body is None:
        return {}
    fields = {name: {} for name in call.body}
    schema = {"type": "object", "properties": fields, "required": list(fields)}
    media = ("application/json", "application/x-www-form-urlencoded")
    return {"requestBody": {"content": {name: {"schema": schema} for name in media}}}
