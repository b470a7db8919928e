"""`manage.py backupshop`: a whole, checked copy while the shop sells, or nothing at all."""

import sqlite3
import stat
import subprocess
import sys
from contextlib import closing

import pytest
from django.core.management import CommandError, call_command

from inventory_project import database_file
from inventory_project.database_file import UnusableFile
from orders.backup import FileExists, back_up, look_into
from tests import shop
from tests.databases import CHECKOUT

LEVELS_BESIDE_SUMS = """
SELECT p.sku, l.quantity,
       (SELECT sum(m.quantity) FROM stock_movement AS m WHERE m.product_id = l.product_id)
  FROM stock_level AS l JOIN catalog_product AS p ON p.id = l.product_id
"""
KNOWN_EVENTS = "SELECT event_id FROM stock_movement UNION ALL SELECT event_id FROM orders_saleevent"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    local = tmp_path_factory.mktemp("made")
    shop.make_shop(local, sales=60)
    return local


@pytest.fixture
def local(made, tmp_path, django_db_setup, django_db_blocker):
    """A folder with a shop in it; files may be opened, no other database is touched."""
    (tmp_path / "shop.sqlite3").write_bytes((made / "shop.sqlite3").read_bytes())
    with django_db_blocker.unblock():
        yield tmp_path


def start(local, *command):
    return subprocess.Popen(
        [sys.executable, "manage.py", *command],
        cwd=CHECKOUT, env=shop.environment(local), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.sqlite
def test_a_copy_made_while_the_shop_sells_is_whole(local):
    """A till sells and the sweep applies, each in a process of its own."""
    code = "import tests.shop_work as w; w.sell_for_ever()"
    till = start(local, "shell", "-v", "0", "-c", code)
    sweep = start(local, "sweep")
    try:
        accepted, last_seqs = {till.stdout.readline().strip()}, []
        while shop.read_file(local / "shop.sqlite3", shop.HEAD) == [(101,)]:
            accepted.add(till.stdout.readline().strip())  # until the sweep has started, too
        # A till that never rests may keep the sweep from the file's lock for a while: copies are
        # made until sales were applied between two of them, however long that takes.
        while len(last_seqs) < 8 or (len(set(last_seqs)) < 2 and len(last_seqs) < 400):
            accepted |= {till.stdout.readline().strip() for _ in range(40)}
            contents = back_up(
                database=local / "shop.sqlite3", file=local / "copy.sqlite3", overwrites=True
            )
            assert contents.is_sound
            last_seqs.append(check_copy(local / "copy.sqlite3", accepted))
        assert till.poll() is sweep.poll() is None  # nobody was made to fail
        assert len(set(last_seqs)) > 1
    finally:
        for process in (till, sweep):
            process.kill()
            process.wait()


def check_copy(copy, accepted):
    """Nothing accepted before is missing, nothing counted twice; returns the last seq."""
    known = [event_id for (event_id,) in shop.read_file(copy, KNOWN_EVENTS)]
    assert accepted <= set(known)
    assert len(known) == len(set(known))
    levels = shop.read_file(copy, LEVELS_BESIDE_SUMS)
    assert [(sku, level) for sku, level, _ in levels] == [(sku, total) for sku, _, total in levels]
    ((last_seq,),) = shop.read_file(copy, shop.HEAD)
    numbers = [row[0] for row in shop.read_file(copy, shop.MOVEMENTS)]
    assert numbers == list(range(1, last_seq + 1))
    return last_seq


@pytest.mark.sqlite
def test_the_command_says_what_is_in_the_copy(local):
    copy = local / "copy.sqlite3"
    answer = shop.manage(local, "backupshop", str(copy))
    assert (answer.returncode, answer.stderr) == (0, "")
    said = f"{copy}: 101 movements, 40 levels, 2 waiting and 2 parked sales, "
    assert answer.stdout.startswith(said)
    assert answer.stdout.endswith(f"\nIt is a copy of {local}/shop.sqlite3.\n")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert {path.name for path in local.glob("*copy*")} == {"copy.sqlite3"}  # no -wal, no rest
    assert shop.read_file(copy, shop.MOVEMENTS) == shop.read_file(
        local / "shop.sqlite3", shop.MOVEMENTS
    )
    again = shop.manage(local, "backupshop", str(copy))
    assert again.returncode == 1
    assert f"{copy} exists and stays as it is." in again.stderr
    assert shop.manage(local, "backupshop", str(copy), "--overwrite").returncode == 0


@pytest.mark.sqlite
@pytest.mark.parametrize("overwrites", [False, True])
def test_the_shop_itself_is_never_overwritten(local, overwrites):
    file = local / "shop.sqlite3"
    before = file.read_bytes()
    with pytest.raises(FileExists):
        back_up(database=file, file=file, overwrites=overwrites)
    assert file.read_bytes() == before


@pytest.mark.sqlite
def test_damaged_shop_leaves_the_backup_before(local):
    file, copy = local / "shop.sqlite3", local / "copy.sqlite3"
    back_up(database=file, file=copy, overwrites=False)
    before = copy.read_bytes()
    shop.damage(file)
    with pytest.raises(UnusableFile, match="is damaged"):
        back_up(database=file, file=copy, overwrites=True)
    assert copy.read_bytes() == before
    assert {path.name for path in local.glob("*copy*")} == {"copy.sqlite3"}


@pytest.mark.sqlite
def test_unsound_ledger_is_copied_and_told(local):
    shop.write_file(local / "shop.sqlite3", "UPDATE stock_level SET quantity = 1 WHERE rowid = 1")
    answer = shop.manage(local, "backupshop", str(local / "copy.sqlite3"))
    assert answer.returncode == 1
    assert "Its ledger is NOT sound, as it was copied: run checkledger." in answer.stderr
    assert not look_into(local / "copy.sqlite3").is_sound


@pytest.mark.sqlite
def test_no_shop_there_and_none_is_made(tmp_path):
    answer = shop.manage(tmp_path, "backupshop", str(tmp_path / "copy.sqlite3"))
    assert answer.returncode == 1
    assert answer.stderr == (
        f"CommandError: There is no shop in {tmp_path}/shop.sqlite3; "
        "does LOCAL_DIR name its folder?\n"
    )
    assert not (tmp_path / "copy.sqlite3").exists()
    assert not (tmp_path / "shop.sqlite3").exists()


@pytest.mark.sqlite
def test_folder_that_does_not_exist_is_one_sentence(local):
    copy = local / "nowhere" / "copy.sqlite3"
    answer = shop.manage(local, "backupshop", str(copy))
    assert answer.returncode == 1
    assert f"CommandError: {copy} cannot be written: No such file or directory." in answer.stderr


@pytest.mark.sqlite
def test_disk_that_cannot_take_the_copy_is_named(local):
    copy = local / "copy.sqlite3"
    answer = shop.manage(local, "backupshop", str(copy), file_bytes_max=100_000)
    said = f"CommandError: {copy} cannot be written: disk I/O error.\n"
    assert (answer.returncode, answer.stderr) == (1, said)
    assert list(local.glob("*copy*")) == []


@pytest.mark.sqlite
def test_full_stick_is_named(local):
    """SQLite's own word for it, of a file that may have three pages."""
    copy = local / "copy.sqlite3"
    with (
        closing(sqlite3.connect(local / "shop.sqlite3")) as read,
        closing(sqlite3.connect(copy)) as written,
    ):
        written.execute("PRAGMA max_page_count=3")
        with pytest.raises(UnusableFile) as full:
            database_file._copy_pages(read, local / "shop.sqlite3", written, copy)
    assert full.value.detail == f"{copy} cannot be written: the disk is full."


@pytest.mark.sqlite
def test_shop_on_a_disk_that_cannot_be_written_is_named(local):
    """SQLite makes a -shm beside a database in WAL mode, to read it even. Nothing keeps the root
    of a test machine from writing, but for a link that leads nowhere."""
    file = local / "shop.sqlite3"
    with closing(sqlite3.connect(file)) as stopped:
        stopped.execute("PRAGMA journal_mode=WAL")
    (local / "shop.sqlite3-shm").symlink_to("/nowhere/shm")
    answer = shop.manage(local, "backupshop", str(local / "copy.sqlite3"))
    said = (
        f"CommandError: {file} cannot be opened: even to read it, SQLite has to write beside it in "
        f"{local}. Copy it and the -wal beside it to a disk that can be written.\n"
    )
    assert (answer.returncode, answer.stderr) == (1, said)
    assert list(local.glob("*copy*")) == []


@pytest.mark.sqlite
@pytest.mark.parametrize("command", ["backupshop", "restoreshop"])
def test_desks_own_database_is_not_taken_for_a_shop(local, command):
    """Nobody said which is meant: neither SHOP nor DATABASE_URL."""
    (local / "kiryana.sqlite3").write_bytes((local / "shop.sqlite3").read_bytes())
    before = (local / "kiryana.sqlite3").read_bytes()
    answer = shop.manage(local, command, str(local / "shop.sqlite3"), SHOP="false")
    assert answer.returncode == 1
    assert "Say which shop is meant: export SHOP=true, or DATABASE_URL." in answer.stderr
    assert (local / "kiryana.sqlite3").read_bytes() == before


@pytest.mark.postgresql
@pytest.mark.parametrize("command", ["backupshop", "restoreshop"])
def test_on_postgresql_the_command_names_the_other_tools(tmp_path, command):
    file = tmp_path / "copy.sqlite3"
    with pytest.raises(CommandError, match="use pg_dump and pg_restore there"):
        call_command(command, str(file))
    assert not file.exists()
