"""No door changes catalogue, stores, keys, people or roles without an entry of who did it."""

import io
import json

import pytest
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command, get_commands
from django.db import transaction
from django.urls import get_resolver

from accounts import audit
from accounts.models import AuditEntry, User
from catalog import editing
from catalog.importing import import_catalog
from catalog.models import Product
from stores import registry
from stores.models import StoreKey
from tests import make, office
from tests.databases import hash_tables
from tests.routes import api_routes
from tests.test_admin_catalogue import product_form
from tests.test_admin_people import PASSWORD, user_form

pytestmark = pytest.mark.django_db

# What has to be noted where one of these tables changed.
NOTED_AS = {
    "stores_store": {"store.registered", "store.changed"},
    "stores_storekey": {"key.issued", "key.changed", "key.revoked"},
    "stores_storemember": {"person.powers"},
    "accounts_user": {"person.added", "person.changed"},
    "accounts_user_groups": {"person.powers"},
    "accounts_user_user_permissions": {"person.powers"},
    "mfa_authenticator": {"second_factor.added", "second_factor.removed"},
    "auth_group": {"role.added", "role.changed"},
    "auth_group_permissions": {"role.changed"},
    "catalog_product": {"catalog.changed"},
    "catalog_category": {"catalog.changed"},
    "catalog_barcode": {"catalog.changed"},
}
STORE = {"code": "NEW-1", "name": "New", "address": "", "timezone": "Asia/Karachi",
         "currency": "PKR", "negative_stock": ""}  # fmt: skip
CSV = "sku,name,category,unit,price,barcodes\nNEW-1,One,Fresh,,1,\nNEW-2,Two,Fresh,,2,\n"


class Cast:
    """A chain with one of each, its head-office key, and its head at the back office."""

    def __init__(self):
        self.store, self.product = make.make_store("LHR-01"), make.make_product("TEA")
        self.category = make.make_category("Shelf")
        self.api, self.head = make.make_head_office(), office.head_of_chain()
        self.key = registry.issue_key(name="till", store=self.store).key
        self.sana = User.objects.create(username="sana", is_staff=True)
        self.role = Group.objects.create(name="Night shift")
        TOTP.activate(self.sana, "A" * 32)
        self.permission = Permission.objects.get(codename="view_product")

    def page(self, address, form=None):
        return self.head.post(f"/admin/{address}", form or {})


# Method and address as the resolver knows them, and somebody who goes through.
API = {
    ("POST", "/api/stores/"): lambda c: c.api.post("/api/stores/", {"code": "N", "name": "N"}),
    ("PATCH", "/api/stores/<code>/"): lambda c: c.api.patch(
        "/api/stores/LHR-01/", {"name": "Renamed"}
    ),
    ("POST", "/api/stores/<code>/retire/"): lambda c: c.api.post("/api/stores/LHR-01/retire/"),
    ("POST", "/api/catalog/products/"): lambda c: c.api.post(
        "/api/catalog/products/", {"sku": "N", "name": "N", "barcodes": [{"code": "A-1"}]}
    ),
    ("PATCH", "/api/catalog/products/<sku>/"): lambda c: c.api.patch(
        "/api/catalog/products/TEA/", {"price": "7", "barcodes": [{"code": "A-1"}]}
    ),
    ("POST", "/api/catalog/products/<sku>/retire/"): lambda c: c.api.post(
        "/api/catalog/products/TEA/retire/"
    ),
    ("POST", "/api/catalog/categories/"): lambda c: c.api.post(
        "/api/catalog/categories/", {"name": "New"}
    ),
    ("PATCH", "/api/catalog/categories/<name>/"): lambda c: c.api.patch(
        "/api/catalog/categories/Shelf/", {"name": "Renamed"}
    ),
    ("POST", "/api/catalog/categories/<name>/retire/"): lambda c: c.api.post(
        "/api/catalog/categories/Shelf/retire/"
    ),
}
# The ledger and its inbox are their own record, and name who and when.
API_OF_THE_LEDGER = {
    ("POST", "/api/stock/movements/"),
    ("POST", "/api/orders/sales/"),
    ("POST", "/api/orders/sales/<event_id>/replay/"),
    ("POST", "/api/orders/sales/<event_id>/dismiss/"),
}
EARLIER = {
    "addproduct": {"name": "A", "category": "New"},
    "createProduct": {"name": "B", "price": 1},
    "addStore": {"name": "C", "address": "Street 1"},
    "api/product/addProduct": {"productName": "D", "productPrice": 1},
    "api/store/addStore": {"storeName": "E", "storeAddress": "Street 2"},
}
EARLIER_OF_THE_LEDGER = {
    "addQuantity/<str:product_id>", "stock/<str:store_id>/<str:product_id>", "stockMovement",
    "api/inventory/stores/<str:store_id>/stock/<str:product_id>",
    "api/order/orderProduct/<str:product_id>",
}  # fmt: skip
PAGES = {
    "store added": lambda c: c.page("stores/store/add/", STORE),
    "store changed": lambda c: c.page(
        f"stores/store/{c.store.pk}/change/", STORE | {"name": "Other"}
    ),
    "store retired": lambda c: c.page(f"stores/store/{c.store.pk}/retire/"),
    "store, selected retired": lambda c: c.page(
        "stores/store/", {"action": "retire_selected", "_selected_action": [c.store.pk]}
    ),
    "key issued": lambda c: c.page(
        "stores/storekey/add/", {"name": "till 2", "store": c.store.pk, "may": ["sales:write"]}
    ),
    "key revoked": lambda c: c.page(f"stores/storekey/{c.key.pk}/revoke/"),
    "person added": lambda c: c.page(
        "accounts/user/add/",
        {"username": "bob", "password1": PASSWORD, "password2": PASSWORD,
         "usable_password": "true"},
    ),
    "person changed": lambda c: c.page(
        f"accounts/user/{c.sana.pk}/change/", user_form(email="sana@example.org")
    ),
    "person given power": lambda c: c.page(
        f"accounts/user/{c.sana.pk}/change/",
        user_form(c.store, groups=[c.role.pk], user_permissions=[c.permission.pk],
                  is_superuser="on"),
    ),
    "password changed": lambda c: c.page(
        f"accounts/user/{c.sana.pk}/password/",
        {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"},
    ),
    "own password changed": lambda c: c.page(
        "password_change/",
        {"old_password": "old", "new_password1": PASSWORD, "new_password2": PASSWORD},
    ),
    "role added": lambda c: c.page(
        "auth/group/add/", {"name": "Night clerk", "permissions": [c.permission.pk]}
    ),
    "role changed": lambda c: c.page(
        f"auth/group/{c.role.pk}/change/", {"name": "Boss", "permissions": [c.permission.pk]}
    ),
    "product added": lambda c: c.page("catalog/product/add/", product_form(("", "A-1", 1))),
    "product changed": lambda c: c.page(
        f"catalog/product/{c.product.pk}/change/", product_form(name="Other")
    ),
    "product retired": lambda c: c.page(f"catalog/product/{c.product.pk}/retire/"),
    "products imported": lambda c: import_by_page(c),
    "category added": lambda c: c.page("catalog/category/add/", {"name": "New"}),
    "category changed": lambda c: c.page(
        f"catalog/category/{c.category.pk}/change/", {"name": "Other"}
    ),
    "category retired": lambda c: c.page(f"catalog/category/{c.category.pk}/retire/"),
}  # fmt: skip
# Models whose pages only show, or that are Django's own notes.
SHOWN_ONLY = {
    "AuditEntry", "ProductChange", "LevelTwin", "MovementTwin", "SaleEventTwin", "ParkedEvent",
}  # fmt: skip
COMMANDS = {
    "createkey": ("--store", "LHR-01", "--name", "till"),
    "importcatalog": ("catalog.csv",),
    "createsuperuser": ("--noinput", "--username", "root", "--email", "root@example.org"),
    "changepassword": ("sana",),
    "rotatekey": ("PREFIX",),
    "resetsecondfactor": ("sana",),
}
# Those that change nothing of it, and those that have a test of their own.
OTHER_COMMANDS = {
    "backupshop", "checkaudit", "checkledger", "loadsample", "moveshop", "replayparked",
    "restoreshop", "rotatekeys", "sealaudit", "showroles", "sweep",
}  # fmt: skip


def import_by_page(cast):
    address = "catalog/product/import/"
    file = io.BytesIO(CSV.encode())
    file.name = "a.csv"
    checked = cast.page(address, {"step": "check", "file": file}).context["checked"]
    return cast.page(address, {"step": "import", "checked": checked})


@pytest.fixture
def cast():
    return Cast()


def go_through(door, *args):
    """(what changed, the new entries, the answer); each changed table has its entry."""
    before, last = hash_tables(), AuditEntry.objects.values_list("id", flat=True).first() or 0
    answer = door(*args)
    after = hash_tables()
    changed = {name for name in NOTED_AS if before[name] != after[name]}
    entries = list(AuditEntry.objects.filter(id__gt=last).exclude(action="access.refused"))
    for table in changed:
        assert {entry.action for entry in entries} & NOTED_AS[table], f"{table}: {entries}"
    noted = {entry.action for entry in entries}
    assert noted <= set().union(*(NOTED_AS[table] for table in changed)), (noted, changed)
    return changed, entries, answer


@pytest.mark.parametrize("route", API, ids=" ".join)
def test_each_address_of_the_api_that_changes_something_notes_it(cast, route):
    changed, entries, answer = go_through(API[route], cast)
    assert (answer.status_code < 300, bool(changed)) == (True, True)
    prefix = cast.api.credential.partition(".")[0]
    for entry in entries:
        assert (entry.actor_kind, entry.actor, entry.address) == ("key", prefix, "127.0.0.1")
        assert entry.request_id == answer["X-Request-ID"] != ""


@pytest.mark.parametrize("address", EARLIER)
def test_each_earlier_address_that_changes_something_notes_it(cast, address, settings):
    settings.SHOP = True
    changed, entries, answer = go_through(lambda: cast.api.post(f"/{address}", EARLIER[address]))
    assert (answer.status_code, bool(changed)) == (200, True), answer.body
    assert {entry.request_id for entry in entries} == {answer["X-Request-ID"]}


@pytest.mark.parametrize("page", PAGES)
def test_each_page_that_changes_something_notes_it(cast, page):
    if page == "own password changed":
        head = User.objects.get(username="head")
        head.set_password("old")
        head.save()
        cast.head.force_login(head)
    changed, entries, answer = go_through(PAGES[page], cast)
    assert (answer.status_code in (200, 302), bool(changed)) == (True, True), answer.content
    for entry in entries:
        assert (entry.actor_kind, entry.actor) == ("person", "head")
        assert entry.request_id == answer["X-Request-ID"]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_that_changes_something_notes_it(cast, command, tmp_path, monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    monkeypatch.setattr("getpass.getpass", lambda **_: PASSWORD)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "catalog.csv").write_text(CSV)
    silent = {"stdout": io.StringIO(), "stderr": io.StringIO()}
    words = [word.replace("PREFIX", cast.key.prefix) for word in COMMANDS[command]]
    changed, entries, _ = go_through(lambda: call_command(command, *words, **silent))
    assert changed
    assert {entry.actor_kind for entry in entries} == {"program"}


def test_no_door_is_missing_here():
    """A new address, page or command has to be walked above, or to say why it need not be."""
    writing = {route for route in api_routes() if route[0] != "GET"}
    assert writing == set(API) | API_OF_THE_LEDGER
    included = next(p for p in get_resolver().url_patterns if hasattr(p, "urlconf_name"))
    earlier = {
        str(pattern.pattern)
        for pattern in included.url_patterns
        if any(hasattr(pattern.callback.view_class, m) for m in ("post", "put", "patch", "delete"))
    }
    assert earlier == set(EARLIER) | EARLIER_OF_THE_LEDGER
    walked = {"Store", "StoreKey", "User", "Group", "Product", "Category"}
    assert {model.__name__ for model in admin.site._registry} == walked | SHOWN_ONLY
    ours = ("accounts", "stores", "catalog", "stock", "orders", "compat", "inventory_project")
    commands = {name for name, app in get_commands().items() if app in ours}
    assert commands == OTHER_COMMANDS | (set(COMMANDS) & commands)


def test_what_is_refused_or_changes_nothing_notes_nothing(cast):
    for door in (
        lambda: cast.api.post("/api/stores/", {"code": "LHR-01", "name": "Taken"}),
        lambda: cast.api.patch("/api/catalog/products/TEA/", {"price": "120"}),
        lambda: cast.api.post("/api/catalog/products/", {"sku": "TEA", "name": "Taken"}),
        lambda: cast.page("stores/store/add/", STORE | {"timezone": "Nowhere"}),
        lambda: cast.page("accounts/user/add/", {"username": "bob", "password1": "1"}),
        lambda: cast.page(f"accounts/user/{cast.sana.pk}/change/", user_form(username="")),
    ):
        changed, entries, _ = go_through(door)
        assert (changed, entries) == (set(), [])


@pytest.mark.parametrize("name", ["store", "product", "key", "person"])
def test_a_change_that_is_taken_back_leaves_no_entry(cast, name):
    last = AuditEntry.objects.first().pk
    changes = {
        "store": lambda: registry.change_store(cast.store, name="Other"),
        "product": lambda: editing.change_product(cast.product, name="Other"),
        "key": lambda: registry.revoke_key(cast.key),
        "person": lambda: make.make_user("bob"),
    }
    with pytest.raises(RuntimeError), transaction.atomic():
        changes[name]()
        assert AuditEntry.objects.filter(pk__gt=last).exists()
        raise RuntimeError("something later failed")
    assert not AuditEntry.objects.filter(pk__gt=last).exists()


def test_a_change_whose_entry_cannot_be_written_is_not_made(cast, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("no room")

    monkeypatch.setattr(audit, "save_entry", fail)
    for change in (
        lambda: registry.change_store(cast.store, name="Other"),
        lambda: registry.revoke_key(cast.key),
        lambda: registry.issue_key(name="x", store=None),
        lambda: editing.change_product(cast.product, name="Other"),
    ):
        before = hash_tables()
        with pytest.raises(RuntimeError), transaction.atomic():
            change()
        assert hash_tables() == before


def test_before_and_after_are_told(cast):
    cast.api.patch("/api/stores/LHR-01/", {"name": "Renamed", "address": "Mall Road"})
    entry = AuditEntry.objects.first()
    assert (entry.action, entry.object_type, entry.object_id, entry.object_name) == (
        "store.changed", "store", str(cast.store.pk), "LHR-01",
    )  # fmt: skip
    assert json.loads(entry.before) == {"name": "Kiryana LHR-01", "address": ""}
    assert json.loads(entry.after) == {"name": "Renamed", "address": "Mall Road"}


def test_powers_are_told_by_name(cast):
    PAGES["person given power"](cast)
    powers = AuditEntry.objects.get(action="person.powers")
    assert json.loads(powers.after) == {
        "roles": ["Night shift"], "permissions": ["catalog.view_product"], "stores": ["LHR-01"],
    }  # fmt: skip
    person = AuditEntry.objects.filter(action="person.changed").first()
    assert json.loads(person.after) == {"is_superuser": True}


def test_an_import_is_one_entry_that_names_its_versions(cast):
    rows = "".join(f"SKU-{n},Product {n},,,1,\n" for n in range(1, 41))
    last = AuditEntry.objects.first().pk
    header = CSV.partition("\n")[0]
    call = io.StringIO(f"{header}\n{rows}")
    from_version = editing.current_version() + 1
    created = import_catalog(call).created
    (entry,) = AuditEntry.objects.filter(pk__gt=last)
    assert created == 40 == Product.objects.filter(sku__startswith="SKU-").count()
    assert json.loads(entry.after) == {
        "products": 40,
        "versions": [from_version, from_version + 39],
    }


def test_a_key_of_the_chain_that_acts_is_named_by_its_first_part_only(cast):
    cast.api.patch("/api/stores/LHR-01/", {"name": "Renamed"})
    secret = cast.api.credential.partition(".")[2]
    key = StoreKey.objects.get(store=None)
    entry = AuditEntry.objects.first()
    assert (entry.actor_id, entry.actor) == (key.pk, key.prefix)
    everything = str(list(AuditEntry.objects.values()))
    assert secret not in everything
    assert key.secret_sha256 not in everything
