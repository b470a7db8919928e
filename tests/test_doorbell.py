"""The doorbell: one message for many sales, no till waits for it, losing it loses nothing."""

import time
from pathlib import Path

import pytest
from django.conf import settings
from django.core.cache import caches
from django.test import override_settings

from inventory_project import failpoints
from inventory_project.celery import app
from orders import tasks
from script.server_process import wait_until
from stock.models import Movement
from tests.journal import accept, history, line, waiting
from tests.make import make_store, sale

pytestmark = pytest.mark.django_db

SALES = "/api/orders/sales/"


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """No mark, no message and no silence from the test before."""
    caches["doorbell"].clear()
    monkeypatch.setattr(tasks, "_silent_until", 0.0)
    monkeypatch.setattr(tasks, "PAUSE_S", 0)
    monkeypatch.setattr(tasks, "_pause", tasks._Pause())
    with app.connection_for_write() as broker:
        broker.default_channel.queue_purge("inventory_events")
    yield
    caches["doorbell"].clear()


@pytest.fixture
def dead_redis():
    """The mark lies in a Redis that is not there."""
    backend = "inventory_project.redis_cache.LastingRedisCache"
    away = {"BACKEND": backend, "LOCATION": "redis://127.0.0.1:9/0"}
    with override_settings(CACHES=settings.CACHES | {"doorbell": away}):
        yield


@pytest.fixture
def dead_folder():
    """The folder of the file-system broker is gone, and a file has its name."""
    folder = Path(settings.CELERY_BROKER_TRANSPORT_OPTIONS["data_folder_out"])
    away = folder.rename(folder.with_name("away"))
    folder.write_text("no folder")
    yield
    folder.unlink()
    away.rename(folder)


def messages():
    """Take all messages from the queue; returns their bodies."""
    found = []
    with app.connection_for_read() as broker:
        queue = broker.SimpleQueue("inventory_events")
        while True:
            try:
                message = queue.get(block=False)
            except queue.Empty:
                return found
            message.ack()
            found.append(message.payload)


def test_accepted_sale_rings_once_without_payload(till, lahore, tea):
    assert till.post(SALES, sale()).status_code == 202
    (body,) = messages()
    assert body[:2] == [[], {}]


def test_many_sales_ring_once(till, lahore, tea):
    for _ in range(5):
        till.post(SALES, {"events": [sale(), sale()]})
    assert len(messages()) == 1


def test_who_comes_in_the_pause_is_rung_for_once_when_it_is_over(lahore, monkeypatch):
    """Also when the worker has cleared the mark by then: their sales may have missed its drain."""
    monkeypatch.setattr(tasks, "PAUSE_S", 0.2)
    assert tasks.ring_doorbell() is True
    messages()
    caches["doorbell"].clear()
    assert [tasks.ring_doorbell() for _ in range(5)] == [False] * 5
    assert messages() == []
    wait_until(lambda: caches["doorbell"].get(tasks.RUNG_KEY), 5)
    time.sleep(0.3)
    assert len(messages()) == 1


def test_process_that_pauses_asks_nobody(lahore, dead_redis, monkeypatch, caplog):
    monkeypatch.setattr(tasks, "PAUSE_S", 0.2)
    assert tasks._pause.begins()
    assert tasks.ring_doorbell() is False
    assert caplog.text == ""
    time.sleep(0.3)
    assert "The doorbell is out of order" in caplog.text


def test_duplicates_and_refusals_do_not_ring(till, lahore, tea):
    event = sale()
    till.post(SALES, event)
    messages()
    caches["doorbell"].clear()
    assert till.post(SALES, event).status_code == 200
    assert till.post(SALES, event | {"quantity": 2}).status_code == 409
    assert till.post(SALES, {"events": [{"event_id": "no"}]}).status_code == 200
    assert messages() == []


def test_sale_committed_while_a_worker_drains_rings_again(till, lahore, tea, monkeypatch):
    till.post(SALES, sale())
    messages()
    rung = []

    def sell_another():
        if not rung:
            till.post(SALES, sale())
            rung.extend(messages())

    monkeypatch.setitem(failpoints.armed, "after_apply_commit_before_ack", sell_another)
    assert tasks.apply_sales() == 1
    assert len(rung) == 1
    assert tasks.apply_sales() == 1
    assert len(history(lahore)) == 2


@override_settings(SALES_APPLY_EVENTS_MAX=1)
def test_worker_that_runs_out_of_time_rings_for_the_rest(till, lahore, tea, monkeypatch):
    monkeypatch.setattr(tasks, "DRAIN_S_MAX", 0.05)
    monkeypatch.setitem(failpoints.armed, "before_apply_commit", lambda: time.sleep(0.06))
    till.post(SALES, {"events": [sale(), sale()]})
    messages()
    assert tasks.apply_sales() == 1
    assert len(messages()) == 1
    assert len(waiting(lahore)) == 1


def test_worker_without_progress_does_not_ring_itself(till, lahore, tea, monkeypatch):
    """Somebody else holds what is left; ringing would spin until that one is done."""
    monkeypatch.setattr(tasks, "DRAIN_S_MAX", 0)
    till.post(SALES, sale())
    messages()
    assert tasks.apply_sales() == 0
    assert messages() == []
    assert len(waiting(lahore)) == 1


def test_worker_that_leaves_nothing_is_silent(till, lahore, tea):
    till.post(SALES, sale())
    messages()
    assert tasks.apply_sales() == 1
    assert messages() == []


def test_doorbell_rung_for_nothing_does_nothing(lahore):
    assert [tasks.apply_sales() for _ in range(3)] == [0, 0, 0]
    assert not Movement.objects.exists()


def test_mark_without_a_message_is_rung_past_by_force(lahore):
    assert tasks.ring_doorbell() is True
    assert tasks.ring_doorbell() is False
    assert tasks.ring_doorbell(force=True) is True
    assert len(messages()) == 2


def test_dead_redis_is_no_trouble_of_the_till(till, lahore, tea, dead_redis, caplog):
    assert till.post(SALES, sale()).status_code == 202
    assert "The doorbell is out of order" in caplog.text
    assert len(waiting(lahore)) == 1
    assert tasks.apply_sales() == 1  # the worker cannot clear the mark either


@pytest.mark.sqlite
def test_dead_broker_is_no_trouble_of_the_till(till, lahore, tea, dead_folder, caplog):
    assert till.post(SALES, sale()).status_code == 202
    assert "The doorbell is out of order" in caplog.text
    assert len(waiting(lahore)) == 1


def test_bell_stays_silent_for_a_while_after_a_failure(till, lahore, dead_redis, caplog):
    till.post(SALES, sale())
    caplog.clear()
    assert till.post(SALES, sale()).status_code == 202  # asked nobody: nothing to log
    assert caplog.text == ""


def test_death_between_answer_and_doorbell_costs_only_the_ring(till, lahore, tea, monkeypatch):
    def die():
        raise KeyboardInterrupt

    monkeypatch.setitem(failpoints.armed, "after_answer_before_doorbell", die)
    with pytest.raises(KeyboardInterrupt):
        till.post(SALES, sale())
    assert messages() == []
    assert tasks.apply_sales() == 1
    assert len(history(lahore)) == 1


def test_any_number_of_rings_counts_once(lahore, tea):
    accept(lahore, line(units=2))
    for _ in range(4):
        tasks.apply_sales()
    assert history(lahore) == [(1, "sale", "TEA", -2, -2)]


@override_settings(SALES_APPLY_EVENTS_MAX=20)
def test_steady_sales_of_the_first_stores_do_not_starve_the_last(monkeypatch, tea):
    """Each ring has time for one store only; the next one goes on behind it."""
    monkeypatch.setattr(tasks, "DRAIN_S_MAX", 0.05)
    monkeypatch.setitem(failpoints.armed, "before_apply_commit", lambda: time.sleep(0.06))
    first, second, last = (make_store(code) for code in ("A", "B", "C"))
    accept(last, line())
    for _ in range(4):
        accept(first, line())
        accept(second, line())
        tasks.apply_sales()
    assert waiting(last) == {}
