"""What a scan means: one product, a pack of it, several candidates, or nobody."""

import pytest

from catalog import editing
from catalog.editing import Code
from tests.journal import accept, by_hand, hand_line, history, levels, line, waiting
from tests.make import apply_all, make_product, movement, receive, sale

pytestmark = pytest.mark.django_db

SALES = "/api/orders/sales/"
MOVEMENTS = "/api/stock/movements/"


def scan(barcode, **fields):
    event = sale(**fields)
    del event["sku"]
    return event | {"barcode": barcode}


@pytest.mark.parametrize(
    ("printed", "scanned"),
    [
        ("20000011", "20000011"),
        ("20000011", "00000020000011"),
        ("2000000000015", "02000000000015"),
        ("036000291452", "0036000291452"),
        ("036000291452", "00036000291452"),
        ("ABC-123", "ABC-123"),
        ("1234567", "1234567"),
    ],
)
def test_gtins_are_one_number_of_fourteen_digits(till, lahore, printed, scanned):
    make_product("TEA", barcodes=[printed])
    till.post(SALES, scan(scanned, quantity=2))
    till.post(MOVEMENTS, _by_barcode(scanned, quantity=10))
    apply_all()
    assert levels(lahore) == {"TEA": 8}


def _by_barcode(barcode, **fields):
    event = movement(**fields)
    del event["sku"]
    return event | {"barcode": barcode}


@pytest.mark.parametrize("scanned", ["1234568", "01234567", "abc-123"])
def test_other_codes_are_compared_as_they_are(till, lahore, scanned):
    make_product("TEA", barcodes=["1234567", "ABC-123"])
    till.post(SALES, scan(scanned))
    apply_all()
    assert history(lahore) == []
    assert list(waiting(lahore).values()) == [("parked", "unknown_product")]


def test_pack_stands_for_its_units(lahore):
    make_product("COLA", barcodes=["SINGLE", Code("CRATE", 24)])
    by_hand(lahore, hand_line("receipt", units=2, barcode="CRATE"))
    accept(
        lahore,
        line(units=1, barcode="CRATE"),
        line(units=5, barcode="SINGLE"),
        line("COLA", 1),
        line(units=1, barcode="CRATE", kind="return"),
    )
    apply_all()
    assert [(row[1], row[3], row[4]) for row in history(lahore)] == [
        ("receipt", 48, 48),
        ("sale", -24, 24),
        ("sale", -5, 19),
        ("sale", -1, 18),
        ("return", 24, 42),
    ]


def test_refusal_counts_the_units_of_a_pack(lahore):
    make_product("COLA", negative_stock="refuse", barcodes=[Code("CRATE", 24)])
    receive(lahore, "COLA", 25)
    first, second = line(units=1, barcode="CRATE"), line(units=1, barcode="CRATE")
    accept(lahore, first, second)
    apply_all()
    assert levels(lahore) == {"COLA": 1}
    assert waiting(lahore) == {second.event_id: ("parked", "insufficient_stock")}


def test_code_of_two_products_is_parked_and_its_neighbours_count(lahore, tea):
    make_product("A", barcodes=["SHARED"])
    make_product("B", barcodes=["SHARED"])
    odd = line(barcode="SHARED")
    accept(lahore, line(), odd, line())
    apply_all()
    assert levels(lahore) == {"TEA": -2}
    assert waiting(lahore) == {odd.event_id: ("parked", "ambiguous_barcode")}


def test_code_of_two_products_by_hand_is_409_with_the_candidates(till, lahore):
    make_product("B", barcodes=["SHARED"])
    make_product("A", barcodes=["SHARED"])
    answer = till.post(MOVEMENTS, _by_barcode("SHARED"))
    assert (answer.status_code, answer.body["code"]) == (409, "ambiguous_barcode")
    assert answer.body["candidates"] == ["A", "B"]
    assert answer.body["errors"][0]["pointer"] == "/barcode"
    assert history(lahore) == []


def test_retired_product_steps_back_where_an_active_one_has_the_code(lahore):
    editing.retire_product(make_product("OLD", barcodes=[Code("SHARED", 6)]))
    make_product("NEW", barcodes=["SHARED"])
    accept(lahore, line(units=1, barcode="SHARED"))
    apply_all()
    by_hand(lahore, hand_line("receipt", units=3, barcode="SHARED"))
    assert levels(lahore) == {"NEW": 2}


def test_code_of_one_retired_product_still_counts_at_the_till(till, lahore):
    editing.retire_product(make_product("OLD", barcodes=[Code("CODE", 6)]))
    till.post(SALES, scan("CODE"))
    apply_all()
    assert levels(lahore) == {"OLD": -6}
    assert till.post(MOVEMENTS, _by_barcode("CODE")).body["code"] == "retired"


def test_code_of_two_retired_products_is_ambiguous(lahore):
    for sku in ("A", "B"):
        editing.retire_product(make_product(sku, barcodes=["SHARED"]))
    odd = line(barcode="SHARED")
    accept(lahore, odd)
    apply_all()
    assert waiting(lahore) == {odd.event_id: ("parked", "ambiguous_barcode")}


def test_sku_that_looks_like_a_barcode_is_no_barcode(lahore):
    make_product("20000011")
    make_product("TEA", barcodes=["20000011"])
    accept(lahore, line("20000011", 1), line(units=2, barcode="00000020000011"))
    apply_all()
    assert levels(lahore) == {"20000011": -1, "TEA": -2}


def test_resent_scan_is_a_duplicate_in_any_length_of_its_gtin(till, lahore):
    make_product("TEA", barcodes=["036000291452"])
    event = scan("036000291452")
    till.post(SALES, event)
    assert till.post(SALES, event | {"barcode": "0036000291452"}).body["status"] == "duplicate"
