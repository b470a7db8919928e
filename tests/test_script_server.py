"""script/server from the first start to the last process, on both databases."""

import http.cookiejar
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

import pytest

from script.private_servers import PrivatePostgresql
from script.serve import Place, welcome
from script.server_binaries import CHECKOUT
from script.server_process import free_port

pytestmark = pytest.mark.sqlite  # it brings its own databases: once is enough

SECONDS_MAX = 60
PRINT_STORES = (
    "from stores.models import Store; print(*Store.objects.values_list('code', flat=True))"
)
KEYS = {
    "url", "admin_user", "admin_password", "head_office_key", "store_key", "store", "pids", "env",
}  # fmt: skip


class Server:
    """script/server on a folder and port of its own."""

    def __init__(self, local, *options):
        self.local, self.options, self.port = local, options, free_port()
        self.output = local / "output.txt"

    def start(self):
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "script.serve", *self.options, "--port", str(self.port)],
                cwd=CHECKOUT, env=os.environ | {"LOCAL_DIR": str(self.local)},
                stdout=output, stderr=output,
            )  # fmt: skip
        wait_for(lambda: self.process.poll() is not None or "curl" in self.printed)
        assert self.process.poll() is None, self.printed

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS_MAX)

    @property
    def printed(self):
        return self.output.read_text()

    @property
    def facts(self):
        return json.loads((self.local / "server.json").read_text())

    def curl(self, which):
        """Run a printed line in a shell, as it stands there; 0 sells, 1 shows the level."""
        line = [line for line in self.printed.splitlines() if line.startswith("curl ")][which]
        answer = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
        return json.loads(answer.stdout)

    def level(self):
        """Return the level of the printed product in thousandths."""
        (row,) = self.curl(1)["results"]
        return round(float(row["quantity"]) * 1000)

    def sell(self):
        """Sell one of the printed product by a new event and wait until it is counted."""
        before = self.level()
        line = next(line for line in self.printed.splitlines() if line.startswith("curl "))
        fresh = re.sub(r'"event_id": "[^"]+"', f'"event_id": "{uuid.uuid4()}"', line)
        answer = subprocess.run(["bash", "-c", fresh], capture_output=True, text=True, check=True)
        assert json.loads(answer.stdout)["status"] == "accepted"
        wait_for(lambda: self.level() == before - 1000)

    def manage(self, *arguments):
        environment = os.environ | self.facts["env"]
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=CHECKOUT, env=environment, capture_output=True, text=True,
        )  # fmt: skip


def wait_for(condition):
    deadline = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def processes_with(text):
    """Command lines or environments of running processes that name this folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            told = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:  # it has just ended
            continue
        if text.encode() in told and int(folder.name) != os.getpid():
            found.append(folder.name)
    return found


@pytest.fixture(scope="module", params=[(), ("--postgres",)], ids=["embedded", "postgresql"])
def server(request, tmp_path_factory):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    server = Server(tmp_path_factory.mktemp("local"), *request.param)
    try:
        server.start()
        yield server
    finally:  # also when it does not become ready
        if server.process.poll() is None:
            server.stop()
    if request.param:
        private = PrivatePostgresql(server.local)
        private._read_facts()
        private._remove_data()


def test_facts_are_in_a_file_only_the_owner_reads(server):
    assert set(server.facts) == KEYS
    assert stat.S_IMODE((server.local / "server.json").stat().st_mode) == 0o600
    assert server.facts["url"] == f"http://127.0.0.1:{server.port}"
    assert set(server.facts["pids"]) == {"web", "worker", "sweep"}
    for fact in ("url", "admin_user", "admin_password", "store_key", "store"):
        assert server.facts[fact] in server.printed


def test_printed_lines_sell_one_and_show_it(server):
    before = server.level()
    assert server.curl(0)["status"] == "accepted"
    wait_for(lambda: server.level() == before - 1000)
    assert server.curl(0)["status"] == "duplicate"  # pasted twice, sold once
    server.sell()
    assert server.level() == before - 2000


def test_administrator_can_sign_in(server):
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(
        urllib.request.HTTPCookieProcessor(jar), urllib.request.ProxyHandler({})
    )
    address = f"{server.facts['url']}/admin/login/?next=/admin/"
    opener.open(address)
    token = next(cookie.value for cookie in jar if cookie.name == "csrftoken")
    form = {
        "username": server.facts["admin_user"],
        "password": server.facts["admin_password"],
        "csrfmiddlewaretoken": token,
    }
    answer = opener.open(address, urllib.parse.urlencode(form).encode())
    assert answer.status == 200
    assert answer.url == f"{server.facts['url']}/admin/"
    assert "sessionid" in {cookie.name for cookie in jar}


def test_environment_points_manage_py_at_the_same_database(server):
    checked = server.manage("checkledger", "--json")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    prefix = server.facts["store_key"].partition(".")[0]
    found = f"StoreKey.objects.get(prefix={prefix!r})"
    code = f"from stores.models import StoreKey; print({found}.store.code)"
    assert server.manage("shell", "-v", "0", "-c", code).stdout.strip() == server.facts["store"]


def test_product_runs_as_an_ordinary_role(server):
    if not server.options:
        assert server.facts["env"]["DATABASE_URL"].startswith("sqlite:")
        return
    code = """
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute(
        "SELECT rolname, rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user"
    )
    print(*cursor.fetchone())
"""
    assert server.manage("shell", "-v", "0", "-c", code).stdout.strip() == "kiryana_app False False"


def test_killed_worker_is_started_again(server):
    killed = server.facts["pids"]["worker"]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: server.facts["pids"]["worker"] != killed)
    server.sell()


def start_another(server, port):
    return subprocess.run(
        [sys.executable, "-m", "script.serve", "--port", str(port)],
        cwd=CHECKOUT, env=os.environ | {"LOCAL_DIR": str(server.local)},
        capture_output=True, text=True,
    )  # fmt: skip


def test_busy_port_is_one_sentence(server):
    other = start_another(server, server.port)
    assert other.returncode == 1
    assert other.stdout == ""
    said = f"script/server: Port {server.port} is in use; choose another one with --port.\n"
    assert other.stderr == said


def test_second_start_on_the_same_folder_is_refused(server):
    other = start_another(server, free_port())
    assert other.returncode == 1
    said = f"script/server: It already runs on {server.local}; stop that one first.\n"
    assert other.stderr == said


def test_stop_leaves_nothing_running_and_the_next_start_knows_everything(server):
    before, level = server.facts, server.level()
    assert server.stop() == 0
    assert processes_with(str(server.local)) == []
    assert not (server.local / "server.json").exists()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", server.port)) != 0
    server.start()
    for fact in ("admin_password", "head_office_key", "store_key", "store"):
        assert server.facts[fact] == before[fact]
    assert server.level() == level


@pytest.mark.parametrize("server", [("--postgres",)], ids=["postgresql"], indirect=True)
def test_killed_launcher_leaves_nothing_running(server):
    server.process.kill()
    server.process.wait()
    wait_for(lambda: processes_with(str(server.local)) == [])
    server.start()


@pytest.fixture
def shop(tmp_path):
    server = Server(tmp_path, "--shop")
    server.start()
    yield server
    if server.process.poll() is None:
        server.stop()


def test_a_shop_runs_on_one_file_with_neither_worker_nor_broker(shop):
    assert set(shop.facts["pids"]) == {"web", "sweep"}
    assert shop.facts["env"]["DATABASE_URL"] == f"sqlite:///{shop.local}/shop.sqlite3"
    product, received, sold = shop.curl(0), shop.curl(1), shop.curl(2)
    assert (product["sku"], received["balance_after"]) == ("TEA-001", 10)
    assert sold["status"] == "accepted"
    accepted_at = time.monotonic()
    wait_for(lambda: shop.curl(3)["results"][0]["quantity"] == 9)
    assert time.monotonic() - accepted_at < 2
    assert list((shop.local / "broker").rglob("*.msg")) == []
    stores = shop.manage("shell", "-v", "0", "-c", PRINT_STORES).stdout.split()
    assert stores == ["SHOP"]  # and no sample chain


def test_a_shop_knows_everything_at_its_next_start(shop):
    shop.curl(0), shop.curl(1)
    before = shop.facts
    assert shop.stop() == 0
    assert processes_with(str(shop.local)) == []
    shop.start()
    for fact in ("admin_password", "head_office_key", "store_key", "store"):
        assert shop.facts[fact] == before[fact]
    assert shop.level() == 10_000  # the lines it prints sell what is there by now


def test_a_shop_that_runs_is_backed_up_and_not_replaced(shop):
    copy = shop.local / "copy.sqlite3"
    backed_up = shop.manage("backupshop", str(copy))
    assert backed_up.returncode == 0, backed_up.stderr
    refused = shop.manage("restoreshop", str(copy))
    said = f"The product runs on {shop.local}; stop it first. Nothing was changed."
    assert (refused.returncode, refused.stderr) == (1, f"CommandError: {said}\n")


def test_a_shop_without_an_open_store_says_so(tmp_path):
    """After it was moved into a chain, say."""
    place = Place(tmp_path, "shop", 1, environment={"DATABASE_URL": "sqlite:///shop.sqlite3"})
    access = {"admin_user": "admin", "admin_password": "x", "store_key": None, "sku": None}
    assert "\nStore key      none: no store is open here\n" in welcome(place, access)


def test_a_shop_is_not_on_postgresql():
    answer = subprocess.run(
        [sys.executable, "-m", "script.serve", "--shop", "--postgres"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 2
    assert "not allowed with argument" in answer.stderr


def test_unknown_option_is_refused():
    answer = subprocess.run(
        [sys.executable, "-m", "script.serve", "--sqlite"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 2
    assert "unrecognized arguments: --sqlite" in answer.stderr


def test_asgi_takes_a_sale_and_serves_the_back_office(tmp_path):
    server = Server(tmp_path, "--asgi")
    server.start()
    try:
        facts = json.loads((tmp_path / "server.json").read_text())
        event = {"event_id": str(uuid.uuid4()), "sku": "ANY", "quantity": 1,
                 "occurred_at": "2026-03-01T09:30:00+05:00"}  # fmt: skip
        request = urllib.request.Request(
            f"{facts['url']}/api/orders/sales/", json.dumps(event).encode(),
            {"Authorization": f"Api-Key {facts['store_key']}", "Content-Type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 202
        with urllib.request.urlopen(f"{facts['url']}/admin/login/", timeout=10) as answer:
            assert answer.status == 200
    finally:
        assert server.stop() == 0
