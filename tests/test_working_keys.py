"""The key of a request is looked up by SQL of its own: it must say what the ORM's rule says."""

import itertools
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone as clock

from stores import registry
from stores.authentication import find_working_key
from stores.models import Store, StoreKey
from tests.make import make_device, make_store

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def make_keys():
    """One of each: head office's, of an open and of a retired store, in and out of its time."""
    now = clock.now()
    stores = [None, make_store("OPEN"), registry.retire_store(make_store("GONE"))]
    for number, (store, revoked_at, valid_from, expires_at) in enumerate(
        itertools.product(
            stores, [None, now], [now - HOUR, now + HOUR], [None, now - HOUR / 2, now + 2 * HOUR]
        )
    ):
        if expires_at and expires_at <= valid_from:
            continue
        yield StoreKey.objects.create(
            prefix=f"p{number}", secret_sha256="x" * 64, name="till", store=store,
            revoked_at=revoked_at, valid_from=valid_from, expires_at=expires_at,
        )  # fmt: skip


def fields_of(row):
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def test_it_opens_for_the_same_keys_as_the_rule_of_the_back_office():
    keys = list(make_keys())
    opens = {key.prefix for key in keys if find_working_key(key.prefix)}
    assert opens == set(StoreKey.objects.working().values_list("prefix", flat=True))
    assert len(keys) == 30
    assert len(opens) == 4  # head office and the open store, with and without an end


def test_key_and_store_have_the_same_values_and_types_as_from_the_orm():
    for key in list(make_keys()):
        found = find_working_key(key.prefix)
        if found is None:
            continue
        expected = StoreKey.objects.get(pk=key.pk)
        assert fields_of(found) == fields_of(expected)
        if expected.store is None:
            assert found.store is None
            continue
        store = Store.objects.get(pk=expected.store_id)
        assert fields_of(found.store) == fields_of(store)
        assert {type(v) for v in fields_of(found.store).values()} == {
            type(v) for v in fields_of(store).values()
        }


def test_nobody_has_no_key():
    assert find_working_key("nobody") is None


def test_new_key_opens_also_where_the_clock_is_a_day_slow(lahore):
    """Found by `script/faults --kinds clocks`: a till was refused until its key had become old."""
    device = make_device(lahore)
    with time_machine.travel(clock.now() - timedelta(hours=23), tick=False):
        assert device.get("/api/stores/current/").status_code == 200
    with time_machine.travel(clock.now() - timedelta(days=2), tick=False):
        assert device.get("/api/stores/current/").status_code == 401
