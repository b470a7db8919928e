"""What a database acknowledges has to be on its disk: one that is set up to forget is refused."""

import os
import subprocess
import sys

import psycopg
import pytest
from django.db import OperationalError, connection, connections

from inventory_project.durability import UnsafeDatabase
from script.private_servers import PrivatePostgresql
from script.server_process import free_port
from tests.databases import CHECKOUT
from tests.make import make_device, make_store, sale

SECONDS_MAX = 30
WORKER = ("-m", "celery", "-A", "inventory_project", "worker", "-Q", "inventory_events",
          "--pool", "solo", "--without-gossip", "--without-mingle")  # fmt: skip


def commands():
    web = ("-m", "granian", "--interface", "wsgi", "--port", str(free_port()),
           "inventory_project.wsgi:application")  # fmt: skip
    return {"web": web, "worker": WORKER, "sweep": ("manage.py", "sweep")}


def start(name, **environment):
    """Run a process until it ends; (exit code, what it said)."""
    done = subprocess.run(
        [sys.executable, *commands()[name]], cwd=CHECKOUT, env=os.environ | environment,
        capture_output=True, text=True, timeout=SECONDS_MAX,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def ask_of_database(committed):
    """Sets what every session of the test's database begins with."""
    name = connection.settings_dict["NAME"]
    yield lambda setting, value: _set(name, setting, value)
    _set(name, "synchronous_commit", "DEFAULT")
    connections.close_all()


def _set(database, setting, value):
    connections.close_all()
    owner = os.environ["DATABASE_OWNER_URL"]
    with psycopg.connect(owner, autocommit=True) as session:
        session.execute(f'ALTER DATABASE "{database}" SET {setting} TO {value}')


@pytest.mark.postgresql
@pytest.mark.parametrize("value", ["off", "local", "remote_write"])
def test_session_that_commits_to_memory_is_refused(ask_of_database, value):
    ask_of_database("synchronous_commit", value)
    with pytest.raises(UnsafeDatabase) as refused:
        connection.ensure_connection()
    assert f"synchronous_commit={value}" in str(refused.value)
    assert isinstance(refused.value, OperationalError)
    assert connection.connection is None


@pytest.mark.postgresql
def test_till_is_told_to_send_it_again_and_nothing_is_stored(ask_of_database):
    till = make_device(make_store())
    ask_of_database("synchronous_commit", "off")
    answer = till.post("/api/orders/sales/", sale())
    assert (answer.status_code, answer.body["code"]) == (503, "busy")
    ask_of_database("synchronous_commit", "on")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM orders_saleevent")
        assert cursor.fetchone() == (0,)


@pytest.mark.postgresql
@pytest.mark.parametrize("name", ["web", "worker", "sweep"])
def test_no_process_starts_on_it(ask_of_database, name):
    ask_of_database("synchronous_commit", "off")
    code, said = start(name)
    assert code != 0
    assert "Refused to start." in said and "synchronous_commit=off" in said


class ForgetfulPostgresql(PrivatePostgresql):
    def _command(self):
        return [*super()._command(), "--fsync=off", "--full_page_writes=off"]


@pytest.mark.postgresql
def test_server_without_fsync_is_refused():
    with ForgetfulPostgresql() as server:
        code, said = start("sweep", DATABASE_URL=server.app_url)
    assert code != 0
    assert "fsync=off, full_page_writes=off" in said


@pytest.mark.postgresql
def test_database_that_is_away_is_waited_for():
    url = f"postgresql://kiryana@127.0.0.1:{free_port()}/kiryana"
    process = subprocess.Popen(
        [sys.executable, "manage.py", "sweep"], cwd=CHECKOUT, text=True,
        env=os.environ | {"DATABASE_URL": url}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert "does not answer yet" in process.stdout.readline()
    assert process.poll() is None
    process.kill()
    process.communicate()


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("pragma", "said"),
    [
        ("synchronous=NORMAL", "synchronous=1"),
        ("journal_mode=DELETE; PRAGMA journal_mode=MEMORY", "journal_mode=memory"),
    ],
)
def test_file_that_forgets_at_a_power_cut_is_refused(committed, tmp_path, pragma, said):
    other = connection.copy()
    other.settings_dict["NAME"] = str(tmp_path / "other.sqlite3")  # nobody else has it open
    other.settings_dict["OPTIONS"]["init_command"] += f" PRAGMA {pragma};"
    with pytest.raises(UnsafeDatabase, match=said):
        other.ensure_connection()


def test_database_of_the_product_is_safe(committed):
    connection.close()
    connection.ensure_connection()
    assert connection.is_usable()
