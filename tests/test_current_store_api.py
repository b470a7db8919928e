"""`/api/stores/current/`: a till learns who it is, what it may send and where to follow from."""

from datetime import datetime

import pytest
from django.utils import timezone as clock

from stores.models import StoreKey
from tests import make

pytestmark = pytest.mark.django_db
CURRENT = "/api/stores/current/"


def test_till_learns_who_it_is(till, lahore, tea):
    before = clock.now()
    told = till.get(CURRENT).body
    assert before <= datetime.fromisoformat(told.pop("server_time")) <= clock.now()
    assert told == {
        "store": till.get("/api/stores/LHR-01/").body,
        "key": StoreKey.objects.get().prefix,
        "scopes": [
            "sales:write",
            "sales:read",
            "stock:read",
            "stock:write",
            "catalog:read",
            "stores:read",
        ],
        "head_office": False,
        "batch_events_max": 1_000,
        "request_bytes_max": 1_048_576,
        "limit": {"kind": "device", "units": 1_000_000, "seconds": 60, "events_a_unit": 50},
        "catalog_version": 1,
    }


def test_head_office_has_no_store(head_office):
    told = head_office.get(CURRENT).body
    assert (told["store"], told["head_office"], told["catalog_version"]) == (None, True, 0)
    assert told["limit"]["kind"] == "head_office"


def test_catalogue_version_is_where_to_follow_from(till):
    make.make_product("A")
    version = till.get(CURRENT).body["catalog_version"]
    make.make_product("B")
    feed = till.get("/api/catalog/changes/", after=version).body
    assert [change["key"] for change in feed["results"]] == ["B"]


def test_secret_is_not_told(till):
    assert till.credential.partition(".")[2] not in till.get(CURRENT).content.decode()


def test_costs_three_queries(till, django_assert_num_queries):
    with django_assert_num_queries(3):  # the key with its store, its age, the version
        till.get(CURRENT)
