"""`/metrics`: the numbers an alarm hangs on, for head office alone."""

import re
from datetime import timedelta

import pytest
from django.conf import settings
from django.test import override_settings
from django.utils import timezone as clock

from orders.models import SaleEvent
from script.server_process import free_port
from tests.bad_input.doors import is_problem
from tests.databases import CHECKOUT
from tests.make import Api, apply_all, sale

pytestmark = pytest.mark.django_db


def read(device):
    answer = device.client.get(
        "/metrics", headers={"Authorization": f"Api-Key {device.credential}"}
    )
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = [line.rsplit(" ", 1) for line in answer.content.decode().splitlines()]
    return {name: float(value) for name, value in lines if not name.startswith("#")}


def test_numbers_of_the_inbox_and_the_ledger(head_office, till, tea):
    for _ in range(3):
        till.post("/api/orders/sales/", sale())
    apply_all()
    till.post("/api/orders/sales/", sale(sku="NOBODY"))
    apply_all()
    till.post("/api/orders/sales/", sale())
    SaleEvent.objects.filter(status="pending").update(
        received_at=clock.now() - timedelta(seconds=90)
    )
    told = read(head_office)
    assert 90 <= told["kiryana_oldest_unapplied_seconds"] < 120
    assert told["kiryana_pending_events"] == 1
    assert told["kiryana_failing_events"] == 0
    assert told['kiryana_parked_events{reason="unknown_product"}'] == 1
    assert told['kiryana_parked_events{reason="failed"}'] == 0
    assert told["kiryana_movements"] == 3


def test_nothing_waits(head_office):
    assert read(head_office)["kiryana_oldest_unapplied_seconds"] == 0


def test_put_off_event_is_failing_and_not_late(head_office, till, tea):
    till.post("/api/orders/sales/", sale())
    SaleEvent.objects.update(
        attempts=1, next_try_at=clock.now() + timedelta(seconds=9),
        received_at=clock.now() - timedelta(seconds=90),
    )  # fmt: skip
    told = read(head_office)
    assert told["kiryana_failing_events"] == 1
    assert told["kiryana_oldest_unapplied_seconds"] == 0


@pytest.mark.postgresql
def test_redis_is_measured_and_may_be_away(head_office):
    assert read(head_office)["kiryana_redis_up"] == 1
    with override_settings(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0"):
        told = read(head_office)
    assert (told["kiryana_redis_up"], told["kiryana_doorbell_waiting"]) == (0, 0)


def test_only_head_office_may_look(till):
    is_problem(till.get("/metrics"), 403, "permission_denied")
    is_problem(Api().get("/metrics"), 401, "not_authenticated")


def test_every_alert_is_about_a_metric_that_is_told(head_office):
    rules = (CHECKOUT / "docs/operate/alerts.yml").read_text()
    asked = set(re.findall(r"kiryana_[a-z_]+", rules))
    told = {name.partition("{")[0] for name in read(head_office)}
    of_redis = {name for name in asked if "redis" in name or "doorbell" in name}
    assert "kiryana_oldest_unapplied_seconds" in asked
    assert asked - of_redis <= told
    assert not settings.REDIS_URL or of_redis <= told
