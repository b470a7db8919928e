"""The private PostgreSQL and Valkey/Redis of script/server, script/test and benchmarks."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from script.private_servers import (
    PrivatePostgresql,
    PrivateValkey,
    private_postgresql,
    private_valkey,
    real_servers,
)
from script.server_binaries import (
    CHECKOUT,
    PrivateServerError,
    copy_wheel_for,
    find_postgresql,
)

pytestmark = pytest.mark.sqlite  # whatever database the product uses: once is enough


@pytest.fixture(scope="module")
def pg():
    with private_postgresql() as server:
        yield server


@pytest.fixture(scope="module")
def valkey():
    with PrivateValkey() as server:
        yield server


@pytest.fixture
def kept(tmp_path):
    """A folder for a server that keeps its data, which lies elsewhere when we are root."""
    yield tmp_path
    server = PrivatePostgresql(tmp_path)
    server._read_facts()  # ends a server that a failed test left running
    server._remove_data()


def ask(url, question, **options):
    with psycopg.connect(url, autocommit=True, **options) as connection:
        return connection.execute(question).fetchone()


def is_running(pid):
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_application_role_is_an_ordinary_one(pg):
    rights = "rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"
    row = ask(pg.app_url, f"SELECT {rights} FROM pg_roles WHERE rolname = current_user")
    assert row == (False, False, False, False, False)


def test_application_role_cannot_make_tables(pg):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(pg.app_url, "CREATE TABLE mine (id int)")
    assert ask(pg.superuser_url, "SELECT to_regclass('mine')") == (None,)


def test_owner_may_create_databases_and_is_no_superuser(pg):
    row = ask(
        pg.owner_url, "SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user"
    )
    assert row == (False, True)


@pytest.mark.parametrize("password", ["", "wrong"])
def test_wrong_password_is_refused(pg, password):
    address = pg.app_url.replace(pg.facts["app_password"], password)
    with pytest.raises(psycopg.OperationalError):
        ask(address, "SELECT 1")


def test_postgresql_listens_on_the_loopback_only(pg):
    assert ask(pg.app_url, "SHOW listen_addresses") == ("127.0.0.1",)
    assert ask(pg.superuser_url, "SHOW unix_socket_directories") == ("",)


@pytest.mark.parametrize(
    "setting", ["fsync", "synchronous_commit", "full_page_writes", "autovacuum"]
)
def test_what_is_committed_is_on_the_disk(pg, setting):
    assert ask(pg.app_url, f"SHOW {setting}") == ("on",)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to drop to another account")
def test_started_by_root_it_runs_as_another_account(pg):
    owner = Path(f"/proc/{pg.process.pid}").stat().st_uid
    assert pwd.getpwuid(owner).pw_name in ("postgres", "nobody")
    assert pg.data.stat().st_mode & 0o077 == 0


def test_killed_postgresql_comes_back_at_the_same_address_with_its_data(pg):
    with psycopg.connect(pg.owner_url) as connection:
        connection.execute("CREATE TABLE survivors AS SELECT 7 AS number")
    address = pg.owner_url
    pg.kill()
    with pytest.raises(psycopg.OperationalError):
        ask(address, "SELECT 1")
    pg.start()
    assert pg.owner_url == address
    assert ask(address, "SELECT number FROM survivors") == (7,)


def test_stop_leaves_no_process_and_no_data():
    with private_postgresql() as server:
        pid, data, directory = server.process.pid, server.data, server.directory
        assert is_running(pid) and data.exists()
    assert not is_running(pid)
    assert not data.exists() and not directory.exists()


def test_next_start_on_a_folder_has_the_same_data_and_passwords(kept):
    with private_postgresql(kept) as server:
        passwords = {name: value for name, value in server.facts.items() if "password" in name}
        with psycopg.connect(server.owner_url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    assert (kept / "postgresql.json").stat().st_mode & 0o777 == 0o600
    with private_postgresql(kept) as server:
        assert passwords.items() <= server.facts.items()
        assert ask(server.owner_url, "SELECT number FROM kept") == (7,)


def test_folder_in_use_is_refused_in_one_sentence(kept):
    with private_postgresql(kept) as server:
        with (
            pytest.raises(PrivateServerError, match="in use by another process"),
            private_postgresql(kept),
        ):
            pass
        assert ask(server.app_url, "SELECT 1") == (1,)


def start_and_die(kind, folder):
    """Start a server from a thread of a process that is then killed: the server outlives it."""
    code = f"""
        import os, signal, threading
        from pathlib import Path
        from script.private_servers import {kind}
        server = {kind}(Path({str(folder)!r}))
        thread = threading.Thread(target=server.start)
        thread.start()
        thread.join()
        print(server.process.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    launcher = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=CHECKOUT, capture_output=True, text=True
    )
    assert launcher.returncode == -signal.SIGKILL, launcher.stderr
    return int(launcher.stdout)


@pytest.mark.parametrize("kind", [PrivatePostgresql, PrivateValkey])
def test_server_left_by_a_killed_launcher_does_not_prevent_the_next(kept, kind):
    left = start_and_die(kind.__name__, kept)
    assert is_running(left)
    with kind(kept) as server:
        assert not is_running(left)
        assert is_running(server.process.pid)


def test_valkey_refuses_whoever_has_no_password(valkey):
    once = Retry(NoBackoff(), 0)
    with (
        redis.Redis(port=valkey.port, retry=once) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.get("anything")


def test_valkey_keeps_a_broker_s_messages(valkey):
    with redis.Redis.from_url(valkey.url) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("bind") == {"bind": "127.0.0.1"}


def test_killed_valkey_comes_back_at_the_same_address_with_its_data(valkey):
    address = valkey.url
    with redis.Redis.from_url(address) as client:
        client.set("number", 7)
    valkey.kill()
    with pytest.raises(redis.ConnectionError), redis.Redis.from_url(address) as client:
        client.ping()
    valkey.start()
    assert valkey.url == address
    with redis.Redis.from_url(address) as client:
        assert client.get("number") == b"7"


def test_stopped_valkey_leaves_no_process_and_no_data():
    with PrivateValkey() as server:
        pid, directory = server.process.pid, server.directory
    assert not is_running(pid)
    assert not directory.exists()


def test_the_wheels_serve_where_nothing_is_installed():
    with private_postgresql(wheel_only=True) as server, private_valkey(wheel_only=True) as url:
        assert ask(server.app_url, "SELECT current_user") == ("kiryana_app",)
        with redis.Redis.from_url(url) as client:
            assert client.ping()


def test_the_wheel_works_as_a_copy_for_an_account_that_cannot_read_ours(tmp_path):
    programs = copy_wheel_for(find_postgresql(wheel_only=True), tmp_path)
    for program in ("postgres", "initdb"):
        answer = subprocess.run([programs / program, "--version"], capture_output=True, text=True)
        assert answer.returncode == 0, answer.stderr
    shutil.rmtree(programs)


def test_given_addresses_are_used_and_nothing_is_started(monkeypatch, tmp_path):
    given = {
        "DATABASE_URL": "postgresql://app@db.example.org/kiryana",
        "DATABASE_OWNER_URL": "postgresql://owner@db.example.org/kiryana",
        "REDIS_URL": "redis://redis.example.org/0",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with real_servers(tmp_path) as addresses:
        assert addresses == given
    assert list(tmp_path.iterdir()) == []
