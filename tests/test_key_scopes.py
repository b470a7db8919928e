"""A key does what its scopes say and nothing else, at the door of sales as behind it."""

import json
import os
import subprocess
import sys

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import CommandError, call_command
from django.urls import URLResolver, get_resolver

from accounts import roles
from accounts.models import User
from inventory_project.errors import Invalid
from orders import accepting
from orders.models import SaleEvent
from stock.models import Movement
from stores import registry
from stores.models import TILL_SCOPES, Scope, StoreKey
from stores.permissions import find_not_given
from stores.principals import Principal
from tests import make, office
from tests.bad_input.doors import is_problem
from tests.databases import CHECKOUT, unchanged
from tests.make import Api, movement, sale
from tests.test_accept_door import sent
from tests.test_admin_stores_and_keys import KEYS, key_form, read_credential

pytestmark = pytest.mark.django_db
SALES = "/api/orders/sales/"


def make_key(store, *scopes):
    return Api(registry.issue_key(name="k", store=store, scopes=scopes).credential)


# What opens with each scope of a till, and what to send there.
DOORS = {
    Scope.SALES_WRITE: [("post", SALES, sale)],
    Scope.SALES_READ: [("get", SALES, None)],
    Scope.STOCK_READ: [
        ("get", "/api/stock/levels/", None), ("get", "/api/stock/movements/", None),
        ("get", "/api/stock/changes/", None),
    ],
    Scope.STOCK_WRITE: [("post", "/api/stock/movements/", movement)],
    Scope.CATALOG_READ: [
        ("get", "/api/catalog/products/", None), ("get", "/api/catalog/categories/", None),
        ("get", "/api/catalog/changes/", None), ("get", "/allProducts", None),
    ],
    Scope.STORES_READ: [("get", "/api/stores/", None), ("get", "/allStores", None)],
}  # fmt: skip


def knock(api, door):
    method, path, make_body = door
    return api.send(method, path, json.dumps(make_body()) if make_body else b"")


@pytest.mark.parametrize("scope", TILL_SCOPES)
def test_each_scope_opens_its_doors_and_no_other(lahore, tea, scope):
    api = make_key(lahore, scope)
    for other, doors in DOORS.items():
        for door in doors:
            if other == scope:
                assert knock(api, door).status_code in (200, 201, 202), door
                continue
            with unchanged():
                problem = is_problem(knock(api, door), 403, "scope_missing")
            assert problem["detail"] == f"This key lacks the scope {other}. " + (
                "Ask for a key that has it."
            )


def test_sale_without_the_scope_is_refused_at_each_door(lahore, tea, each_door):
    api = make_key(lahore, Scope.STOCK_READ)
    for body in (sale(), {"events": [sale(), sale()]}, {"nonsense": 1}):
        with unchanged():
            problem = is_problem(api.post(SALES, body), 403, "scope_missing")
        assert "sales:write" in problem["detail"]


def test_who_lacks_it_harms_no_neighbour_of_the_same_commit(lahore, tea):
    lacking, till = make_key(lahore, Scope.STOCK_READ), make_key(lahore, Scope.SALES_WRITE)
    requests = [sent(api.credential, sale()) for api in (till, lacking, till)]
    assert [answer.status for answer in accepting.answer_all(requests)] == [202, 403, 202]
    assert SaleEvent.objects.count() == 2


def test_scopes_cost_no_statement(lahore, tea, django_assert_num_queries):
    till = make_key(lahore, Scope.SALES_WRITE)
    till.post(SALES, sale())
    with django_assert_num_queries(5):  # as in test_accept_door.py
        till.post(SALES, sale())
    till.get("/api/stock/levels/")  # the first refusal of a minute is noted in the audit
    with django_assert_num_queries(1):
        till.get("/api/stock/levels/")


def test_scopes_taken_away_are_gone_with_the_next_request(lahore, tea):
    till = make_key(lahore, Scope.SALES_WRITE)
    assert till.post(SALES, sale()).status_code == 202
    StoreKey.objects.update(scopes=Scope.STOCK_READ)
    assert till.post(SALES, sale()).status_code == 403
    assert SaleEvent.objects.count() == 1


def test_key_without_any_scope_only_says_who_it_is(lahore, tea):
    api = make_key(lahore)
    told = api.get("/api/stores/current/")
    assert (told.status_code, told.body["scopes"]) == (200, [])
    for doors in DOORS.values():
        for door in doors:
            is_problem(knock(api, door), 403, "scope_missing")


def test_head_office_key_with_one_scope_reads_every_store_and_writes_none(lahore, karachi, tea):
    make.receive(karachi, "TEA", 3)
    api = make_key(None, Scope.STOCK_READ)
    assert [row["store"] for row in api.get("/api/stock/levels/").body["results"]] == ["KHI-02"]
    with unchanged():
        for path, body in (
            ("/api/stores/", {"code": "A", "name": "A"}),
            ("/api/catalog/products/", {"sku": "A", "name": "A"}),
            ("/api/stock/movements/", movement(store="KHI-02")),
        ):
            is_problem(api.post(path, body), 403, "scope_missing")
        is_problem(api.get("/metrics"), 403, "scope_missing")
    assert Movement.objects.count() == 1


@pytest.mark.parametrize("scope", sorted({*Scope} - {*TILL_SCOPES}))
def test_key_of_a_store_cannot_have_what_head_office_does(lahore, scope):
    with pytest.raises(Invalid):
        registry.issue_key(name="k", store=lahore, scopes=[scope])
    with pytest.raises(CommandError, match="--scope: a key of a store can have: sales:write"):
        call_command("createkey", "--store", "LHR-01", "--name", "k", "--scope", scope)
    answer = office.head_of_chain().post(f"{KEYS}add/", key_form(store=lahore.pk, may=[scope]))
    assert f"Only a key of head office can have: {scope}." in office.text_of(answer)
    assert not StoreKey.objects.exists()


def test_unknown_scope_is_refused(lahore):
    for scopes in (["sales:*"], ["SALES:WRITE"], ["sales:write stock:read"], [""]):
        with pytest.raises(Invalid):
            registry.issue_key(name="k", store=lahore, scopes=scopes)
    with pytest.raises(CommandError):
        call_command("createkey", "--store", "LHR-01", "--name", "k", "--scope", "all")
    assert not StoreKey.objects.exists()


def test_command_and_page_give_the_scopes_that_were_chosen(lahore):
    chosen = [Scope.STOCK_READ, Scope.SALES_WRITE]
    arguments = [word for scope in chosen for word in ("--scope", scope)]
    call_command("createkey", "--store", "LHR-01", "--name", "by command", *arguments)
    head = office.head_of_chain()
    page = head.post(f"{KEYS}add/", key_form(name="by page", store=lahore.pk, may=chosen))
    assert Api(read_credential(page)).get("/api/stock/levels/").status_code == 200
    assert set(StoreKey.objects.values_list("scopes", flat=True)) == {"sales:write stock:read"}
    assert head.post(f"{KEYS}add/", key_form(store=lahore.pk, may=[])).status_code == 200
    assert StoreKey.objects.count() == 2
    assert "sales:write, stock:read" in office.text_of(head.get(KEYS))


def test_key_of_the_page_opens_also_where_the_clock_is_a_day_slow(lahore):
    office.head_of_chain().post(f"{KEYS}add/", key_form(store=lahore.pk))
    key = StoreKey.objects.get()
    assert key.created_at - key.valid_from >= registry.CLOCK_BEHIND_MAX


def test_manager_with_two_roles_cannot_revoke_what_they_only_see(lahore, karachi):
    """An auditor sees every store's keys; who manages Lahore as well still has only those."""
    user = office.make_person("Auditor", username="both")
    user.groups.add(office.Group.objects.get(name="Regional manager"))
    office.StoreMember.objects.create(user=user, store=lahore)
    keys = [registry.issue_key(name="k", store=store).key for store in (lahore, karachi, None)]
    client = office.sign_in(user)
    assert len(office.rows_of(client.get(KEYS))) == 3
    for key in keys[1:]:
        for verb in ("revoke", "rotate"):
            with unchanged():
                assert client.post(f"{KEYS}{key.pk}/{verb}/", {"hours": 1}).status_code == 403
    assert client.post(f"{KEYS}{keys[0].pk}/revoke/").status_code == 302
    assert StoreKey.objects.filter(revoked_at__isnull=False).get() == keys[0]


MIGRATE = """
import django; django.setup()
from django.core.management import call_command
from django.conf import settings
import sqlite3, sys
def ask(sql, *params):
    with sqlite3.connect(settings.DATABASES["default"]["NAME"]) as db:
        return db.execute(sql, params).fetchall()
call_command("migrate", "stores", "0002", verbosity=0)
ask("INSERT INTO stores_store VALUES (1, 'A', 'A', '', 'UTC', 'PKR', '', NULL, '2026-01-01', 1)")
for prefix, store in (("till", 1), ("office", None)):
    ask("INSERT INTO stores_storekey (prefix, secret_sha256, name, store_id, created_at, "
        "valid_from) VALUES (?, 'x', 'k', ?, '2026-01-01', '2026-01-01')", prefix, store)
for name in (["stores"], ["stores", "0002"], []):
    call_command("migrate", *name, verbosity=0)
print(ask("SELECT prefix, scopes FROM stores_storekey ORDER BY prefix"))
print(ask("SELECT count(*) FROM auth_group"))
"""


@pytest.mark.sqlite
@pytest.mark.parametrize("shop", ["", "true"])
def test_existing_keys_keep_what_they_could_do(tmp_path, shop):
    environment = os.environ | {
        "LOCAL_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "inventory_project.settings",
        "SHOP": shop or "false",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", MIGRATE], cwd=CHECKOUT, env=environment, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    till = " ".join(TILL_SCOPES)
    if shop:
        till = till.replace("catalog:read", "catalog:read catalog:write")
    keys, roles = done.stdout.splitlines()
    assert keys == str([("office", " ".join(Scope)), ("till", till)])
    assert roles == "[(6,)]"


BEYOND = "Your role may not do this itself, so a key of yours cannot: "


def make_two_roles(*stores):
    """Works for the whole chain by the one role, and issues keys by the other."""
    person = office.make_person(roles.CATALOGUE, *stores, username="both")
    person.groups.add(Group.objects.get(name=roles.REGIONAL))
    return office.sign_in(person)


@pytest.mark.parametrize("scope", [Scope.STORES_READ, Scope.STORES_WRITE])
def test_nobody_issues_or_rotates_a_key_that_may_more_than_they(lahore, scope):
    """A key of head office is told whom to call about a store, and these two roles are not."""
    both = make_two_roles(lahore)
    key = registry.issue_key(name="k", store=None, scopes=[scope]).key
    for answer in (
        both.post(f"{KEYS}add/", key_form(may=[Scope.CATALOG_READ, scope])),
        both.post(f"{KEYS}{key.pk}/rotate/", {"hours": 24}, follow=True),
    ):
        assert f"{BEYOND}{scope}." in office.text_of(answer)
    assert list(StoreKey.objects.values_list("pk", "expires_at")) == [(key.pk, None)]


def test_what_they_may_do_they_give(lahore):
    both = make_two_roles(lahore)
    may = [Scope.CATALOG_WRITE, Scope.SALES_DECIDE, Scope.STOCK_READ]
    assert read_credential(both.post(f"{KEYS}add/", key_form(may=may)))
    assert read_credential(both.post(f"{KEYS}add/", key_form(store=lahore.pk)))
    key = StoreKey.objects.get(store=None)
    assert key.scope_set == {*may}
    assert read_credential(both.post(f"{KEYS}{key.pk}/rotate/", {"hours": 24}))


def test_in_a_shop_alone_the_catalogue_is_given_by_who_may_change_it(lahore, settings):
    settings.SHOP = True
    regional = office.sign_in(office.make_person(roles.REGIONAL, lahore))
    may = [*TILL_SCOPES, Scope.CATALOG_WRITE]
    answer = regional.post(f"{KEYS}add/", key_form(store=lahore.pk, may=may))
    assert f"{BEYOND}catalog:write." in office.text_of(answer)
    assert not StoreKey.objects.exists()


def test_each_scope_beyond_a_till_is_given_by_who_may_do_all_that_it_opens(lahore):
    """What a view asks of a person for a scope, is asked of who gives the scope to a key."""
    asked = {}
    for view in {view for view in find_views() if hasattr(view, "needs")}:
        for need in view.needs.values():
            if need.scope not in ("", *TILL_SCOPES):
                asked.setdefault(need.scope, set()).add(need.permission)
    assert set(asked) == {*Scope} - {*TILL_SCOPES}
    for scope, permissions in asked.items():
        for lacking in permissions:
            given = Permission.objects.exclude(codename=lacking.partition(".")[2])
            person = User.objects.create(username=f"{scope} without {lacking}")
            person.user_permissions.set(given)
            assert find_not_given(Principal(user=person), [scope], of_chain=True) == [scope]


def find_views(patterns=None):
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(pattern, URLResolver):
            yield from find_views(pattern.url_patterns)
        else:
            view = pattern.callback
            yield getattr(view, "cls", None) or getattr(view, "view_class", view)
