"""A shop of one file: backed up, put back and moved into a chain, its audit and seals with it."""

from collections import Counter

import pytest

from accounts.models import AuditEntry
from catalog.sealing import check_audited
from orders.moving import Wish, move_shop
from stock.models import LedgerSeal
from stock.sealing import check_store, seal_all
from stores.models import Store
from tests import shop

KEYS = {"one": b"1" * 32}
ACTIONS = "SELECT action, object_name FROM accounts_auditentry ORDER BY id"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    local = tmp_path_factory.mktemp("made")
    shop.make_shop(local, sales=60)
    return local / "shop.sqlite3"


@pytest.fixture
def local(made, tmp_path):
    (tmp_path / "shop.sqlite3").write_bytes(made.read_bytes())
    return tmp_path


def manage(local, *arguments):
    done = shop.manage(local, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.sqlite
def test_a_restored_shop_verifies_and_says_that_it_was_restored(local):
    manage(local, "sealaudit")
    manage(local, "backupshop", str(local / "copy.sqlite3"))
    manage(local, "createkey", "--store", "SHOP", "--name", "later")
    manage(local, "sealaudit")
    assert "hold, 0 wait for a seal." in manage(local, "checkaudit")
    manage(local, "restoreshop", str(local / "copy.sqlite3"))
    assert shop.read_file(local / "shop.sqlite3", ACTIONS)[-1] == ("database.restored", "")
    manage(local, "sealaudit"), manage(local, "checkaudit")
    assert "of 1 stores: they hold." in manage(local, "checkledger", "--seals")
    # What says that newer seals went with the restore, is the line that it wrote.
    file = local / "seal-heads.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if "restored" not in line))
    done = shop.manage(local, "checkaudit")
    assert (done.returncode, "seal removed" in done.stdout) == (1, True), done.stdout
    backups = [name for name, _ in shop.read_file(local / "copy.sqlite3", ACTIONS)]
    assert "export.made" not in backups  # a copy cannot know that it was made


@pytest.mark.sqlite
def test_a_backup_is_noted_and_one_before_a_migration_is_made_all_the_same(local):
    manage(local, "backupshop", str(local / "copy.sqlite3"))
    assert shop.read_file(local / "shop.sqlite3", ACTIONS)[-1] == ("export.made", "")
    manage(local, "migrate", "accounts", "0001")
    done = shop.manage(local, "backupshop", str(local / "old.sqlite3"))
    assert done.returncode == 0
    assert "The audit could not be told of this backup: no such table" in done.stderr


def test_a_shop_that_moves_in_is_noted_on_both_sides_and_sealed_anew(committed, local, settings):
    settings.IS_DATABASE_NAMED = True
    manage(local, "sealaudit")
    file = local / "shop.sqlite3"
    move_shop(file=file, wish=Wish(code="LHR-01"))
    noted = Counter(AuditEntry.objects.values_list("action", flat=True))
    assert noted == {
        "store.registered": 1, "key.issued": 4, "person.added": 1, "shop.moved": 1,
        "catalog.changed": noted["catalog.changed"],
    }  # fmt: skip
    assert noted["catalog.changed"] > 1
    assert set(AuditEntry.objects.values_list("actor_kind", flat=True)) == {"program"}
    there = shop.read_file(file, ACTIONS)
    assert ("store.changed", "SHOP") in there[-6:]
    assert [action for action, _ in there[-6:]].count("key.revoked") >= 2
    store = Store.objects.get()
    assert not LedgerSeal.objects.exists()
    assert seal_all(KEYS).movements == 101
    assert (check_store(store.pk, KEYS).wrong, check_store(store.pk, KEYS).rows) == (None, 101)
    assert [c.wrong for c in check_audited(KEYS).values()] == [None, None]
