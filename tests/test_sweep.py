"""The sweep: rings again, frees, applies when nobody answers; one at a time; outlives outages."""

import io
import os
import signal
import subprocess
import sys
import time
import uuid
from datetime import timedelta

import psycopg
import pytest
from django.core.cache import caches
from django.core.management import call_command
from django.db import connection, connections
from django.utils import timezone as clock

from orders import tasks
from orders.models import SaleEvent
from orders.sweeping import Swept, Turn, sweep_once
from script.server_process import free_port
from stock.models import Movement
from tests import make
from tests.databases import CHECKOUT
from tests.environment import OWNER_URL, _with_path
from tests.make import apply_all, level_of, make_product, sale

SECONDS_MAX = 30
# Django's test client calls the server by this name.
TILL_SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "inventory_project.settings",
    "ALLOWED_HOSTS": "testserver",
}


@pytest.fixture
def bell(monkeypatch):
    """The real bell, its queue empty before and after; no pause that an earlier test began:
    its ring would come when this one counts."""
    monkeypatch.setattr(tasks, "PAUSE_S", 0)
    monkeypatch.setattr(tasks, "_pause", tasks._Pause())
    caches["doorbell"].clear()
    tasks.apply_sales.app.control.purge()
    yield
    tasks.apply_sales.app.control.purge()
    caches["doorbell"].clear()


def count_rings():
    """Take the messages off the queue."""
    return tasks.apply_sales.app.control.purge()


def sell(till, *, seconds_ago, **fields):
    """Accept a sale and let it have waited for some seconds, its own message lost."""
    event = sale(**fields)
    assert till.post("/api/orders/sales/", event).status_code == 202
    received_at = clock.now() - timedelta(seconds=seconds_ago)
    SaleEvent.objects.filter(event_id=event["event_id"]).update(received_at=received_at)
    count_rings()
    return uuid.UUID(event["event_id"])


@pytest.mark.django_db
class TestOneRound:
    @pytest.fixture(autouse=True)
    def _bell(self, bell):
        pass

    def test_nothing_waits(self):
        assert sweep_once() == Swept(freed=0, oldest_due_at=None)
        assert count_rings() == 0

    def test_what_has_just_come_is_left_to_its_own_message(self, till, tea):
        sell(till, seconds_ago=0)
        swept = sweep_once()
        assert (swept.rang, swept.applied) == (False, 0)
        assert SaleEvent.objects.count() == 1

    def test_after_a_second_the_bell_rings_again(self, till, tea):
        sell(till, seconds_ago=2)
        caches["doorbell"].set(tasks.RUNG_KEY, 1)  # of the message that was lost
        swept = sweep_once()
        assert (swept.rang, swept.applied) == (True, 0)
        assert count_rings() == 1
        assert SaleEvent.objects.count() == 1

    def test_after_three_seconds_it_is_applied(self, till, lahore, tea):
        event_id = sell(till, seconds_ago=4, quantity=3)
        swept = sweep_once()
        assert swept == Swept(freed=0, oldest_due_at=None, rang=False, applied=1)
        assert not SaleEvent.objects.exists()
        assert level_of(lahore, tea) == -3
        assert Movement.objects.get().event_id == event_id

    def test_clock_that_was_put_back_a_day_holds_nothing_up(self, till, lahore, tea):
        sell(till, seconds_ago=-86_400)
        assert sweep_once().applied == 1
        assert level_of(lahore, tea) == -1

    def test_in_a_shop_it_is_applied_at_once_and_no_bell_rings(self, till, lahore, tea, settings):
        settings.SHOP = True
        assert till.post("/api/orders/sales/", sale(quantity=2)).status_code == 202
        swept = sweep_once()
        assert swept == Swept(freed=0, oldest_due_at=None, rang=False, applied=1)
        assert level_of(lahore, tea) == -2
        assert count_rings() == 0

    def test_while_a_worker_gets_on_it_is_not_disturbed(self, till, tea):
        sell(till, seconds_ago=4)
        swept = sweep_once(Swept(freed=0, oldest_due_at=clock.now() - timedelta(seconds=9)))
        assert (swept.rang, swept.applied) == (False, 0)
        assert SaleEvent.objects.count() == 1

    def test_a_worker_that_no_longer_gets_on_is_replaced(self, till, tea):
        sell(till, seconds_ago=4)
        before = Swept(freed=0, oldest_due_at=SaleEvent.objects.get().received_at)
        assert sweep_once(before).applied == 1

    def test_product_that_became_known_frees_its_events(self, till, lahore):
        sell(till, seconds_ago=4, sku="NEW", quantity=2)
        apply_all()
        assert sweep_once() == Swept(freed=0, oldest_due_at=None)
        product = make_product("NEW")
        swept = sweep_once()
        assert (swept.freed, swept.applied) == (1, 1)
        assert level_of(lahore, product) == -2

    def test_put_off_event_waits_for_its_time(self, till, tea):
        sell(till, seconds_ago=60)
        SaleEvent.objects.update(next_try_at=clock.now() + timedelta(seconds=20))
        assert sweep_once() == Swept(freed=0, oldest_due_at=None)
        SaleEvent.objects.update(next_try_at=clock.now() - timedelta(seconds=1))
        assert sweep_once().applied == 1

    def test_event_that_a_wrong_clock_put_off_until_tomorrow_is_due_now(self, till, lahore, tea):
        sell(till, seconds_ago=60)
        SaleEvent.objects.update(attempts=1, next_try_at=clock.now() + timedelta(days=1))
        assert sweep_once() == Swept(freed=1, oldest_due_at=None)
        assert sweep_once().applied == 1
        assert level_of(lahore, tea) == -1

    def test_put_off_as_long_as_the_last_try_stays_put_off(self, till, tea):
        sell(till, seconds_ago=60)
        SaleEvent.objects.update(attempts=4, next_try_at=clock.now() + timedelta(seconds=31))
        assert sweep_once() == Swept(freed=0, oldest_due_at=None)

    def test_command_does_one_round_and_says_so(self, till, tea):
        sell(till, seconds_ago=4)
        out = io.StringIO()
        call_command("sweep", "--once", stdout=out)
        assert out.getvalue() == "0 freed, 1 applied, the bell was left alone.\n"
        assert not SaleEvent.objects.exists()


class Sweeper:
    """`manage.py sweep` in a process of its own."""

    def __init__(self, tmp_path, **environment):
        self.log = tmp_path / f"sweep-{uuid.uuid4()}.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "sweep"], cwd=CHECKOUT,
                env=os.environ | {"LOG_LEVEL": "INFO"} | environment,
                stdout=output, stderr=output,
            )  # fmt: skip

    def wait_until_it_says(self, text, times=1):
        wait_for(lambda: self.said(text) >= times, lambda: self.log.read_text())

    def said(self, text):
        return self.log.read_text().count(text)

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(SECONDS_MAX)


def wait_for(condition, tell=lambda: ""):
    deadline = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, tell()
        time.sleep(0.05)


@pytest.fixture
def start(tmp_path):
    """Starts sweepers that are gone after the test."""
    sweepers = []

    def start_sweeper(**environment):
        sweepers.append(Sweeper(tmp_path, **environment))
        return sweepers[-1]

    yield start_sweeper
    for sweeper in sweepers:
        sweeper.process.kill()
        sweeper.process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_cleanly(committed, start, number):
    sweeper = start()
    sweeper.wait_until_it_says("Sweeping.")
    assert sweeper.end(number) == 0
    assert sweeper.said("Traceback") == 0


def test_one_sweeps_at_a_time_and_the_next_takes_over(committed, start):
    first = start()
    first.wait_until_it_says("Sweeping.")
    second = start()
    second.wait_until_it_says("this one waits")
    first.process.kill()
    second.wait_until_it_says("Sweeping.")
    assert second.said("this one waits") == 1


def test_single_round_leaves_a_running_sweeper_alone(committed, start):
    start().wait_until_it_says("Sweeping.")
    out = io.StringIO()
    call_command("sweep", "--once", stdout=out)
    assert out.getvalue() == "Another sweeper is at work.\n"


def test_without_broker_the_till_is_answered_and_the_sweep_applies(committed, start):
    """REDIS_URL points to a port where nobody listens, in the till's process and the sweep's."""
    store, product = make.make_store(), make.make_product()
    broken = {"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    sweeper = start(**broken)
    sweeper.wait_until_it_says("Sweeping.")
    till = make.make_device(store)
    code = (
        "import django; django.setup()\n"
        "from tests.make import Api, sale\n"
        f"api = Api({till.credential!r})\n"
        "print([api.post('/api/orders/sales/', sale(quantity=2)).status_code for _ in range(20)])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True,
        env=os.environ | broken | TILL_SETTINGS,
    )  # fmt: skip
    assert answer.stdout.strip() == str([202] * 20)
    # One failure silences the bell for seconds: the other nineteen sales did not wait for it.
    assert answer.stderr.count("The doorbell is out of order") == 1
    wait_for(lambda: level_of(store, product) == -40, sweeper.log.read_text)
    assert not SaleEvent.objects.exists()


@pytest.mark.postgresql
def test_turn_is_taken_anew_with_a_new_connection(committed):
    turn = Turn()
    assert turn.take() and turn.take()
    connection.close()  # the lock went with the session
    assert turn.take()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks AS held JOIN pg_database AS d ON d.oid = held.database "
            "WHERE held.locktype = 'advisory' AND held.granted AND d.datname = current_database()"
        )
        assert cursor.fetchone() == (1,)
    turn.give_back()


@pytest.mark.postgresql
def test_database_away_is_said_once_and_outlived(committed, start):
    """The owner lets nobody in for a while: what a restart of the database looks like."""
    store, product = make.make_store(), make.make_product()
    till = make.make_device(store)
    name = connection.settings_dict["NAME"]
    sweeper = start()
    sweeper.wait_until_it_says("Sweeping.")
    connections.close_all()
    elsewhere = [_with_path(url, "postgres") for url in (OWNER_URL, os.environ["DATABASE_URL"])]
    with (
        psycopg.connect(elsewhere[0], autocommit=True) as owner,
        psycopg.connect(elsewhere[1], autocommit=True) as application,
    ):
        owner.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        try:
            cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            application.execute(cut, [name])
            sweeper.wait_until_it_says("does not answer")
            time.sleep(2.5)  # two more rounds in vain
        finally:
            owner.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    sweeper.wait_until_it_says("Sweeping.", times=2)
    assert sweeper.said("does not answer") == 1
    assert till.post("/api/orders/sales/", sale()).status_code == 202
    count_rings()  # its message is lost, and no worker is there
    wait_for(lambda: level_of(store, product) == -1, sweeper.log.read_text)
