"""An event that cannot be applied: hunted down by halving, tried again later, parked, replayed."""

import uuid
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import OperationalError, ProgrammingError, connection
from django.utils import timezone as clock

from inventory_project import failpoints
from orders import sales
from orders.models import SaleEvent
from stock import ledger
from tests.journal import HEAD_OFFICE, MORNING, accept, history, incoherences, levels, line, waiting
from tests.make import apply_all, make_product, make_store, receive

pytestmark = pytest.mark.django_db

POISON = "poison"


@pytest.fixture
def poison(monkeypatch):
    """A posting with this receipt breaks the transaction, after its rows are written."""

    def break_down():
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM stock_posting WHERE receipt = %s", [POISON])
            if cursor.fetchone()[0]:
                raise MemoryError("more than this machine has")

    monkeypatch.setitem(failpoints.armed, "after_ledger_row", break_down)


def due_again():
    SaleEvent.objects.update(next_try_at=clock.now() - timedelta(seconds=1))


def fill_up(store, product, thousandths):
    """Bring a level near the end of its range, which no request may do at once."""
    ledger.record([
        ledger.Entry(
            store_id=store.pk, product_id=product.pk, kind="adjustment", quantity=thousandths,
            event_id=uuid.uuid4(), digest=b"x" * 16, occurred_at=MORNING,
            business_date=MORNING.date(),
        )
    ])  # fmt: skip


def test_poison_in_a_batch_of_a_hundred_99_count_and_one_is_put_off(poison, lahore, tea):
    bad = line(units=1, receipt=POISON)
    lines = [line(units=n) for n in range(1, 100)]
    accept(lahore, *lines[:50], bad, *lines[50:])
    apply_all()
    assert len(history(lahore)) == 99
    assert levels(lahore) == {"TEA": -sum(range(1, 100))}
    assert waiting(lahore) == {bad.event_id: ("pending", "")}
    kept = SaleEvent.objects.get()
    assert (kept.attempts, kept.detail) == (1, "MemoryError: more than this machine has")
    assert incoherences() == []


def test_halving_keeps_the_order_of_arrival(poison, lahore, tea):
    ids = sorted((uuid.uuid4() for _ in range(41)), reverse=True)
    lines = [line(units=n + 1, event_id=ids[n]) for n in range(40)]
    accept(lahore, *lines[:17], line(receipt=POISON, event_id=ids[40]), *lines[17:])
    apply_all()
    assert [-row[3] for row in history(lahore)] == list(range(1, 41))


def test_poison_is_tried_five_times_ever_later_and_parked(poison, lahore, tea):
    bad = line(receipt=POISON)
    accept(lahore, bad)
    waits = []
    for attempt in range(1, 6):
        before = clock.now()
        apply_all()
        kept = SaleEvent.objects.get()
        assert kept.attempts == attempt
        if kept.next_try_at:
            waits.append(round((kept.next_try_at - before).total_seconds()))
            assert sales.oldest_due_at() is None
            assert apply_all() == 0  # not before its time
            due_again()
    assert waits == [2, 4, 8, 16]
    assert waiting(lahore) == {bad.event_id: ("parked", "failed")}
    assert SaleEvent.objects.get().next_try_at is None
    due_again()
    assert apply_all() == 0
    assert history(lahore) == []


def test_several_poisons_in_several_stores_hold_up_nobody(poison, tea):
    stores = [make_store(f"S-{n}") for n in range(5)]
    for store in stores:
        accept(store, line(units=1), line(receipt=POISON), line(units=2), line(receipt=POISON))
    apply_all()
    for store in stores:
        assert levels(store) == {"TEA": -3}
        assert len(waiting(store)) == 2
    assert set(SaleEvent.objects.values_list("attempts", flat=True)) == {1}
    assert incoherences() == []


def test_poison_that_heals_is_applied_at_its_next_try(poison, monkeypatch, lahore, tea):
    accept(lahore, line(units=4, receipt=POISON))
    apply_all()
    assert history(lahore) == []
    monkeypatch.delitem(failpoints.armed, "after_ledger_row")
    due_again()
    assert apply_all() == 1
    assert history(lahore) == [(1, "sale", "TEA", -4, -4)]
    assert waiting(lahore) == {}


def test_mood_of_the_database_is_no_fault_of_an_event(monkeypatch, lahore, tea):
    def be_moody():
        raise OperationalError("canceling statement due to lock timeout")

    accept(lahore, line(), line())
    monkeypatch.setitem(failpoints.armed, "after_ledger_row", be_moody)
    with pytest.raises(OperationalError):
        apply_all()
    assert set(SaleEvent.objects.values_list("attempts", "status")) == {(0, "pending")}
    assert history(lahore) == []
    monkeypatch.delitem(failpoints.armed, "after_ledger_row")
    assert apply_all() == 2


def test_balance_out_of_range_is_parked_at_once_and_its_neighbours_count(lahore, tea):
    sugar = make_product("SUGAR")
    fill_up(lahore, sugar, -(10**15))
    bad = line("SUGAR", 0.001)
    accept(lahore, line("TEA", 1), bad, line("TEA", 2))
    apply_all()
    assert waiting(lahore) == {bad.event_id: ("parked", "balance_out_of_range")}
    assert "level_quantity_in_range" in SaleEvent.objects.get().detail
    assert levels(lahore) == {"TEA": -3, "SUGAR": -(10**12)}
    assert incoherences() == []
    fill_up(lahore, sugar, 5)
    sales.replay(principal=HEAD_OFFICE, event_id=bad.event_id, store=lahore)
    apply_all()
    assert waiting(lahore) == {}
    assert incoherences() == []


def test_levels_at_both_ends_of_the_range_are_exact(lahore, tea):
    fill_up(lahore, tea, 10**15)
    accept(lahore, line(units=0.001))
    apply_all()
    assert levels(lahore) == {"TEA": Decimal("999999999999.999")}
    with pytest.raises(ledger.BalanceOutOfRange):
        fill_up(lahore, tea, 2)
    fill_up(lahore, tea, 1)
    assert levels(lahore) == {"TEA": 10**12}


def test_unknown_product_is_freed_once_the_sku_exists(lahore, tea):
    early, other = line("NEW", 3), line("NEVER", 1)
    accept(lahore, early, other)
    apply_all()
    assert sales.free_known_products() == 0
    make_product("NEW")
    assert sales.free_known_products() == 1
    assert waiting(lahore)[early.event_id] == ("pending", "")
    apply_all()
    assert history(lahore) == [(1, "sale", "NEW", -3, -3)]
    assert waiting(lahore) == {other.event_id: ("parked", "unknown_product")}


def test_unknown_barcode_is_freed_once_the_barcode_exists(lahore, tea):
    early = line(barcode="00000020000011")
    accept(lahore, early)
    apply_all()
    assert waiting(lahore) == {early.event_id: ("parked", "unknown_product")}
    make_product("NEW", barcodes=["20000011"])
    assert sales.free_known_products() == 1
    apply_all()
    assert levels(lahore) == {"NEW": -1}


def test_only_unknown_products_are_freed(poison, lahore, tea):
    ambiguous = line(barcode="SHARED")
    make_product("A", barcodes=["SHARED"])
    make_product("B", barcodes=["SHARED"])
    accept(lahore, ambiguous)
    apply_all()
    assert waiting(lahore) == {ambiguous.event_id: ("parked", "ambiguous_barcode")}
    assert sales.free_known_products() == 0


def test_dismissed_event_never_counts_though_its_product_comes(lahore):
    early = line("NEW")
    accept(lahore, early)
    apply_all()
    sales.dismiss(principal=HEAD_OFFICE, event_id=early.event_id, reason="test", store=lahore)
    make_product("NEW")
    assert sales.free_known_products() == 0
    assert apply_all() == 0
    assert history(lahore) == []
    with pytest.raises(sales.NotParked):
        sales.replay(principal=HEAD_OFFICE, event_id=early.event_id, store=lahore)


def test_replayed_event_has_all_its_tries_again(poison, monkeypatch, lahore, tea):
    bad = line(receipt=POISON)
    accept(lahore, bad)
    for _ in range(5):
        apply_all()
        due_again()
    replayed = sales.replay(principal=HEAD_OFFICE, event_id=bad.event_id, store=lahore)
    assert (replayed.status, replayed.attempts, replayed.detail) == ("pending", 0, "")
    apply_all()
    assert SaleEvent.objects.get().attempts == 1
    monkeypatch.delitem(failpoints.armed, "after_ledger_row")
    due_again()
    apply_all()
    assert history(lahore) == [(1, "sale", "TEA", -1, -1)]


def test_poison_does_not_stop_a_receipt_by_hand(poison, lahore, tea):
    accept(lahore, line(receipt=POISON))
    apply_all()
    receive(lahore, "TEA", 5)
    assert levels(lahore) == {"TEA": 5}


def test_missing_right_blames_no_event(monkeypatch, lahore, tea):
    def miss_a_grant():
        raise ProgrammingError("permission denied for table stock_movement")

    monkeypatch.setitem(failpoints.armed, "after_ledger_row", miss_a_grant)
    sold = line()
    accept(lahore, sold)
    with pytest.raises(ProgrammingError):
        sales.apply_next()
    assert waiting(lahore) == {sold.event_id: ("pending", "")}
    kept = SaleEvent.objects.get()
    assert (kept.attempts, kept.next_try_at) == (0, None)
