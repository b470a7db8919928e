"""`manage.py restoreshop`: the shop as it was, the one before kept; a refusal changes nothing."""

import fcntl
import sqlite3
import stat
from contextlib import closing

import pytest

from inventory_project.database_file import InUse, UnusableFile
from inventory_project.running import StillRuns
from orders.backup import NewerFile, back_up, restore
from tests import shop

pytestmark = pytest.mark.sqlite  # it brings its own files: once is enough

ALL = (shop.MOVEMENTS, shop.LEVELS, shop.INBOX, shop.HEAD)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    local = tmp_path_factory.mktemp("made")
    shop.make_shop(local, sales=60)
    return local


@pytest.fixture
def local(made, tmp_path, django_db_setup, django_db_blocker):
    """A folder with a shop, a backup of it, and one key more in the shop than in the backup."""
    (tmp_path / "shop.sqlite3").write_bytes((made / "shop.sqlite3").read_bytes())
    with django_db_blocker.unblock():
        back_up(
            database=tmp_path / "shop.sqlite3", file=tmp_path / "copy.sqlite3", overwrites=False
        )
        rename(tmp_path / "shop.sqlite3", "Later")
        yield tmp_path


def rename(file, name):
    shop.write_file(file, "UPDATE stores_store SET name = ?", name)


def name_in(file):
    ((name,),) = shop.read_file(file, "SELECT name FROM stores_store")
    return name


def files_of(local):
    """Every file of the folder with its bytes; the lock's and settings' own aside."""
    kinds = (".sqlite3", "-wal", "-shm")
    return {p.name: p.read_bytes() for p in local.iterdir() if p.name.endswith(kinds)}


def restore_here(local, file="copy.sqlite3"):
    return restore(file=local / file, database=local / "shop.sqlite3")


def test_the_shop_is_what_it_was_and_the_one_before_is_kept(local):
    answer = shop.manage(local, "restoreshop", str(local / "copy.sqlite3"))
    assert (answer.returncode, answer.stderr) == (0, "")
    (aside,) = local.glob("shop.before-*.sqlite3")
    assert answer.stdout.startswith(
        f"The shop is what it was in {local}/copy.sqlite3: 101 movements, 40 levels, "
        "2 waiting and 2 parked sales, "
    )
    assert f"to go back: manage.py restoreshop {aside}\n" in answer.stdout
    for sql in ALL:
        assert shop.read_file(local / "shop.sqlite3", sql) == shop.read_file(
            local / "copy.sqlite3", sql
        )
    assert (name_in(local / "shop.sqlite3"), name_in(aside)) == ("My shop", "Later")
    assert stat.S_IMODE((local / "shop.sqlite3").stat().st_mode) == 0o600
    assert stat.S_IMODE(aside.stat().st_mode) == 0o600


def test_going_back_is_restoring_the_one_before(local):
    aside = restore_here(local).aside
    restore(file=aside.rename(local / "mine.sqlite3"), database=local / "shop.sqlite3")
    assert name_in(local / "shop.sqlite3") == "Later"


def test_on_a_new_computer_there_is_nothing_to_keep(local):
    (local / "shop.sqlite3").unlink()
    restored = restore_here(local)
    assert restored.aside is None
    assert restored.contents.movements == 101
    assert name_in(local / "shop.sqlite3") == "My shop"


def test_refused_while_script_server_runs_on_the_folder(local):
    with (local / "server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = files_of(local)
        with pytest.raises(StillRuns, match="The product runs on"):
            restore_here(local)
        assert files_of(local) == before


def test_refused_while_any_process_has_the_shop_open(local):
    with closing(sqlite3.connect(local / "shop.sqlite3")) as web:
        web.execute("PRAGMA journal_mode=WAL")
        web.execute("SELECT count(*) FROM stores_store").fetchone()
        with pytest.raises(InUse, match="Another process has"):
            restore_here(local)
    assert name_in(local / "shop.sqlite3") == "Later"
    assert sorted(path.name for path in local.glob("*.sqlite3")) == ["copy.sqlite3", "shop.sqlite3"]


def test_last_commits_of_a_killed_shop_are_kept_aside_and_do_not_meet_the_next(local):
    """What a kill or a power cut leaves: commits that are only in the -wal."""
    with closing(sqlite3.connect(local / "shop.sqlite3")) as killed:
        killed.execute("PRAGMA journal_mode=WAL")
        killed.execute("UPDATE stores_store SET name = 'In the wal'")
        killed.commit()
        left = files_of(local)
    for name in ("shop.sqlite3", "shop.sqlite3-wal"):
        (local / name).write_bytes(left[name])
    aside = restore_here(local).aside
    assert list(local.glob("shop.before-*")) == [aside]
    assert name_in(aside) == "In the wal"
    assert name_in(local / "shop.sqlite3") == "My shop"
    assert not (local / "shop.sqlite3-wal").exists()


def test_damaged_shop_is_kept_as_it_is_with_its_wal(local):
    (local / "shop.sqlite3").write_bytes(b"no database any more" * 1_000)
    (local / "shop.sqlite3-wal").write_bytes(b"rest")
    aside = restore_here(local).aside
    assert aside.read_bytes() == b"no database any more" * 1_000
    assert aside.with_name(aside.name + "-wal").read_bytes() == b"rest"
    assert not (local / "shop.sqlite3-wal").exists()
    assert name_in(local / "shop.sqlite3") == "My shop"


def test_older_backup_is_brought_up_to_date_first(local):
    """A backup of the time before the last migration, which made no tables."""
    last = "DELETE FROM django_migrations WHERE app = 'orders' AND name LIKE '0003%'"
    shop.write_file(local / "copy.sqlite3", last)
    before = (local / "copy.sqlite3").read_bytes()
    assert restore_here(local).migrations == 1
    applied = "SELECT count(*) FROM django_migrations WHERE app = 'orders' AND name LIKE '0003%'"
    assert shop.read_file(local / "shop.sqlite3", applied) == [(1,)]
    triggers = "SELECT name FROM sqlite_master WHERE name = 'stock_movement_refuses_delete'"
    assert len(shop.read_file(local / "shop.sqlite3", triggers)) == 1
    assert (local / "copy.sqlite3").read_bytes() == before


def test_newer_backup_is_refused(local):
    sql = "INSERT INTO django_migrations (app, name, applied) VALUES ('stock', '0099_later', '')"
    shop.write_file(local / "copy.sqlite3", sql)
    before = files_of(local)
    with pytest.raises(NewerFile, match=r"newer version of the program \(stock\.0099_later\)"):
        restore_here(local)
    assert files_of(local) == before


def make_foreign(file):
    file.unlink()
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE notes (text)")
        other.commit()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda file: file.unlink(), "There is no file"),
        (lambda file: file.write_bytes(b""), "is a database of another program"),
        (lambda file: file.write_bytes(b"sku,name\n" * 100), "cannot be read as a database"),
        (make_foreign, "is a database of another program"),
        (shop.damage, "is damaged"),
    ],
    ids=["missing", "empty", "text", "foreign", "damaged"],
)
def test_file_that_is_no_whole_backup_is_refused(local, spoil, sentence):
    spoil(local / "copy.sqlite3")
    before = files_of(local)
    with pytest.raises(UnusableFile, match=sentence):
        restore_here(local)
    assert files_of(local) == before
    assert list(local.glob(".shop*")) == []


def test_refusal_is_one_sentence_of_the_command(local):
    answer = shop.manage(local, "restoreshop", str(local / "nothing.sqlite3"))
    assert answer.returncode == 1
    assert answer.stderr == (
        f"CommandError: There is no file {local}/nothing.sqlite3. Nothing was changed.\n"
    )
