"""`manage.py checkledger`: silent on a sound ledger, and names exactly the row that is wrong."""

import io
import json

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.transaction import TransactionManagementError

from stock import checking
from stock.models import Level, Movement
from tests import make
from tests.databases import unchanged
from tests.environment import OWNER_URL


@pytest.fixture
def chain(committed):
    """Two stores and two products: in Lahore TEA moves at seq 1, 3, 4 and SALT at seq 2."""
    lahore, karachi = make.make_store("LHR-01"), make.make_store("KHI-02")
    tea, salt = make.make_product("TEA"), make.make_product("SALT", unit="kg")
    make.receive(lahore, "TEA", 10)
    make.receive(lahore, "SALT", 5)
    make.receive(lahore, "TEA", 2)
    till = make.make_device(lahore)
    assert till.post("/api/orders/sales/", make.sale("TEA", 3)).status_code == 202
    make.apply_all()
    make.receive(karachi, "TEA", 7)
    return {"lahore": lahore.pk, "karachi": karachi.pk, "tea": tea.pk, "salt": salt.pk}


def check(*arguments):
    """(exit code, the JSON object)."""
    out, code = io.StringIO(), 0
    try:
        call_command("checkledger", "--json", *arguments, stdout=out, stderr=io.StringIO())
    except SystemExit as end:
        code = end.code
    return code, json.loads(out.getvalue())


def tamper(sql, *values):
    """What the application may not do: the owner can, and on SQLite whoever drops the triggers."""
    if connection.vendor == "postgresql":
        with psycopg.connect(OWNER_URL, autocommit=True) as owner:
            assert owner.execute(sql, values).rowcount == 1
        return
    with connection.cursor() as cursor:
        for verb in ("update", "delete"):
            cursor.execute(f"DROP TRIGGER IF EXISTS stock_movement_refuses_{verb}")
        cursor.execute(sql, values)
        assert cursor.rowcount == 1


def finding(check, product, expected, found, difference, *, store="LHR-01", seq=None):
    return {
        "check": check, "store": store, "product": product, "seq": seq,
        "expected": expected, "found": found, "difference": difference,
    }  # fmt: skip


def test_sound_ledger(chain):
    with unchanged():
        code, told = check()
    assert code == 0
    assert told == {
        "ok": True, "stores": 2, "levels": 3, "movements": 5, "findings": [],
        "counts": {"level": 0, "seq": 0, "last_seq": 0, "balance_after": 0, "updated_seq": 0},
    }  # fmt: skip


def test_empty_ledger_is_sound(committed):
    code, told = check()
    assert (code, told["ok"], told["movements"]) == (0, True, 0)


def test_level_changed_by_hand(chain):
    Level.objects.filter(store=chain["lahore"], product=chain["salt"]).update(quantity="4.750")
    code, told = check()
    assert (code, told["ok"]) == (1, False)
    assert told["findings"] == [finding("level", "SALT", 5, "4.750", "-0.250")]
    assert told["counts"]["level"] == 1


def test_level_without_movements(chain):
    Level.objects.create(
        store_id=chain["karachi"], product_id=chain["salt"], quantity=0, updated_seq=0
    )
    assert check()[1]["findings"] == [finding("level", "SALT", 0, 0, 0, store="KHI-02")]


def test_movements_without_level(chain):
    tamper("DELETE FROM stock_level WHERE store_id = %s", chain["karachi"])
    assert check()[1]["findings"] == [finding("level", "TEA", 7, 0, -7, store="KHI-02")]


def test_movement_taken_out_leaves_a_gap(chain):
    tamper("DELETE FROM stock_movement WHERE store_id = %s AND seq = 2", chain["lahore"])
    assert check()[1]["findings"] == [
        finding("level", "SALT", 0, 5, 5),
        finding("seq", None, 4, 3, -1),
    ]


def test_last_movement_taken_out_is_missed_by_the_head(chain):
    tamper("DELETE FROM stock_movement WHERE store_id = %s AND seq = 4", chain["lahore"])
    assert check()[1]["findings"] == [
        finding("level", "TEA", 12, 9, -3),
        finding("last_seq", None, 3, 4, 1),
        finding("updated_seq", "TEA", 3, 4, 1, seq=3),
    ]


def test_balance_after_that_does_not_follow(chain):
    sql = "UPDATE stock_movement SET balance_after = 11000 WHERE store_id = %s AND seq = 3"
    tamper(sql, chain["lahore"])
    assert check()[1]["findings"] == [finding("balance_after", "TEA", 12, 11, -1, seq=3)]


def test_level_that_names_another_seq(chain):
    Level.objects.filter(store=chain["lahore"], product=chain["salt"]).update(updated_seq=3)
    assert check()[1]["findings"] == [finding("updated_seq", "SALT", 2, 3, 1, seq=2)]


def test_one_store_by_itself(chain):
    Level.objects.filter(store=chain["karachi"]).update(quantity=8)
    code, told = check("--store", "LHR-01")
    assert (code, told["stores"], told["levels"], told["movements"]) == (0, 1, 2, 4)
    code, told = check("--store", "KHI-02")
    assert (code, told["stores"], told["movements"], len(told["findings"])) == (1, 1, 1, 1)


def test_findings_are_cut_and_counted(chain, monkeypatch):
    monkeypatch.setattr(checking, "FINDINGS_PER_CHECK_MAX", 2)
    Level.objects.update(quantity=1)
    _, told = check()
    assert told["counts"]["level"] == 3
    assert len(told["findings"]) == 2


def test_table_and_one_sentence_for_people(chain):
    Level.objects.filter(store=chain["karachi"]).update(quantity=8)
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("checkledger", stdout=out, stderr=err)
    assert end.value.code == 1
    row = next(line for line in out.getvalue().splitlines() if "KHI-02" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        "level", "KHI-02", "TEA", "", "7", "8", "1",
    ]  # fmt: skip
    assert "The ledger is NOT sound (2 stores, 3 levels, 5 movements)" in out.getvalue()
    assert "Following the balances (5 movements) ..." in err.getvalue()


def test_sound_ledger_in_one_sentence(chain):
    out = io.StringIO()
    call_command("checkledger", stdout=out, stderr=io.StringIO())
    assert out.getvalue() == "The ledger is sound: 2 stores, 3 levels, 5 movements.\n"


def test_unknown_store(chain):
    with pytest.raises(CommandError, match=r"There is no store 'NOWHERE'\."):
        check("--store", "NOWHERE")


def test_it_waits_for_nobody_and_nobody_for_it(chain):
    """Movements that are committed while it looks are not in its snapshot."""
    seen = []

    def sell_meanwhile(sentence):
        if not seen:
            other = connection.copy()
            with other.cursor() as cursor:
                cursor.execute(
                    "UPDATE stock_level SET quantity = 1 WHERE store_id = %s", [chain["karachi"]]
                )
            other.close()
        seen.append(sentence)

    assert checking.check_ledger(on_progress=sell_meanwhile).is_sound
    assert len(seen) == 5
    assert not checking.check_ledger().is_sound


def test_it_writes_nothing_and_leaves_no_transaction(chain):
    checking.check_ledger()
    with transaction.atomic():
        assert Movement.objects.count() == 5
        with pytest.raises(TransactionManagementError):
            checking.check_ledger()
