"""Quantities, money and counts are exact and plain; what has to be guessed at is refused."""

import json
import time
from decimal import Decimal

import pytest

from catalog.editing import Code
from orders.models import SaleEvent
from stock.models import Level, Movement
from tests import make
from tests.bad_input.doors import MARK, open_door
from tests.make import apply_all, level_of, movement, sale

pytestmark = pytest.mark.django_db

QUANTITIES = pytest.mark.parametrize("name", ["sale", "movement", "movements"])
AMOUNTS = [
    ("sale", "amount"), ("movement", "amount"), ("movements", "amount"),
    ("product", "price"), ("product_change", "price"),
]  # fmt: skip
NUMBERS = pytest.mark.parametrize(
    ("name", "field"),
    [("sale", "quantity"), ("movement", "quantity"), ("movements", "quantity"), *AMOUNTS],
)


def refuse_each(door, field, *values):
    for value in values:
        door.refuses(door.body_with(**{field: value}))


def refuse_literal(door, field, literal):
    body = json.dumps(door.body_with(**{field: MARK})).replace(f'"{MARK}"', literal)
    door.refuses(body, 400, "not_exact")


@QUANTITIES
def test_27_quantity_of_nothing_is_refused(name):
    refuse_each(open_door(name), "quantity", 0, "0", "0.000", "-0", -0)


def test_27_adjustment_by_nothing_is_refused():
    door = open_door("movement")
    door.refuses(door.body_with(kind="adjustment", reason="lost", quantity=0), code="zero")


@QUANTITIES
def test_28_negative_quantity_is_refused(name):
    refuse_each(open_door(name), "quantity", -1, "-1", "-0.001", -1_000_000)


@pytest.mark.parametrize(("name", "field"), AMOUNTS)
def test_28_negative_amount_is_refused(name, field):
    refuse_each(open_door(name), field, -1, "-0.0001")


@QUANTITIES
def test_29_quantity_beyond_a_million_is_refused(name):
    refuse_each(open_door(name), "quantity", 2**31, 1_000_001, "1000000.001", str(2**31))


def test_29_adjustment_beyond_a_million_either_way_is_refused():
    door = open_door("movement")
    for quantity in (1_000_001, -1_000_001, -(2**31)):
        body = door.body_with(kind="adjustment", reason="lost", quantity=quantity)
        door.refuses(body, code="max_value")


@NUMBERS
def test_30_number_that_no_bigint_holds_is_refused(name, field):
    refuse_each(open_door(name), field, 10**20, str(10**20), 2**63, -(2**63) - 1)


@NUMBERS
def test_31_json_float_is_refused(name, field):
    door = open_door(name)
    for literal in ("1.5", "1.0", "0.1", "-1.5", "1E0"):
        refuse_literal(door, field, literal)


def test_31_decimal_string_is_exact(till, lahore, tea):
    assert till.post("/api/stock/movements/", movement(quantity="1.5")).status_code == 201
    assert till.post("/api/orders/sales/", sale(quantity="0.001")).status_code == 202
    apply_all()
    assert level_of(lahore, tea) == Decimal("1.499")
    told = till.get("/api/stock/levels/", product="TEA").body["results"][0]["quantity"]
    assert told == "1.499"


@NUMBERS
def test_32_exponent_is_refused(name, field):
    door = open_door(name)
    refuse_literal(door, field, "1e3")
    refuse_each(door, field, "1e3", "1E3", "1e-2")


@pytest.mark.parametrize("quantity", ["5", 5, "5.000", "005"])
def test_33_number_in_quotes_is_that_number(till, lahore, tea, quantity):
    assert till.post("/api/stock/movements/", movement(quantity=quantity)).status_code == 201
    assert level_of(lahore, tea) == 5


@NUMBERS
def test_34_underscores_and_separators_are_refused(name, field):
    refuse_each(open_door(name), field, "1_000", "1,000", "1'000", "1 000", "1.5.0")


@NUMBERS
def test_35_digits_of_other_scripts_are_refused(name, field):
    refuse_each(open_door(name), field, "\uff15", "٥", "۵", "५", "²", "1\uff15")


@NUMBERS
def test_36_spaces_and_signs_are_refused(name, field):
    refuse_each(open_door(name), field, " 7 ", "7\n", "\u00a07", "+7", "--7", "", "-", ".5", "5.")


@NUMBERS
def test_37_booleans_are_refused(name, field):
    refuse_each(open_door(name), field, True, False, "true")


@NUMBERS
def test_38_null_and_other_shapes_are_refused(name, field):
    refuse_each(open_door(name), field, None, [], {}, [1], {"value": 1})


@NUMBERS
def test_39_exponent_that_would_fill_the_memory_is_refused_at_once(name, field):
    door = open_door(name)
    started = time.process_time()
    refuse_literal(door, field, "1e1000000")
    refuse_each(door, field, "1e1000000", "1e-1000000", "9" * 100_000, "0." + "0" * 100_000 + "1")
    # Work, not waiting: a Decimal of a million digits takes seconds of it.
    assert time.process_time() - started < 2


@NUMBERS
def test_39_more_decimals_than_are_kept_are_refused(name, field):
    refuse_each(open_door(name), field, "1.00001", "1.0000000001", "0.00000")


def test_40_sale_that_would_leave_the_balance_is_parked_and_nothing_is_partial(till, lahore):
    """A pack of 10,000, a million packs a sale: the 101st leaves the range of a level."""
    pack = make.make_product("RICE", barcodes=[Code("PACK-OF-MANY", 10_000)])
    events = [sale(kind="return", quantity=1_000_000, barcode="PACK-OF-MANY") for _ in range(101)]
    for event in events:
        del event["sku"]
    assert till.post("/api/orders/sales/", {"events": events}).status_code == 202
    apply_all()
    parked = SaleEvent.objects.get()
    assert (parked.status, parked.park_reason) == ("parked", "balance_out_of_range")
    assert level_of(lahore, pack) == 10**12
    assert Movement.objects.count() == 100
    assert Movement.objects.order_by("seq").last().balance_after == 10**12


def test_40_receipt_that_would_leave_the_balance_is_refused_whole(till, lahore):
    make.make_product("RICE", barcodes=[Code("PACK-OF-MANY", 10_000)])
    lines = [movement(quantity=1_000_000, barcode="PACK-OF-MANY") for _ in range(101)]
    for line in lines:
        del line["sku"]
    answer = till.post("/api/stock/movements/", {"movements": lines})
    assert (answer.status_code, answer.body["code"]) == (409, "balance_out_of_range")
    assert not Level.objects.exists() and not Movement.objects.exists()


@pytest.mark.parametrize("units", [0, -1, 10_001, 1.5, "12", True, None, 10**30, []])
def test_pack_of_no_plain_number_of_units_is_refused(units):
    door = open_door("product")
    door.refuses(door.body_with(barcodes=[{"code": "A1", "units": units}]))


@pytest.mark.parametrize("number", [-1, 2**63, 1.5, "7", True, None, []])
def test_device_seq_that_is_no_plain_number_is_refused(number):
    door = open_door("sale")
    door.refuses(door.body_with(device_seq=number))
