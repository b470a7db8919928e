"""Web, worker and sweep as real processes: what one of them loses, the others do not."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from orders.models import SaleEvent
from orders.tasks import ring_doorbell
from script.private_servers import PrivateValkey
from script.server_process import free_port
from stock.models import Level, Movement
from tests.journal import accept, incoherences, line
from tests.make import make_device, make_product, make_store, sale

pytestmark = pytest.mark.usefixtures("committed")

CHECKOUT = Path(__file__).resolve().parent.parent
SECONDS_MAX = 40
SWEPT_SECONDS_MAX = 10  # promised are 5; a busy machine gets the double
WORKER = [
    "-m", "celery", "-A", "inventory_project", "worker", "-Q", "inventory_events",
    "--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--concurrency", "1",
]  # fmt: skip
SMALL_BATCHES = {"SALES_APPLY_EVENTS_MAX": "50", "SALES_APPLY_STORES_MAX": "4"}


@pytest.fixture
def start(tmp_path):
    """Starts a process of the product; whatever still runs at the end is killed."""
    started = []

    def start(*command, **environment):
        log = (tmp_path / f"{len(started)}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, *command], cwd=CHECKOUT, env=os.environ | environment,
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        kill(process)


@pytest.fixture
def web(start):
    """Starts the web process and waits until it is ready; returns its address."""

    def web(**environment):
        port = free_port()
        process = start(
            "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port),
            "inventory_project.wsgi:application", **environment,
        )  # fmt: skip
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: process.poll() is not None or answers(url))
        assert process.poll() is None
        return url

    return web


def kill(process):
    """SIGKILL to the process and all it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait(10)


def wait_for(condition, seconds=SECONDS_MAX):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)


OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def answers(url):
    try:
        return OPENER.open(f"{url}/health/live", timeout=2).status == 200
    except OSError:
        return False


def post(url, till, body):
    request = urllib.request.Request(
        f"{url}/api/orders/sales/",
        json.dumps(body).encode(),
        {"Authorization": f"Api-Key {till.credential}", "Content-Type": "application/json"},
    )
    with OPENER.open(request, timeout=20) as answer:
        return answer.status, json.load(answer)


def make_backlog(events=3_000):
    """Accepted sales of six stores; returns what every level has to become, in thousandths."""
    chance = random.Random(11)
    skus = [make_product(f"P-{n}").sku for n in range(8)]
    stores = [make_store(f"S-{n}") for n in range(6)]
    expected = defaultdict(int)
    for _ in range(events // 500):
        store = chance.choice(stores[:3])
        lines = [line(chance.choice(skus), chance.randint(1, 900) / 1000) for _ in range(500)]
        assert set(accept(store, *lines)) == {"accepted"}
        for told in lines:
            expected[store.code, told.sku] -= told.quantity
    return dict(expected)


def all_levels():
    rows = Level.objects.values_list("store__code", "product__sku", "quantity")
    return {(store, sku): int(quantity * 1000) for store, sku, quantity in rows}


def keep_ringing_until_empty():
    """What the sweep would do; the worker may have to find its broker again first."""

    def is_empty():
        ring_doorbell(force=True)
        return not SaleEvent.objects.exists()

    wait_for(is_empty)


def test_sale_over_http_arrives_in_the_level(start, web, lahore, tea):
    worker = start(*WORKER)
    url, till = web(), make_device(lahore)
    event = sale(quantity="1.250")
    assert post(url, till, event) == (202, {"event_id": event["event_id"], "status": "accepted"})
    wait_for(lambda: all_levels() == {("LHR-01", "TEA"): -1250})
    assert post(url, till, event) == (200, {"event_id": event["event_id"], "status": "duplicate"})
    batch = {"events": [sale() for _ in range(100)]}
    assert post(url, till, batch)[0] == 202
    wait_for(lambda: all_levels() == {("LHR-01", "TEA"): -101_250})
    assert Movement.objects.count() == 101
    assert worker.poll() is None
    assert incoherences() == []


def test_worker_killed_in_the_middle_of_a_backlog(start):
    expected = make_backlog()
    worker = start(*WORKER, **SMALL_BATCHES)
    ring_doorbell(force=True)
    wait_for(Movement.objects.exists)
    kill(worker)
    assert SaleEvent.objects.exists(), "it was too late to kill it"
    assert incoherences() == []
    start(*WORKER, **SMALL_BATCHES)
    keep_ringing_until_empty()
    assert all_levels() == expected
    assert Movement.objects.count() == 3_000
    assert incoherences() == []


@pytest.mark.postgresql
def test_worker_keeps_its_session_and_outlives_its_end(start, lahore, tea):
    """A database that was started anew: the next task finds a dead connection."""
    start(*WORKER)
    apply_one(lahore)
    session = worker_sessions()
    assert len(session) == 1
    apply_one(lahore)
    assert worker_sessions() == session
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", session)
    apply_one(lahore)
    assert worker_sessions() not in ([], session)


def apply_one(store):
    before = Movement.objects.count()
    accept(store, line())
    ring_doorbell(force=True)
    wait_for(lambda: Movement.objects.count() == before + 1)


def worker_sessions():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND datname = current_database() ORDER BY pid"
        )
        return [pid for (pid,) in cursor.fetchall()]


@pytest.mark.parametrize("place", ["after_ledger_row", "before_apply_commit"])
def test_worker_that_dies_at_a_named_place(start, place):
    expected = make_backlog()
    worker = start(*WORKER, "--pool", "solo", FAILPOINT=f"{place}:3", **SMALL_BATCHES)
    ring_doorbell(force=True)
    assert worker.wait(SECONDS_MAX) == -signal.SIGKILL
    done = Movement.objects.count()
    assert 0 < done < 3_000
    assert done + SaleEvent.objects.count() == 3_000  # two commits, and of the third nothing
    assert incoherences() == []
    start(*WORKER)
    keep_ringing_until_empty()
    assert all_levels() == expected
    assert Movement.objects.count() == 3_000
    assert incoherences() == []


def test_web_process_killed_between_commit_and_answer_the_retry_is_a_duplicate(
    start, web, lahore, tea
):
    till, event = make_device(lahore), sale(quantity=3)
    url = web(FAILPOINT="after_commit_before_answer:1")
    with pytest.raises(OSError):
        post(url, till, event)
    connection.close()
    assert SaleEvent.objects.count() == 1
    assert till.post("/api/orders/sales/", event).body["status"] == "duplicate"
    assert SaleEvent.objects.count() == 1


def test_broker_gone_the_sale_is_accepted_and_swept(start, web, lahore, tea):
    """PostgreSQL: Valkey is killed. SQLite: the worker is, which is all that reads the folder."""
    till = make_device(lahore)
    if not settings.REDIS_URL:
        _accepted_and_swept(start, web(), till)
        return
    with PrivateValkey() as valkey:
        place = {"REDIS_URL": valkey.url}
        worker, url = start(*WORKER, **place), web(**place)
        post(url, till, sale(quantity=1))
        wait_for(lambda: Movement.objects.count() == 1)
        valkey.kill()
        _accepted_and_swept(start, url, till, **place)
        assert worker.poll() is None  # it waits for its broker
        valkey.start()


def _accepted_and_swept(start, url, till, **environment):
    before = Movement.objects.count()
    sweep = start("manage.py", "sweep", **environment)
    assert post(url, till, sale(quantity=2))[0] == 202
    wait_for(lambda: not SaleEvent.objects.exists(), SWEPT_SECONDS_MAX)
    assert Movement.objects.count() == before + 1
    assert incoherences() == []
    sweep.terminate()
    assert sweep.wait(10) == 0
