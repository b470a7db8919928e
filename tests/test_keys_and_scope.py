"""Keys open what they are for, and every door shows each caller only the stores that are theirs."""

import hashlib
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone as clock

from accounts import roles
from orders.models import SaleEvent
from stores import registry
from stores.models import StoreKey, StoreMember
from tests import databases, make, office
from tests.make import Api, sale

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


# --- what each caller sees; every door and caller is tests/security/test_matrix.py ---------------


class Browser(Api):
    """A person of staff, signed in."""

    def __init__(self, user):
        super().__init__()
        self.client.force_login(user)


@pytest.fixture
def parked(lahore, tea):
    """One parked event, one level and one category: something behind every address."""
    make.make_category()
    make.receive(lahore, "TEA", 10)
    event = sale("NOBODY-KNOWS")
    make.make_device(lahore).post("/api/orders/sales/", event)
    make.apply_all()
    return event["event_id"]


def test_event_of_another_store_is_told_like_one_that_nobody_sent(karachi, parked):
    till = make.make_device(karachi)
    foreign = till.get(f"/api/orders/sales/{parked}/")
    missing = till.get(f"/api/orders/sales/{make.new_id()}/")
    assert (foreign.status_code, foreign.content) == (404, missing.content)


@pytest.mark.parametrize("caller", ["device", "staff"])
def test_lists_hold_only_the_callers_own_store(lahore, karachi, parked, caller):
    make.receive(karachi, "TEA", 3)
    is_device = caller == "device"
    clerk = None if is_device else office.make_person(roles.CLERK, lahore)
    api = make.make_device(lahore) if is_device else Browser(clerk)
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
    user = office.make_person(roles.CLERK)
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
