"""`manage.py moveshop`: a shop of one file becomes a store of this chain, whole or not at all."""

import fcntl
import io
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.people import UsernameTaken
from catalog.merging import UnitsDiffer
from catalog.models import Category, ProductChange
from inventory_project import failpoints
from inventory_project.running import StillRuns
from orders.models import SaleEvent
from orders.moving import CannotMove, move_shop, plan_move
from stock import ledger
from stock.checking import check_ledger
from stock.history import UnsoundHistory
from stock.models import Level, Movement
from stores import registry
from stores.models import Store, StoreKey
from tests import make, shop
from tests.databases import unchanged

KEYS = """
SELECT k.prefix, k.secret_sha256, k.name, k.created_at, k.valid_from, k.expires_at
  FROM stores_storekey AS k ORDER BY k.prefix
"""
STORE = "SELECT name, address, timezone, currency, negative_stock FROM stores_store"
PRODUCTS = """
SELECT p.sku, p.name, c.name, p.unit, p.price, p.negative_stock, p.retired_at
  FROM catalog_product AS p LEFT JOIN catalog_category AS c ON c.id = p.category_id ORDER BY p.sku
"""
BARCODES = """
SELECT p.sku, b.code, b.comparable, b.units FROM catalog_barcode AS b
  JOIN catalog_product AS p ON p.id = b.product_id ORDER BY b.code
"""
OPEN = "SELECT count(*) FROM stores_store WHERE retired_at IS NULL"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small shop, made once."""
    local = tmp_path_factory.mktemp("made")
    return local, shop.make_shop(local, sales=60)


@pytest.fixture
def facts(made):
    return made[1]


@pytest.fixture
def file(made, tmp_path):
    """The file of a shop that has stopped."""
    file = tmp_path / "shop.sqlite3"
    file.write_bytes((made[0] / "shop.sqlite3").read_bytes())
    return file


def move(file, *arguments):
    """Run the command; returns what it prints."""
    out = io.StringIO()
    call_command("moveshop", "--from", str(file), *arguments, stdout=out)
    return out.getvalue()


def of_shop(rows, code="LHR-01"):
    """A shop's rows as the chain has to tell them: its people are called `name@code`."""
    return [tuple(f"{v}@{code}" if v == "admin" else v for v in row) for row in rows]


def assert_moved(file, code, store="SHOP"):
    """History, balances, head and inbox are the shop's, to the digit."""
    for sql in (shop.MOVEMENTS, shop.LEVELS, shop.INBOX, shop.HEAD):
        there = of_shop(shop.read_file(file, sql, store), code)
        assert len(there) > 0
        assert shop.read_chain(sql, code) == there
    assert check_ledger(store=Store.objects.get(code=code)).is_sound


def test_a_shop_of_ten_thousand_movements_comes_along_whole(committed, tmp_path):
    """One test: the shop takes seconds to make."""
    facts = shop.make_shop(tmp_path)
    file = tmp_path / "shop.sqlite3"
    make.make_product("OTHER"), make.make_store("KHI-02")  # so that no id is the same
    for other in range(5):
        registry.issue_key(name=f"other {other}", store=None), make.make_user(f"other{other}")
    versions = ProductChange.objects.count()
    said = move(file, "--code", "LHR-01")
    assert "The shop is store LHR-01 of the chain and its ledger is sound." in said
    assert len(shop.read_file(file, shop.MOVEMENTS)) == 10_000
    assert_moved(file, "LHR-01")
    there = shop.read_file(file, PRODUCTS)
    assert [row for row in shop.read_chain(PRODUCTS, "") if row[0] != "OTHER"] == there
    assert shop.read_chain(BARCODES, "") == shop.read_file(file, BARCODES)
    assert Category.objects.get(name="Old").retired_at is not None
    assert ProductChange.objects.count() == versions + 2 + 1 + 40 + 1  # none without its version
    check_tills(facts)


def check_tills(facts):
    """The tills go on with their keys: what is resent is known, what is new counts on."""
    till, sold = make.Api(facts["till"]), facts["sold"]
    answer = till.post("/api/orders/sales/", sold)
    assert (answer.status_code, answer.body["status"]) == (200, "duplicate")
    answer = till.post("/api/orders/sales/", sold | {"quantity": "0.002"})
    assert (answer.status_code, answer.body["code"]) == (409, "event_conflict")
    new = make.sale("SKU-001", 1)
    assert make.Api(facts["spare"]).post("/api/orders/sales/", new).status_code == 202
    make.apply_all()
    store = Store.objects.get(code="LHR-01")
    # The two that waited for the shop's sweep, and the new one.
    assert list(Movement.objects.for_store(store).after(10_000).values_list("seq", flat=True)) == [
        10_001, 10_002, 10_003,
    ]  # fmt: skip
    assert check_ledger().is_sound


def test_keys_store_and_people_come_along(committed, file, facts):
    move(file, "--code", "LHR-01")
    assert shop.read_chain(KEYS, "") == shop.read_file(file, KEYS)
    assert shop.read_chain(STORE, "") == shop.read_file(file, STORE)
    store = Store.objects.get()
    assert (store.code, store.retired_at) == ("LHR-01", None)
    assert {key.store for key in StoreKey.objects.all()} == {store}
    for name, status in (("till", 200), ("spare", 200), ("lost", 401), ("head_office", 401)):
        assert make.Api(facts[name]).get("/api/stores/current/").status_code == status, name
    person = Movement.objects.filter(seq=1).get().actor
    assert (person.username, person.is_active, person.is_superuser) == (
        "admin@LHR-01",
        False,
        False,
    )
    assert not person.has_usable_password()


def test_the_chains_own_admin_is_somebody_else(committed, file):
    admin = make.make_superuser("admin")
    move(file)
    assert not Movement.objects.filter(actor=admin).exists()


def test_sales_that_wait_count_here_and_parked_ones_stay(committed, file):
    move(file)
    store = Store.objects.get()
    states = SaleEvent.objects.for_store(store).order_by("received_at", "event_id")
    assert sorted(states.values_list("status", flat=True)) == [
        "dismissed", "parked", "parked", "pending", "pending",
    ]  # fmt: skip
    make.make_product("NOBODY-KNOWS")
    call_command("sweep", "--once", stdout=io.StringIO())
    make.apply_all()
    assert sorted(states.values_list("status", flat=True)) == ["dismissed", "parked"]
    assert Movement.objects.for_store(store).after(101).count() == 3
    assert check_ledger().is_sound


def test_the_old_file_takes_no_more_sales(committed, file, facts):
    move(file)
    code = f"""
from tests import make
for key, fields in (({facts["till"]!r}, {{}}), ({facts["head_office"]!r}, {{"store": "SHOP"}})):
    sale = make.sale("SKU-001", **fields)
    print(make.Api(key).post("/api/orders/sales/", sale).status_code)
"""
    answer = shop.manage(file.parent, "shell", "-v", "0", "-c", code, ALLOWED_HOSTS="testserver")
    assert answer.stdout.split() == ["401", "401"], answer.stderr
    assert len(shop.read_file(file, shop.INBOX)) == 5
    assert shop.read_file(file, OPEN) == [(0,)]


def test_a_second_time_it_says_so_and_changes_nothing(committed, file):
    move(file, "--code", "LHR-01")
    make.apply_all()
    with unchanged():
        for arguments in ((), ("--code", "LHR-01"), ("--code", "ELSE"), ("--dry-run",)):
            assert move(file, *arguments) == "The shop was moved already: it is store LHR-01.\n"


def test_a_shop_that_never_sold_is_known_by_its_keys(committed, file, facts):
    """Its first movement cannot tell."""
    with closing(sqlite3.connect(file)) as empty:
        for (name,) in empty.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            empty.execute(f"DROP TRIGGER {name}")
        for table in ("stock_movement", "stock_level", "orders_saleevent", "stock_ledgerhead"):
            empty.execute(f"DELETE FROM {table}")
        empty.commit()
    assert move_shop(file=file).is_new
    assert not move_shop(file=file).is_new
    assert Store.objects.count() == 1


def test_death_in_the_middle_changes_neither_side(committed, monkeypatch, file):
    def die():
        raise KeyboardInterrupt

    monkeypatch.setitem(failpoints.armed, "after_adopted_history", die)
    before = file.read_bytes()
    with unchanged(), pytest.raises(KeyboardInterrupt):
        move_shop(file=file)
    assert file.read_bytes() == before
    monkeypatch.delitem(failpoints.armed, "after_adopted_history")
    assert move_shop(file=file).is_new
    assert_moved(file, "SHOP")


def die_between_the_commits(monkeypatch, file):
    def die():
        raise KeyboardInterrupt

    monkeypatch.setitem(failpoints.armed, "after_chain_commit", die)
    with pytest.raises(KeyboardInterrupt):
        move_shop(file=file)
    monkeypatch.delitem(failpoints.armed, "after_chain_commit")


def test_death_between_the_two_commits_is_finished_by_the_next_call(committed, monkeypatch, file):
    die_between_the_commits(monkeypatch, file)
    assert shop.read_file(file, OPEN) == [(1,)]
    make.apply_all()  # the chain goes on meanwhile
    with unchanged():
        assert not move_shop(file=file).is_new
    assert shop.read_file(file, OPEN) == [(0,)]


@pytest.mark.parametrize("applies", [False, True])
def test_shop_that_went_on_after_the_move_is_told(committed, monkeypatch, file, applies):
    """Its last sale exists nowhere else: nobody may believe that it was moved."""
    die_between_the_commits(monkeypatch, file)
    code = f"import tests.shop_work as w; w.sell_once(applies={applies})"
    sold = shop.manage(file.parent, "shell", "-v", "0", "-c", code)
    assert sold.returncode == 0, sold.stderr
    with unchanged(), pytest.raises(CannotMove, match="the file holds sales that the chain does"):
        move_shop(file=file)
    assert shop.read_file(file, OPEN) == [(1,)]


def test_refused_while_script_server_runs_on_the_folder(committed, file):
    with (file.parent / "server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with unchanged(), pytest.raises(StillRuns, match="The product runs on"):
            move_shop(file=file)
        assert plan_move(file=file).movements == 101  # to look is allowed


def test_no_sale_gets_into_the_shop_while_it_moves(committed, monkeypatch, file):
    """Whatever holds the file open without script/server finds it locked, not moved away."""
    seen = []

    def sell():
        with closing(sqlite3.connect(file, timeout=0)) as till:
            try:
                till.execute("DELETE FROM orders_saleevent")
            except sqlite3.OperationalError as error:
                seen.append(str(error))

    monkeypatch.setitem(failpoints.armed, "after_chain_commit", sell)
    move_shop(file=file)
    assert seen == ["database is locked"]


def test_same_sku_is_the_same_product_and_the_chain_is_right(committed, file):
    ours = make.make_product("SKU-001", name="Chain's name", unit="kg", price="99", barcodes=["X"])
    make.make_product("CARRIES", barcodes=["CODE3"])
    said = move(file)
    for told in (
        ["SKU-001", "name", "Product 1", "Chain's name"],
        ["SKU-001", "category", "Tea", ""],
        ["SKU-001", "price", "12.50", "99.00"],
        ["SKU-001", "barcodes", "CODE1*1 PACK1*12", "X*1"],
        ["SKU-003", "barcode of both", "CODE3", "CARRIES"],
    ):
        assert told in [[c.strip() for c in line.split("│")[1:-1]] for line in said.splitlines()]
    ours.refresh_from_db()
    assert (ours.name, ours.category, ours.barcodes.get().code) == ("Chain's name", None, "X")
    assert ProductChange.objects.filter(key="SKU-001").count() == 1  # its making
    assert Level.objects.filter(product=ours).exists()
    assert_moved(file, "SHOP")


def test_other_unit_is_refused_with_the_list(committed, file):
    make.make_product("SKU-001", unit="each"), make.make_product("SKU-002", unit="kg")
    make.make_product("SKU-003", unit="each")  # as in the shop
    before = file.read_bytes()
    with unchanged(), pytest.raises(UnitsDiffer) as refused:
        move_shop(file=file)
    assert refused.value.detail == (
        "The same SKU is counted in another unit: SKU-001 (kg in the shop, each in the chain), "
        "SKU-002 (litre in the shop, kg in the chain)."
    )
    assert file.read_bytes() == before


def test_dry_run_tells_it_all_and_changes_nothing(committed, file):
    make.make_product("SKU-001", name="Chain's name", unit="kg")
    before = file.read_bytes()
    with unchanged():
        said = move(file, "--code", "LHR-01", "--dry-run")
    assert file.read_bytes() == before
    rows = {
        cells[0]: cells[1]
        for line in said.splitlines()
        if len(cells := [cell.strip() for cell in line.split("│")[1:-1]]) == 2
    }
    assert rows == {
        "movements": "101", "levels": "40", "waiting sales": "2", "parked sales": "2",
        "dismissed sales": "1", "keys": "3", "products new to the chain": "39",
        "products it has already": "1",
    }  # fmt: skip
    assert "Chain's name" in said
    assert "Dry run, nothing was changed; this is what would move." in said


def test_code_that_is_taken_or_is_none_is_refused(committed, file):
    make.make_store("SHOP")
    with unchanged():
        with pytest.raises(CannotMove, match="has a store SHOP: give this one another code"):
            move_shop(file=file)
        with pytest.raises(CannotMove, match="'a b' is no store code"):
            move_shop(file=file, code="a b")


def test_key_that_opens_something_here_is_refused(committed, file, facts):
    prefix = facts["till"].partition(".")[0]
    other = registry.issue_key(name="other", store=None).key
    StoreKey.objects.filter(pk=other.pk).update(prefix=prefix)
    with unchanged(), pytest.raises(registry.KeyKnown, match=f"There is a key {prefix} already"):
        move_shop(file=file)


def test_account_that_is_called_like_a_person_of_the_shop_is_refused(committed, file):
    make.make_user("admin@SHOP")
    with unchanged(), pytest.raises(UsernameTaken, match="There is an account admin@SHOP already"):
        move_shop(file=file)


def test_one_of_several_stores_is_named_and_the_others_go_on(committed, file, facts):
    add = "INSERT INTO stores_store SELECT NULL, 'SECOND', name, address, timezone, currency, "
    shop.write_file(file, f"{add} negative_stock, NULL, created_at, 9 FROM stores_store")
    with unchanged(), pytest.raises(CannotMove, match=r"several stores \(SECOND, SHOP\)"):
        move_shop(file=file)
    with unchanged(), pytest.raises(CannotMove, match="There is no store 'THIRD' in the file"):
        move_shop(file=file, store_code="THIRD")
    assert move_shop(file=file, store_code="SHOP").movements == 101
    assert shop.read_file(file, OPEN) == [(1,)]
    working = "SELECT prefix FROM stores_storekey WHERE revoked_at IS NULL"
    head_office = facts["head_office"].partition(".")[0]
    assert shop.read_file(file, working) == [(head_office,)]
    assert move_shop(file=file, store_code="SECOND").movements == 0
    assert shop.read_file(file, working) == []
    assert set(Store.objects.values_list("code", flat=True)) == {"SHOP", "SECOND"}


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("UPDATE stock_movement SET quantity = -7 WHERE seq = 57", "after movement 57 does not"),
        ("DELETE FROM stock_movement WHERE seq = 57", "Movement 57 is missing"),
        ("DELETE FROM stock_movement WHERE seq = 101", "end at 100, the ledger at 101"),
        ("UPDATE stock_level SET quantity = 5 WHERE rowid = 3", "not the sum of its movements"),
        ("UPDATE stock_level SET updated_seq = 1 WHERE rowid = 3", "not the sum of its movements"),
        ("DELETE FROM stock_level WHERE rowid = 3", "not the sum of its movements"),
    ],
)
def test_history_that_does_not_add_up_is_refused(committed, file, sql, sentence):
    shop.write_file(file, sql)
    with unchanged(), pytest.raises(UnsoundHistory, match=sentence):
        move_shop(file=file)
    assert shop.read_file(file, OPEN) == [(1,)]


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("DELETE FROM django_migrations WHERE name LIKE '0003%twins%' AND app = 'orders'",
         "is of an older version: start it once with script/server --shop"),
        ("INSERT INTO django_migrations (app, name, applied) VALUES ('stock', '0099_later', '')",
         "was written by a newer version"),
    ],
    ids=["older", "newer"],
)  # fmt: skip
def test_file_of_another_version_is_refused(committed, file, sql, sentence):
    shop.write_file(file, sql)
    with unchanged(), pytest.raises(CannotMove, match=sentence):
        move_shop(file=file)


def test_refusal_is_one_sentence_of_the_command(committed, file):
    with pytest.raises(CommandError) as refused:
        move(file.with_name("nothing.sqlite3"))
    said = f"There is no file {file.parent}/nothing.sqlite3. Nothing was changed."
    assert str(refused.value) == said


@pytest.mark.sqlite
def test_chain_and_shop_are_two_databases(committed):
    with unchanged(), pytest.raises(CannotMove, match="has to name the chain's database"):
        move_shop(file=Path(connection.settings_dict["NAME"]))


def test_only_a_store_without_movements_takes_over_a_history(committed, lahore, tea):
    make.receive(lahore, "TEA", 1)
    with unchanged(), pytest.raises(ledger.HasHistory):
        ledger.adopt_history(store=lahore, history=[], last_seq=0, levels={})
