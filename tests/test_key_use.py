"""When a key was last used is told to the minute, and no request waits for it."""

import time
import urllib.request
from datetime import timedelta

import pytest
from django.utils import timezone as clock

from stores import key_use, registry
from stores.models import StoreKey
from tests import make, office
from tests.make import Api, sale
from tests.web import running_web

in_process = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def nothing_noted():
    key_use._used.clear()


@in_process
def test_accepting_and_reading_write_nothing_and_the_next_telling_does(lahore, tea, each_door):
    till, idle = make.make_device(lahore), registry.issue_key(name="idle", store=lahore).key
    till.post("/api/orders/sales/", sale())
    till.get("/api/stores/")
    assert StoreKey.objects.filter(last_used_at__isnull=False).count() == 0
    assert key_use.write_uses() == 1
    used = StoreKey.objects.exclude(pk=idle.pk).get()
    assert clock.now() - used.last_used_at < MINUTE
    assert key_use.write_uses() == 0
    rows = office.rows_of(office.head_of_chain().get("/admin/stores/storekey/"))
    shown = {row: str(used.last_used_at.year) in row for row in rows}
    assert shown == {row: used.prefix in row for row in rows}


@in_process
def test_wrong_secret_and_refused_keys_are_not_used(lahore, till):
    key = StoreKey.objects.get()
    Api(f"{key.prefix}.wrong").get("/api/stores/")
    Api(f"{key.prefix}.wrong").post("/api/orders/sales/", sale())
    registry.revoke_key(key)
    till.get("/api/stores/")
    assert key_use.write_uses() == 0


@in_process
def test_all_are_told_in_as_many_statements_as_one(lahore, django_assert_num_queries):
    devices = [make.make_device(lahore) for _ in range(20)]
    for device in devices:
        device.get("/api/stores/")
    with django_assert_num_queries(4):  # savepoint, which are free, tell, release
        assert key_use.write_uses() == 20


def test_web_process_tells_by_itself(committed):
    credential = registry.issue_key(name="till", store=make.make_store()).credential
    with running_web(KEY_USE_WRITE_S="1") as url:
        request = urllib.request.Request(
            f"{url}/api/stores/current/", headers={"Authorization": f"Api-Key {credential}"}
        )
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).close()
        deadline = time.monotonic() + 15
        while StoreKey.objects.get().last_used_at is None and time.monotonic() < deadline:
            time.sleep(0.1)
    assert clock.now() - StoreKey.objects.get().last_used_at < MINUTE
