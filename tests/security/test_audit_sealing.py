"""Sealing under way: rows that come late, two that seal at once, keys and files."""

import stat
import threading
from datetime import timedelta
from functools import partial

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone as clock

from accounts import audit, sealing
from accounts.models import AuditEntry, AuditSeal
from accounts.settings_log import note_settings
from catalog.sealing import check_audited
from inventory_project import seal_keys
from orders.sweeping import Sealing
from stock.models import LedgerSeal
from stock.sealing import check_seals, seal_all
from tests import make
from tests.concurrency.threads import together

KEYS = {"one": b"1" * 32}
HEX = "1" * 64


def is_whole():
    checked = [*check_audited(KEYS).values(), *check_seals(KEYS)]
    return [c.wrong for c in checked if c.wrong] == []


@pytest.mark.postgresql
def test_an_entry_that_is_committed_late_is_sealed_with_the_next_and_not_taken_for_a_forged_one(
    committed,
):
    drawn, may_commit = threading.Event(), threading.Event()

    def write_slowly():
        with transaction.atomic():
            audit.record("slow")
            drawn.set()
            may_commit.wait(10)
        connection.close()

    slow = threading.Thread(target=write_slowly)
    slow.start()
    assert drawn.wait(10)
    audit.record("quick")
    assert seal_all(KEYS).heads == {}  # not now: an earlier number may still come
    may_commit.set()
    slow.join()
    assert seal_all(KEYS).heads["audit"][0] == AuditEntry.objects.first().pk
    actions = AuditEntry.objects.order_by("id").values_list("action", flat=True)
    assert (list(actions), is_whole()) == (["slow", "quick"], True)


@pytest.mark.postgresql
def test_sealing_without_the_lock_would_take_the_late_one_for_forged(committed, monkeypatch):
    """What the lock is for: the same without it."""
    monkeypatch.setattr(sealing, "find_horizon", lambda: AuditEntry.objects.first().pk)
    drawn, may_commit = threading.Event(), threading.Event()

    def write_slowly():
        with transaction.atomic():
            audit.record("slow")
            drawn.set()
            may_commit.wait(10)
        connection.close()

    slow = threading.Thread(target=write_slowly)
    slow.start()
    assert drawn.wait(10)
    audit.record("quick")
    seal_all(KEYS)
    may_commit.set()
    slow.join()
    assert not is_whole()


def test_writers_and_two_sealers_at_once_leave_a_whole_chain(committed, lahore, tea):
    def work(number):
        for nth in range(15):
            if number < 2:
                audit.record("x", after={"nth": nth})
                make.receive(lahore, "TEA", 1)
            else:
                seal_all(KEYS)

    assert together(*(partial(work, number) for number in range(4))) == [None] * 4
    seal_all(KEYS)
    assert is_whole()
    assert sum(seal.rows for seal in AuditSeal.objects.filter(chain="audit")) == (
        AuditEntry.objects.count()
    )
    assert sum(seal.rows for seal in LedgerSeal.objects.all()) == 30


def test_changes_taken_back_leave_gaps_that_hold(committed, lahore):
    for nth in range(6):
        with transaction.atomic():
            audit.record("x", after={"nth": nth})
            transaction.set_rollback(nth % 2 == 1)
    seal_all(KEYS)
    assert is_whole()


# --- the sweep's part ---------------------------------------------------------------------------


@pytest.fixture
def heads_file(settings, tmp_path):
    settings.AUDIT_HEADS_FILE = tmp_path / "heads.jsonl"
    return settings.AUDIT_HEADS_FILE


def lines_of(file):
    return file.read_text().splitlines() if file.exists() else []


def test_heads_are_told_each_minute_and_only_new_ones(committed, lahore, tea, heads_file):
    turn = Sealing(KEYS)
    turn.take_turn(1_000)
    assert len(lines_of(heads_file)) == 1
    audit.record("x")
    turn.take_turn(1_005)
    assert AuditSeal.objects.filter(chain="audit").count() == 1  # ten seconds are not over
    turn.take_turn(1_011)
    assert AuditSeal.objects.filter(chain="audit").count() == 2
    assert len(lines_of(heads_file)) == 1
    turn.take_turn(1_061)
    assert len(lines_of(heads_file)) == 2 and "catalog" not in lines_of(heads_file)[1]
    turn.take_turn(1_200)
    assert len(lines_of(heads_file)) == 2
    # One that died may not have told them: the next tells all there are.
    Sealing(KEYS).take_turn(5_000)
    assert "catalog" in lines_of(heads_file)[2]


def test_heads_that_cannot_be_written_are_told_later(committed, lahore, settings, tmp_path, caplog):
    settings.AUDIT_HEADS_FILE = tmp_path / "missing" / "heads.jsonl"
    turn = Sealing(KEYS)
    turn.take_turn(1_000)
    assert "The heads of the seals cannot be written: " in caplog.text
    (tmp_path / "missing").mkdir()
    turn.take_turn(1_061)
    assert '"audit": [' in lines_of(settings.AUDIT_HEADS_FILE)[0]


def test_a_store_that_sells_little_is_sealed_each_five_minutes(committed, lahore, tea, heads_file):
    make.receive(lahore, "TEA", 1)
    seal_all(KEYS, waits=True)
    make.receive(lahore, "TEA", 1)
    assert seal_all(KEYS, waits=True).movements == 0
    now = clock.now() + timedelta(minutes=5, seconds=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stock.sealing.clock.now", lambda: now)
        assert seal_all(KEYS, waits=True).movements == 1


@pytest.mark.django_db
def test_settings_are_noted_when_they_are_others_than_before(settings):
    note_settings(), note_settings()
    settings.LIMIT_LOG_IN = 3
    note_settings()
    changes = AuditEntry.objects.filter(action="settings.changed").order_by("id")
    assert len(changes) == 2
    assert changes[1].before == changes[0].after
    assert '"LIMIT_LOG_IN": 3' in changes[1].after
    assert settings.SECRET_KEY not in str(list(changes.values()))


# --- keys -----------------------------------------------------------------------------------------


def test_a_desk_makes_its_own_key_once_and_for_its_owner_only(settings, tmp_path):
    settings.LOCAL_DIR = tmp_path
    keys = seal_keys.read_keys()
    assert keys == seal_keys.read_keys()
    assert list(keys) == ["desk"] and len(keys["desk"]) == 32
    (file,) = tmp_path.iterdir()
    assert (file.name, stat.S_IMODE(file.stat().st_mode)) == ("audit-seal.key", 0o600)


def test_sixteen_that_want_the_desks_key_at_once_get_the_same(settings, tmp_path):
    settings.LOCAL_DIR = tmp_path
    found = together(*[lambda: seal_keys.read_keys()["desk"]] * 16)
    assert len(set(found)) == 1 and len(found[0]) == 32


def test_keys_of_the_environment_the_first_one_seals(settings):
    settings.AUDIT_SEAL_KEY = f"2026b:{'2' * 64}, 2026a:{HEX}"
    assert seal_keys.read_keys() == {"2026b": bytes.fromhex("2" * 64), "2026a": bytes.fromhex(HEX)}
    assert next(iter(seal_keys.read_keys())) == "2026b"


def test_keys_of_a_file(settings, tmp_path):
    settings.AUDIT_SEAL_KEY_FILE = str(tmp_path / "key")
    with pytest.raises(ImproperlyConfigured, match="AUDIT_SEAL_KEY_FILE cannot be read"):
        seal_keys.read_keys()
    (tmp_path / "key").write_text(f"one:{HEX}\n")
    assert seal_keys.read_keys() == {"one": bytes.fromhex(HEX)}


@pytest.mark.parametrize(
    "text",
    [HEX, f"one:{HEX[1:]}", f"one:{HEX}0", f":{HEX}", f"one two:{HEX}", f"one:{'g' * 64}",
     f"one:{HEX},one:{'2' * 64}", f"{'n' * 17}:{HEX}", "one:"],
)  # fmt: skip
def test_what_is_no_key_is_refused(settings, text):
    settings.AUDIT_SEAL_KEY = text
    with pytest.raises(ImproperlyConfigured, match="AUDIT_SEAL_KEY is one or more name:64-hex"):
        seal_keys.read_keys()
    for command in ("sealaudit", "checkaudit"):
        with pytest.raises(CommandError, match="AUDIT_SEAL_KEY is one or more"):
            call_command(command)


def test_production_has_no_key_of_a_desk(settings, tmp_path):
    settings.LOCAL_DIR, settings.PRODUCTION = tmp_path, True
    with pytest.raises(ImproperlyConfigured, match="PRODUCTION needs AUDIT_SEAL_KEY"):
        seal_keys.read_keys()
    assert list(tmp_path.iterdir()) == []


def test_a_new_key_is_printed_as_the_setting_takes_it(settings, capsys):
    call_command("sealaudit", "--new-key", "2027")
    settings.AUDIT_SEAL_KEY = capsys.readouterr().out
    assert list(seal_keys.read_keys()) == ["2027"]


@pytest.mark.django_db
def test_the_key_is_in_no_table(lahore, tea):
    seal_all(KEYS)
    with connection.cursor() as cursor:
        for table in ("accounts_auditseal", "stock_ledgerseal", "accounts_auditentry"):
            cursor.execute(f"SELECT * FROM {table}")
            stored = b"".join(
                bytes(v) if isinstance(v, bytes | memoryview) else str(v).encode()
                for row in cursor.fetchall()
                for v in row
            )
            assert KEYS["one"] not in stored and KEYS["one"].hex().encode() not in stored
