"""`manage.py moveshop`: nobody sells in the shop while it moves, nor afterwards."""

import fcntl
import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from inventory_project import failpoints
from inventory_project.database_file import InUse
from inventory_project.running import StillRuns
from orders.moving import move_shop, plan_move
from stores.models import Store
from tests import shop
from tests.databases import unchanged

OPEN = "SELECT count(*) FROM stores_store WHERE retired_at IS NULL"
WORKING = "SELECT count(*) FROM stores_storekey WHERE revoked_at IS NULL"
STATES = "SELECT status, dismiss_reason FROM orders_saleevent ORDER BY received_at, event_id"
SELL = """
from tests import make
print("begins", flush=True)
answer = make.Api({key!r}).post("/api/orders/sales/", make.sale("SKU-001", **{fields!r}))
print(answer.status_code)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    local = tmp_path_factory.mktemp("made")
    return local, shop.make_shop(local, sales=60)


@pytest.fixture
def facts(made):
    return made[1]


@pytest.fixture(params=["DELETE", "WAL"])
def file(request, made, tmp_path):
    """The file of a shop that has stopped, or of a backup."""
    file = tmp_path / "shop.sqlite3"
    file.write_bytes((made[0] / "shop.sqlite3").read_bytes())
    with closing(sqlite3.connect(file)) as stopped:
        stopped.execute(f"PRAGMA journal_mode={request.param}")
    return file


def start_seller(local, key, **fields):
    """A till's sale, answered by a process that script/server knows nothing of."""
    code = SELL.format(key=key, fields=fields)
    return subprocess.Popen(
        [sys.executable, "manage.py", "shell", "-v", "0", "-c", code],
        cwd=shop.CHECKOUT, env=shop.environment(local, ALLOWED_HOSTS="testserver"),
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("place", ["after_adopted_history", "after_chain_commit"])
def test_sale_that_waits_for_the_file_is_refused_in_the_end(
    committed, monkeypatch, file, facts, place
):
    """Were it only kept from writing, it would be let in by its key and write afterwards."""
    sellers = []

    def sell():
        sellers.append(start_seller(file.parent, facts["till"]))
        assert sellers[0].stdout.readline() == "begins\n"
        time.sleep(0.5)  # so that it stands at the file
        assert sellers[0].poll() is None

    monkeypatch.setitem(failpoints.armed, place, sell)
    known = len(shop.read_file(file, shop.INBOX))
    move_shop(file=file)
    assert sellers[0].communicate()[0] == "401\n"
    assert len(shop.read_file(file, shop.INBOX)) == known
    assert len(shop.read_file(file, shop.MOVEMENTS)) == 101


def test_last_commits_of_a_killed_shop_come_along(committed, made, tmp_path):
    """They are only in the -wal."""
    live = tmp_path / "live.sqlite3"
    live.write_bytes((made[0] / "shop.sqlite3").read_bytes())
    file = tmp_path / "shop.sqlite3"
    with closing(sqlite3.connect(live)) as killed:
        killed.execute("PRAGMA journal_mode=WAL")
        killed.execute("UPDATE stores_store SET name = 'In the wal'")
        killed.commit()
        file.write_bytes(live.read_bytes())
        wal = tmp_path / "live.sqlite3-wal"
        file.with_name("shop.sqlite3-wal").write_bytes(wal.read_bytes())
    assert b"In the wal" not in file.read_bytes()
    move_shop(file=file)
    assert Store.objects.get().name == "In the wal"
    assert shop.read_file(file, OPEN) == [(0,)]


def test_refused_while_any_process_has_the_file_open(committed, file):
    with closing(sqlite3.connect(file)) as web:
        web.execute("PRAGMA journal_mode=WAL")
        web.execute("SELECT count(*) FROM stores_store").fetchone()
        with unchanged(), pytest.raises(InUse, match=r"Another process has .* open; stop it first"):
            move_shop(file=file)
        assert plan_move(file=file).movements == 101  # to look is allowed
    assert shop.read_file(file, OPEN) == [(1,)]
    assert move_shop(file=file).is_new


@pytest.mark.parametrize("link", [False, True])
def test_refused_while_script_server_runs_on_the_folder(committed, file, tmp_path, link):
    """Of the file, and not of a link to it."""
    named = file
    if link:
        (tmp_path / "desk").mkdir()
        named = tmp_path / "desk" / "link.sqlite3"
        named.symlink_to(file)
    with (file.parent / "server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with unchanged(), pytest.raises(StillRuns, match=f"The product runs on {file.parent};"):
            move_shop(file=named)
        assert plan_move(file=named).movements == 101
    assert move_shop(file=named).is_new


def test_refused_while_script_server_runs_on_a_folder_with_a_link(committed, file, tmp_path):
    (tmp_path / "local").mkdir()
    named = tmp_path / "local" / "shop.sqlite3"
    named.symlink_to(file)
    with (tmp_path / "local" / "server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with unchanged(), pytest.raises(StillRuns, match=f"The product runs on {tmp_path}/local;"):
            move_shop(file=named)


def test_the_old_file_takes_no_more_sales(committed, file, facts):
    move_shop(file=file)
    for name, fields in (("till", {}), ("head_office", {"store": "SHOP"})):
        seller = start_seller(file.parent, facts[name], **fields)
        assert seller.communicate()[0] == "begins\n401\n"
    assert (shop.read_file(file, OPEN), shop.read_file(file, WORKING)) == ([(0,)], [(0,)])


def test_the_old_file_started_again_makes_no_key_and_counts_nothing(committed, file):
    """Its waiting sales count in the chain. What script/server --shop does at a start."""
    move_shop(file=file)
    before = shop.read_file(file, shop.MOVEMENTS)
    assert shop.read_file(file, STATES) == [
        ("dismissed", "Moved to store SHOP of the chain."),
        ("dismissed", "Moved to store SHOP of the chain."),
        ("dismissed", "A joke"),
        ("dismissed", "Moved to store SHOP of the chain."),
        ("dismissed", "Moved to store SHOP of the chain."),
    ]
    code = "import tests.shop_work as w; w.tell_access()"
    started = shop.manage(file.parent, "shell", "-v", "0", "-c", code)
    access = json.loads(started.stdout)
    assert (access["store"], access["store_key"], access["head_office_key"]) == (None, None, None)
    assert shop.read_file(file, WORKING) == [(0,)]
    swept = shop.manage(file.parent, "sweep", "--once")
    assert swept.stdout == "0 freed, 0 applied, the bell was left alone.\n"
    assert shop.read_file(file, shop.MOVEMENTS) == before
    with unchanged():
        assert not move_shop(file=file).is_new


def manage(local, *arguments, **more):
    """A command of a process to which nobody said which database is meant."""
    left_out = {"DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "SHOP"}
    inherited = {name: value for name, value in os.environ.items() if name not in left_out}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=shop.CHECKOUT,
        env=inherited | {"LOCAL_DIR": str(local)} | more, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.sqlite
@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_refused_where_nobody_said_which_chain(committed, made, tmp_path, dry):
    (tmp_path / "shop.sqlite3").write_bytes((made[0] / "shop.sqlite3").read_bytes())
    before = (tmp_path / "shop.sqlite3").read_bytes()
    answer = manage(tmp_path, "moveshop", *dry)
    said = "Say which chain: export DATABASE_URL, the address of its database. Nothing was changed."
    assert (answer.returncode, answer.stderr) == (1, f"CommandError: {said}\n")
    assert (tmp_path / "shop.sqlite3").read_bytes() == before
    assert [path.name for path in tmp_path.glob("*.sqlite3")] == ["shop.sqlite3"]


@pytest.mark.sqlite
def test_refused_where_the_chain_is_not_there_or_has_no_tables(committed, made, tmp_path):
    (tmp_path / "shop.sqlite3").write_bytes((made[0] / "shop.sqlite3").read_bytes())
    url = f"sqlite:///{tmp_path}/chain.sqlite3"
    answer = manage(tmp_path, "moveshop", DATABASE_URL=url)
    said = f"There is no file {tmp_path}/chain.sqlite3. Nothing was changed."
    assert (answer.returncode, answer.stderr) == (1, f"CommandError: {said}\n")
    (tmp_path / "chain.sqlite3").touch()
    answer = manage(tmp_path, "moveshop", DATABASE_URL=url)
    said = (
        "The chain's database is of another version of the program: run manage.py migrate there. "
        "Nothing was changed."
    )
    assert (answer.returncode, answer.stderr) == (1, f"CommandError: {said}\n")
    assert shop.read_file(tmp_path / "shop.sqlite3", OPEN) == [(1,)]
