"""The ledger: movements by hand, one transaction, all or nothing."""

import uuid
from decimal import Decimal

import pytest

from catalog import editing
from stock import ledger
from stock.models import LedgerHead, Level, Movement
from tests.journal import MORNING, by_hand, hand_line, history, incoherences, levels
from tests.make import make_product, movement

pytestmark = pytest.mark.django_db

MOVEMENTS = "/api/stock/movements/"


@pytest.fixture
def rice():
    return make_product("RICE", name="Basmati", unit="kg")


def test_kinds_give_the_sign_and_the_chain_follows(lahore, tea, rice):
    by_hand(
        lahore,
        hand_line("receipt", "TEA", 10),
        hand_line("receipt", "RICE", 12.5),
        hand_line("waste", "TEA", 2, reason="damaged"),
        hand_line("return", "TEA", 1),
        hand_line("adjustment", "RICE", -0.125, reason="recount"),
        hand_line("adjustment", "TEA", 3, reason="recount"),
    )
    assert history(lahore) == [
        (1, "receipt", "TEA", 10, 10),
        (2, "receipt", "RICE", Decimal("12.5"), Decimal("12.5")),
        (3, "waste", "TEA", -2, 8),
        (4, "return", "TEA", 1, 9),
        (5, "adjustment", "RICE", Decimal("-0.125"), Decimal("12.375")),
        (6, "adjustment", "TEA", 3, 12),
    ]
    assert levels(lahore) == {"TEA": 12, "RICE": Decimal("12.375")}
    assert LedgerHead.objects.get(store=lahore).last_seq == 6
    assert dict(Level.objects.values_list("product__sku", "updated_seq")) == {"TEA": 6, "RICE": 5}
    assert incoherences() == []


def test_seq_runs_by_store(lahore, karachi, tea):
    by_hand(lahore, hand_line(units=10))
    by_hand(karachi, hand_line(units=4))
    by_hand(lahore, hand_line(units=1))
    assert history(lahore) == [(1, "receipt", "TEA", 10, 10), (2, "receipt", "TEA", 1, 11)]
    assert history(karachi) == [(1, "receipt", "TEA", 4, 4)]
    assert incoherences() == []


def test_answer_tells_seq_and_balance(till, lahore, tea):
    first = till.post(MOVEMENTS, movement("receipt", quantity=10))
    assert first.status_code == 201
    assert (first.body["status"], first.body["seq"], first.body["balance_after"]) == (
        "recorded", 1, 10,
    )  # fmt: skip
    batch = {"movements": [movement("waste", quantity=1), movement("receipt", quantity="2.5")]}
    second = till.post(MOVEMENTS, batch)
    assert [(r["seq"], r["balance_after"]) for r in second.body["results"]] == [
        (2, 9), (3, "11.500"),
    ]  # fmt: skip


def test_resent_movement_counts_once_and_is_told_so(till, lahore, tea):
    receipt = movement("receipt", quantity=10)
    assert till.post(MOVEMENTS, receipt).status_code == 201
    till.post(MOVEMENTS, movement("waste", quantity=1))
    again = till.post(MOVEMENTS, receipt)
    assert again.status_code == 200
    assert (again.body["status"], again.body["seq"], again.body["balance_after"]) == (
        "duplicate", 1, 10,
    )  # fmt: skip
    assert history(lahore) == [(1, "receipt", "TEA", 10, 10), (2, "waste", "TEA", -1, 9)]


def test_batch_partly_known_records_the_rest(till, lahore, tea):
    known, new = movement("receipt", quantity=10), movement("receipt", quantity=5)
    till.post(MOVEMENTS, known)
    answer = till.post(MOVEMENTS, {"movements": [new, known]})
    assert answer.status_code == 201
    assert [r["status"] for r in answer.body["results"]] == ["recorded", "duplicate"]
    assert levels(lahore) == {"TEA": 15}
    assert incoherences() == []


def test_same_line_twice_in_a_batch_counts_once(till, lahore, tea):
    receipt = movement("receipt", quantity=10)
    answer = till.post(MOVEMENTS, {"movements": [receipt, receipt]})
    assert [r["status"] for r in answer.body["results"]] == ["recorded", "duplicate"]
    assert history(lahore) == [(1, "receipt", "TEA", 10, 10)]


@pytest.mark.parametrize("waits", [False, True], ids=["in_the_ledger", "in_the_batch"])
def test_same_id_other_content_is_a_conflict_and_nothing_is_recorded(till, lahore, tea, waits):
    first = movement("receipt", quantity=10)
    other = first | {"quantity": 11}
    before = [first] if waits else []
    if not waits:
        till.post(MOVEMENTS, first)
    seen = history(lahore)
    batch = {"movements": [*before, movement("receipt", quantity=1), other]}
    answer = till.post(MOVEMENTS, batch)
    assert answer.status_code == 409
    assert answer.body["code"] == "event_conflict"
    assert answer.body["errors"][0]["pointer"] == f"/movements/{1 + len(before)}/event_id"
    assert history(lahore) == seen
    assert incoherences() == []


def test_same_id_in_two_stores_are_two_events(lahore, karachi, tea):
    shared = uuid.uuid4()
    assert by_hand(lahore, hand_line(units=10, event_id=shared)) == ["recorded"]
    assert by_hand(karachi, hand_line(units=3, event_id=shared)) == ["recorded"]
    assert (levels(lahore), levels(karachi)) == ({"TEA": 10}, {"TEA": 3})


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({"quantity": "10.000"}, True),
        ({"occurred_at": "2026-03-02T07:00:00Z"}, True),
        ({"quantity": "10.001"}, False),
        ({"occurred_at": "2026-03-02T12:00:00+04:59"}, False),
        ({"sku": "RICE"}, False),
        ({"amount": "0"}, False),
        ({"receipt": "R-1"}, False),
        ({"kind": "return"}, False),
    ],
)
def test_content_is_compared_as_meant_not_as_spelt(till, lahore, tea, rice, changed, same):
    first = movement("receipt", quantity=10)
    till.post(MOVEMENTS, first)
    assert till.post(MOVEMENTS, first | changed).status_code == (200 if same else 409)
    assert history(lahore) == [(1, "receipt", "TEA", 10, 10)]


def test_one_bad_line_and_nothing_of_the_batch_is_recorded(till, lahore, tea):
    batch = {"movements": [movement("receipt"), movement("receipt", sku="NOBODY")]}
    answer = till.post(MOVEMENTS, batch)
    assert (answer.status_code, answer.body["code"]) == (400, "unknown_product")
    assert answer.body["errors"][0]["pointer"] == "/movements/1/sku"
    assert history(lahore) == []
    assert not Level.objects.exists()
    assert not LedgerHead.objects.filter(last_seq__gt=0).exists()


def test_retired_product_takes_no_new_movement(till, lahore, tea):
    editing.retire_product(tea)
    answer = till.post(MOVEMENTS, movement("receipt"))
    assert (answer.status_code, answer.body["code"]) == (409, "retired")
    assert history(lahore) == []


def test_resent_movement_is_a_duplicate_though_its_product_is_retired_by_now(till, lahore, tea):
    receipt = movement("receipt", quantity=10)
    till.post(MOVEMENTS, receipt)
    editing.retire_product(tea)
    again = till.post(MOVEMENTS, receipt)
    assert (again.status_code, again.body.get("status")) == (200, "duplicate")
    assert history(lahore) == [(1, "receipt", "TEA", 10, 10)]


def test_resent_movement_is_a_duplicate_though_its_barcode_is_shared_by_now(till, lahore):
    make_product("A", barcodes=["20000011"])
    receipt = movement("receipt", quantity=10, barcode="20000011")
    del receipt["sku"]
    till.post(MOVEMENTS, receipt)
    make_product("B", barcodes=["20000011"])
    again = till.post(MOVEMENTS, receipt)
    assert (again.status_code, again.body.get("status")) == (200, "duplicate")
    assert levels(lahore) == {"A": 10}
    assert till.post(MOVEMENTS, receipt | {"quantity": 9}).body["code"] == "event_conflict"


def test_thousand_lines_are_one_transaction(lahore, tea, rice):
    lines = [hand_line("receipt", ("TEA", "RICE")[n % 2], 1) for n in range(1000)]
    by_hand(lahore, *lines)
    assert levels(lahore) == {"TEA": 500, "RICE": 500}
    assert [m.event_id for m in Movement.objects.order_by("seq")] == [x.event_id for x in lines]
    assert incoherences() == []


def test_movement_keeps_what_was_told(lahore, tea):
    told = hand_line("receipt", units=10, amount=1_250_000, receipt="GRN-7")
    by_hand(lahore, told)
    kept = Movement.objects.get()
    assert (kept.amount, kept.receipt, kept.event_id) == (125, "GRN-7", told.event_id)
    assert (kept.occurred_at, str(kept.business_date)) == (MORNING, "2026-03-02")
    assert (kept.reason, kept.actor_id, kept.device_id) == ("", None, None)


def test_balance_out_of_range_is_refused_by_the_ledger(lahore, tea):
    entry = ledger.Entry(
        store_id=lahore.pk, product_id=tea.pk, kind="receipt", quantity=10**15,
        event_id=uuid.uuid4(), digest=b"x" * 16, occurred_at=MORNING,
        business_date=MORNING.date(),
    )  # fmt: skip
    ledger.record([entry])
    assert levels(lahore) == {"TEA": 10**12}
    with pytest.raises(ledger.BalanceOutOfRange):
        by_hand(lahore, hand_line("receipt", units=0.001))
    assert len(history(lahore)) == 1


def test_movement_beyond_the_largest_balance_is_answered_not_broken(till, lahore, tea):
    entry = ledger.Entry(
        store_id=lahore.pk, product_id=tea.pk, kind="receipt", quantity=10**15,
        event_id=uuid.uuid4(), digest=b"x" * 16, occurred_at=MORNING,
        business_date=MORNING.date(),
    )  # fmt: skip
    ledger.record([entry])
    answer = till.post(MOVEMENTS, movement("receipt", quantity=1))
    assert (answer.status_code, answer.body["code"]) == (409, "balance_out_of_range")
    assert answer.body["errors"][0]["pointer"] == "/quantity"
    assert len(history(lahore)) == 1
