"""What happens below zero: the product says, else the store, else the chain."""

import pytest
from django.test import override_settings

from orders import sales
from stock.models import Level, Movement
from stores import registry
from tests.journal import (
    HEAD_OFFICE,
    accept,
    by_hand,
    hand_line,
    history,
    incoherences,
    levels,
    line,
    waiting,
)
from tests.make import apply_all, make_product, movement, receive

pytestmark = pytest.mark.django_db

MOVEMENTS = "/api/stock/movements/"
REFUSED = ("parked", "insufficient_stock")


def test_sale_below_zero_counts_by_default_the_goods_have_left_the_shop(lahore, tea):
    accept(lahore, line(units=3))
    apply_all()
    assert history(lahore) == [(1, "sale", "TEA", -3, -3)]
    assert Movement.objects.filter(balance_after__lt=0).count() == 1


@pytest.mark.parametrize(
    ("chain", "store", "product", "parks"),
    [
        ("allow_and_flag", "", "", False),
        ("refuse", "", "", True),
        ("refuse", "allow", "", False),
        ("refuse", "allow", "refuse", True),
        ("allow", "refuse", "", True),
        ("allow", "refuse", "allow_and_flag", False),
        ("refuse", "refuse", "allow", False),
        ("allow", "allow", "refuse", True),
    ],
)
def test_policy_of_sales(lahore, chain, store, product, parks):
    registry.change_store(lahore, negative_stock=store)
    make_product("TEA", negative_stock=product, barcodes=["20000011"])
    by_sku, by_barcode = line(units=1), line(units=1, barcode="00000020000011")
    accept(lahore, by_sku, by_barcode)
    with override_settings(NEGATIVE_STOCK_OF_SALES=chain):
        apply_all()
    assert len(history(lahore)) == (0 if parks else 2)
    found = waiting(lahore)
    assert found == ({by_sku.event_id: REFUSED, by_barcode.event_id: REFUSED} if parks else {})


@pytest.mark.parametrize(
    ("chain", "store", "product", "refused"),
    [
        ("refuse", "", "", True),
        ("allow", "", "", False),
        ("refuse", "allow_and_flag", "", False),
        ("allow", "allow", "refuse", True),
        ("allow", "refuse", "allow", False),
    ],
)
def test_policy_of_removals_by_hand(till, lahore, chain, store, product, refused):
    registry.change_store(lahore, negative_stock=store)
    make_product("TEA", negative_stock=product)
    with override_settings(NEGATIVE_STOCK_OF_REMOVALS=chain):
        answer = till.post(MOVEMENTS, movement("waste", quantity=1))
    assert answer.status_code == (409 if refused else 201)
    assert len(history(lahore)) == (0 if refused else 1)


def test_refused_sales_park_in_order_and_leave_their_stock_to_the_next(lahore):
    make_product("TEA", negative_stock="refuse")
    receive(lahore, "TEA", 10)
    six, seven, four, one = (line(units=n) for n in (6, 7, 4, 1))
    accept(lahore, six, seven, four, one)
    apply_all()
    assert history(lahore) == [
        (1, "receipt", "TEA", 10, 10),
        (2, "sale", "TEA", -6, 4),
        (3, "sale", "TEA", -4, 0),
    ]
    assert waiting(lahore) == {seven.event_id: REFUSED, one.event_id: REFUSED}
    assert incoherences() == []


def test_return_in_the_same_batch_can_be_sold_again_but_not_before_it_came(lahore):
    make_product("TEA", negative_stock="refuse")
    early, back, late = line(units=2), line(units=2, kind="return"), line(units=2)
    accept(lahore, early, back, late)
    apply_all()
    assert [row[1:4] for row in history(lahore)] == [("return", "TEA", 2), ("sale", "TEA", -2)]
    assert waiting(lahore) == {early.event_id: REFUSED}


def test_exactly_to_zero_is_not_below(lahore):
    make_product("TEA", negative_stock="refuse")
    receive(lahore, "TEA", 3)
    accept(lahore, line(units=3), line(units=0.001))
    apply_all()
    assert levels(lahore) == {"TEA": 0}
    assert list(waiting(lahore).values()) == [REFUSED]


def test_neighbours_of_a_refused_sale_count(lahore, karachi, tea):
    make_product("RARE", negative_stock="refuse")
    accept(lahore, line("TEA", 1), line("RARE", 1), line("TEA", 2))
    accept(karachi, line("RARE", 1), line("TEA", 5))
    apply_all()
    assert levels(lahore) == {"TEA": -3}
    assert levels(karachi) == {"TEA": -5}
    assert incoherences() == []


def test_more_refused_sales_than_one_statement_takes(lahore):
    make_product("RARE", negative_stock="refuse")
    receive(lahore, "RARE", 2)
    accept(lahore, *(line("RARE", 1) for _ in range(1000)))
    accept(lahore, *(line("RARE", 1) for _ in range(203)))
    apply_all()
    assert levels(lahore) == {"RARE": 0}
    assert len(waiting(lahore)) == 1201


def test_refused_sale_counts_when_goods_have_come_and_it_is_replayed(lahore):
    make_product("TEA", negative_stock="refuse")
    sold = line(units=2)
    accept(lahore, sold)
    apply_all()
    receive(lahore, "TEA", 5)
    assert apply_all() == 0  # nobody but a person tries it again
    sales.replay(principal=HEAD_OFFICE, event_id=sold.event_id, store=lahore)
    apply_all()
    assert levels(lahore) == {"TEA": 3}
    assert waiting(lahore) == {}


def test_refusal_by_hand_tells_what_there_is_and_what_was_asked(till, lahore, tea):
    receive(lahore, "TEA", 2)
    batch = {
        "movements": [
            movement("receipt", quantity="0.5"),
            movement("waste", quantity=1),
            movement("waste", quantity="1.750"),
        ]
    }
    answer = till.post(MOVEMENTS, batch)
    assert (answer.status_code, answer.body["code"]) == (409, "insufficient_stock")
    assert (answer.body["sku"], answer.body["available"], answer.body["asked"]) == (
        "TEA", "1.500", "1.750",
    )  # fmt: skip
    assert answer.body["errors"][0]["pointer"] == "/movements/2/quantity"
    assert levels(lahore) == {"TEA": 2}
    assert len(history(lahore)) == 1


def test_adjustment_downwards_is_a_removal_and_upwards_is_not(till, lahore, tea):
    down = till.post(MOVEMENTS, movement("adjustment", quantity=-1))
    assert (down.status_code, down.body["errors"][0]["pointer"]) == (409, "/quantity")
    assert till.post(MOVEMENTS, movement("adjustment", quantity=1)).status_code == 201
    assert levels(lahore) == {"TEA": 1}


def test_receipt_onto_a_negative_balance_is_taken(till, lahore, tea):
    accept(lahore, line(units=5))
    apply_all()
    assert till.post(MOVEMENTS, movement("receipt", quantity=2)).body["balance_after"] == -3
    assert till.post(MOVEMENTS, movement("waste", quantity=1)).body["available"] == -3
    assert levels(lahore) == {"TEA": -3}


def test_resent_removal_is_a_duplicate_though_nothing_is_left(lahore, tea):
    receive(lahore, "TEA", 3)
    waste = hand_line("waste", units=3, reason="expired")
    assert by_hand(lahore, waste) == ["recorded"]
    assert by_hand(lahore, waste) == ["duplicate"]
    assert Level.objects.get().quantity == 0
