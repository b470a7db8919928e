"""Keys open what they are for, and every door shows each caller only the stores that are theirs."""

import hashlib
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone as clock

from accounts.models import User
from orders.models import SaleEvent
from stores import registry
from stores.models import StoreKey, StoreMember
from tests import databases, make, routes
from tests.make import Api, movement, sale

pytestmark = pytest.mark.django_db


# --- keys -----------------------------------------------------------------------------------


def all_stored_text():
    with connection.cursor() as cursor:
        for table in databases._lasting_tables():
            cursor.execute(f'SELECT * FROM "{table}"')
            yield from (repr(row) for row in cursor.fetchall())


def test_only_the_hash_of_a_secret_is_stored(lahore):
    issued = registry.issue_key(name="till", store=lahore)
    prefix, _, secret = issued.credential.partition(".")
    assert StoreKey.objects.get().prefix == prefix
    assert StoreKey.objects.get().secret_sha256 == hashlib.sha256(secret.encode()).hexdigest()
    Api(issued.credential).post("/api/orders/sales/", sale())
    assert not [row for row in all_stored_text() if secret in row]
    assert [row for row in all_stored_text() if prefix in row]


def test_secret_has_256_bits_and_no_two_are_alike(lahore):
    credentials = {registry.issue_key(name="till", store=lahore).credential for _ in range(20)}
    assert len(credentials) == 20
    assert {len(c.partition(".")[2]) for c in credentials} == {43}


def test_revoked_key_fails_on_the_next_request(till):
    assert till.get("/api/stores/").status_code == 200
    registry.revoke_key(StoreKey.objects.get())
    assert till.get("/api/stores/").status_code == 401
    assert till.post("/api/orders/sales/", sale()).status_code == 401
    assert not SaleEvent.objects.exists()


def test_revoking_again_keeps_the_first_time(till):
    first = registry.revoke_key(StoreKey.objects.get()).revoked_at
    assert registry.revoke_key(StoreKey.objects.get()).revoked_at == first


def test_expired_key_and_key_not_yet_valid_fail(lahore):
    now = clock.now()
    hour = timedelta(hours=1)
    for begins, ends, status in (
        (now - 2 * hour, now - hour, 401), (now - hour, now + hour, 200),
        (now + hour, None, 401), (now - hour, None, 200),
    ):  # fmt: skip
        issued = registry.issue_key(name="t", store=lahore, valid_from=begins, expires_at=ends)
        assert Api(issued.credential).get("/api/stores/").status_code == status


def test_key_of_a_retired_store_fails_and_works_again_when_it_reopens(till, lahore):
    registry.retire_store(lahore)
    assert till.get("/api/stores/current/").status_code == 401
    registry.restore_store(lahore)
    assert till.get("/api/stores/current/").status_code == 200


def test_keys_of_one_store_are_independent(till, lahore):
    other = make.make_device(lahore)
    registry.revoke_key(StoreKey.objects.order_by("pk").first())
    assert till.get("/api/stores/").status_code == 401
    assert other.get("/api/stores/").status_code == 200


# --- the matrix -----------------------------------------------------------------------------

CALLERS = ("device", "foreign device", "head office", "nobody", "staff", "foreign staff")
# What each caller is answered about the Lahore store, by route. Devices and staff are of Lahore,
# or, where foreign, of Karachi. A row starts with the method and route, and names the status for
# each of CALLERS.
READ_BY_ALL = (200, 200, 200, 401, 200, 200)
HEAD_OFFICE_WRITES = (403, 403, 200, 401, 403, 403)
MATRIX = {
    ("GET", "/api/stores/"): READ_BY_ALL,
    ("POST", "/api/stores/"): (403, 403, 201, 401, 403, 403),
    ("GET", "/api/stores/<code>/"): (200, 404, 200, 401, 200, 404),
    ("PATCH", "/api/stores/<code>/"): HEAD_OFFICE_WRITES,
    ("POST", "/api/stores/<code>/retire/"): HEAD_OFFICE_WRITES,
    ("GET", "/api/stores/current/"): READ_BY_ALL,
    ("GET", "/api/catalog/products/"): READ_BY_ALL,
    ("POST", "/api/catalog/products/"): (403, 403, 201, 401, 403, 403),
    ("GET", "/api/catalog/products/<sku>/"): READ_BY_ALL,
    ("PATCH", "/api/catalog/products/<sku>/"): HEAD_OFFICE_WRITES,
    ("POST", "/api/catalog/products/<sku>/retire/"): HEAD_OFFICE_WRITES,
    ("GET", "/api/catalog/categories/"): READ_BY_ALL,
    ("POST", "/api/catalog/categories/"): (403, 403, 201, 401, 403, 403),
    ("GET", "/api/catalog/categories/<name>/"): READ_BY_ALL,
    ("PATCH", "/api/catalog/categories/<name>/"): HEAD_OFFICE_WRITES,
    ("POST", "/api/catalog/categories/<name>/retire/"): HEAD_OFFICE_WRITES,
    ("GET", "/api/catalog/changes/"): READ_BY_ALL,
    ("GET", "/api/stock/levels/"): (200, 404, 200, 401, 200, 404),
    ("GET", "/api/stock/movements/"): (200, 404, 200, 401, 200, 404),
    ("POST", "/api/stock/movements/"): (201, 404, 201, 401, 201, 404),
    ("GET", "/api/stock/changes/"): (200, 404, 200, 401, 200, 404),
    ("GET", "/api/orders/sales/"): (200, 404, 200, 401, 200, 404),
    # The store of a sale is a field of it: a foreign one is an unknown one, 400 like any field.
    ("POST", "/api/orders/sales/"): (202, 400, 202, 401, 202, 400),
    ("GET", "/api/orders/sales/<event_id>/"): (200, 404, 200, 401, 200, 404),
    # Deciding about parked events is for people and head office.
    ("POST", "/api/orders/sales/<event_id>/replay/"): (403, 404, 202, 401, 202, 404),
    ("POST", "/api/orders/sales/<event_id>/dismiss/"): (403, 404, 200, 401, 200, 404),
    # Open on a desk; in production for people who are signed in (test_schema.py).
    ("GET", "/api/schema/"): (200, 200, 200, 200, 200, 200),
    ("GET", "/api/docs/"): (200, 200, 200, 200, 200, 200),
}
BODIES = {
    ("POST", "/api/stores/"): {"code": "NEW", "name": "New"},
    ("PATCH", "/api/stores/<code>/"): {"name": "Other"},
    ("POST", "/api/catalog/products/"): {"sku": "NEW", "name": "New"},
    ("PATCH", "/api/catalog/products/<sku>/"): {"name": "Other"},
    ("POST", "/api/catalog/categories/"): {"name": "New"},
    ("PATCH", "/api/catalog/categories/<name>/"): {"name": "Other"},
    ("POST", "/api/orders/sales/<event_id>/dismiss/"): {"reason": "Typed twice."},
}
ABOUT_A_STORE = {
    route for route, row in MATRIX.items()
    if "<event_id>" in route[1]
    or (route[0] == "GET" and route[1].startswith(("/api/stock/", "/api/orders/")))
}  # fmt: skip


def test_every_route_has_a_row():
    assert sorted(MATRIX) == routes.api_routes()


class Browser(Api):
    """A person of staff, signed in."""

    def __init__(self, user):
        super().__init__()
        self.client.force_login(user)


def make_caller(name, lahore, karachi):
    store = karachi if name.startswith("foreign") else lahore
    if name.endswith("device"):
        return make.make_device(store)
    if name.endswith("staff"):
        user = User.objects.create(username=name, is_staff=True)
        StoreMember.objects.create(user=user, store=store)
        return Browser(user)
    return make.make_head_office() if name == "head office" else Api()


@pytest.fixture
def parked(lahore, tea):
    """One parked event, one level and one category: something behind every address."""
    make.make_category()
    make.receive(lahore, "TEA", 10)
    event = sale("NOBODY-KNOWS")
    make.make_device(lahore).post("/api/orders/sales/", event)
    make.apply_all()
    return event["event_id"]


def ask(api, method, route, parked, code):
    key = (method, route)
    path = routes.fill_in(route, code=code, sku="TEA", name="Tea", event_id=parked)
    if key in ABOUT_A_STORE:
        path += f"?store={code}"
    body = BODIES.get(key, b"")
    if key == ("POST", "/api/stock/movements/"):
        body = movement(store=code, event_id=parked[:-4] + "0000")
    if key == ("POST", "/api/orders/sales/"):
        body = sale(store=code, event_id=parked[:-4] + "0000")
    return api.client.generic(
        method, path, make.json.dumps(body) if body else b"",
        content_type="application/json", headers=api._headers(),
    )  # fmt: skip


@pytest.mark.parametrize(("method", "route"), MATRIX)
def test_each_caller_is_answered_as_declared(lahore, karachi, parked, method, route):
    for caller, status in zip(CALLERS, MATRIX[method, route], strict=True):
        api = make_caller(caller, lahore, karachi)
        before = databases.hash_tables()
        savepoint = transaction.savepoint()
        answer = ask(api, method, route, parked, "LHR-01")
        assert answer.status_code == status, (caller, answer.content)
        if status >= 400:
            assert databases.hash_tables() == before
        transaction.savepoint_rollback(savepoint)


@pytest.mark.parametrize(
    ("method", "route"),
    [r for r, row in MATRIX.items() if row[1] in (400, 404) and row[2] < 300],
)
@pytest.mark.parametrize("caller", ["foreign device", "foreign staff"])
def test_foreign_store_is_answered_byte_for_byte_like_a_missing_one(
    lahore, karachi, parked, caller, method, route
):
    api = make_caller(caller, lahore, karachi)
    foreign = ask(api, method, route, parked, "LHR-01")
    missing = ask(api, method, route, parked, "NO-SUCH")
    assert foreign.status_code in (400, 404)
    assert (foreign.status_code, foreign.content) == (missing.status_code, missing.content)
    for answer in (foreign, missing):
        del answer.headers["RateLimit"]  # what is left grows less with every request
        answer.headers.pop("X-Request-ID", None)  # each has its own
    assert dict(foreign.headers) == dict(missing.headers)


def test_event_of_another_store_is_told_like_one_that_nobody_sent(karachi, parked):
    till = make.make_device(karachi)
    foreign = till.get(f"/api/orders/sales/{parked}/")
    missing = till.get(f"/api/orders/sales/{make.new_id()}/")
    assert (foreign.status_code, foreign.content) == (404, missing.content)


@pytest.mark.parametrize("caller", ["device", "staff"])
def test_lists_hold_only_the_callers_own_store(lahore, karachi, parked, caller):
    make.receive(karachi, "TEA", 3)
    api = make_caller(caller, lahore, karachi)
    days = {"recorded_from": clock.now().date().isoformat(),
            "recorded_to": (clock.now() + timedelta(days=2)).date().isoformat()}  # fmt: skip
    query = days if caller == "staff" else {}
    lists = {
        "stores": api.get("/api/stores/").body["results"],
        "levels": api.get("/api/stock/levels/").body["results"],
        "movements": api.get("/api/stock/movements/", **query).body["results"],
        "changes": api.get("/api/stock/changes/", store="LHR-01").body["results"],
        "sales": api.get("/api/orders/sales/", store="LHR-01").body["results"],
    }
    assert {name: len(rows) for name, rows in lists.items()} == dict.fromkeys(lists, 1)
    assert {row.get("store", row.get("code")) for rows in lists.values() for row in rows} == {
        "LHR-01"
    }


def test_staff_of_two_stores_see_both_and_a_stranger_of_staff_sees_none(lahore, karachi, tea):
    make.receive(lahore, "TEA", 1)
    make.receive(karachi, "TEA", 2)
    user = make.make_user(is_staff=True)
    browser = Browser(user)
    assert browser.get("/api/stock/levels/").body["results"] == []
    assert browser.get("/api/stores/").body["results"] == []
    for store in (lahore, karachi):
        StoreMember.objects.create(user=user, store=store)
    assert [r["quantity"] for r in browser.get("/api/stock/levels/").body["results"]] == [1, 2]
    StoreMember.objects.filter(store=karachi).delete()
    assert [r["quantity"] for r in browser.get("/api/stock/levels/").body["results"]] == [1]


def test_superuser_works_chain_wide(lahore, karachi, tea):
    make.receive(lahore, "TEA", 1)
    make.receive(karachi, "TEA", 2)
    browser = Browser(make.make_superuser())
    assert [r["quantity"] for r in browser.get("/api/stock/levels/").body["results"]] == [1, 2]
    assert browser.post("/api/catalog/products/", {"sku": "A", "name": "A"}).status_code == 201
