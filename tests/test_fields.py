"""Exact numbers, instants and texts: what is read, what is refused, and the way back."""

import uuid
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import Sum
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.models import Product
from inventory_project.errors import InvalidValue
from inventory_project.fields import (
    MONEY_TENTHOUSANDTHS_MAX,
    QUANTITY_THOUSANDTHS_MAX,
    MoneyField,
    QuantityField,
    clean_scanned_barcode,
    clean_sku,
    clean_text,
    format_money,
    format_quantity,
    parse_event_id,
    parse_instant,
    parse_money,
    parse_quantity,
    parse_signed_quantity,
    to_comparable_barcode,
)
from tests.make import make_product

exhaustive = settings(max_examples=150, deadline=None, database=None, derandomize=True)


def code_of(read, value):
    with pytest.raises(InvalidValue) as refused:
        read(value)
    return refused.value.code


@pytest.mark.parametrize(
    ("value", "thousandths"),
    [(1, 1000), ("1", 1000), ("1.250", 1250), ("0.001", 1), ("007.5", 7500),
     (1_000_000, 10**9), ("1000000.000", 10**9)],
)  # fmt: skip
def test_quantity_is_read(value, thousandths):
    assert parse_quantity(value) == thousandths


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (0, "min_value"), (-1, "min_value"), ("0.000", "min_value"), ("-0", "min_value"),
        (1_000_001, "max_value"), ("1000000.001", "max_value"),
        (1.5, "not_exact"), (1.0, "not_exact"), (True, "not_exact"), (None, "not_exact"),
        ([1], "not_exact"), ({}, "not_exact"),
        ("1.2345", "too_many_decimals"), ("1.0000", "too_many_decimals"),
        ("1e3", "not_a_number"), ("+1", "not_a_number"), (" 1", "not_a_number"),
        ("1\n", "not_a_number"), ("1,5", "not_a_number"), (".5", "not_a_number"),
        ("1.", "not_a_number"), ("", "not_a_number"), ("NaN", "not_a_number"),
        ("Infinity", "not_a_number"), ("0x10", "not_a_number"), ("1_000", "not_a_number"),
        ("５", "not_a_number"), ("١", "not_a_number"), ("9" * 400, "not_a_number"),
        (10**15, "too_large"), (10**400, "too_large"), (-(10**400), "too_large"),
    ],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_quantity_is_refused(value, code):
    assert code_of(parse_quantity, value) == code


def test_signed_quantity_may_be_negative_but_not_zero():
    assert parse_signed_quantity("-1.250") == -1250
    assert parse_signed_quantity(-1_000_000) == -(10**9)
    assert code_of(parse_signed_quantity, 0) == "zero"
    assert code_of(parse_signed_quantity, "-0.000") == "zero"
    assert code_of(parse_signed_quantity, "-1000000.001") == "max_value"


def test_money_has_four_decimals_and_may_be_zero():
    assert parse_money("0") == 0
    assert parse_money("19.9999") == 199_999
    assert parse_money(1_000_000_000) == MONEY_TENTHOUSANDTHS_MAX
    assert code_of(parse_money, "0.00001") == "too_many_decimals"
    assert code_of(parse_money, "-0.0001") == "min_value"
    assert code_of(parse_money, "1000000000.0001") == "max_value"


@pytest.mark.parametrize(
    ("thousandths", "written"),
    [(0, 0), (1000, 1), (-1000, -1), (1250, "1.250"), (-1250, "-1.250"), (1, "0.001"),
     (-1, "-0.001"), (10**15, 10**12), (-(10**15) + 1, "-999999999999.999")],
)  # fmt: skip
def test_quantity_is_written(thousandths, written):
    assert format_quantity(thousandths) == written


@pytest.mark.parametrize(
    ("tenthousandths", "written"),
    [(0, "0.00"), (10_000, "1.00"), (12_500, "1.25"), (12_345, "1.2345"), (12_340, "1.234"),
     (-1, "-0.0001"), (-12_500, "-1.25"), (10**13, "1000000000.00")],
)  # fmt: skip
def test_money_is_written(tenthousandths, written):
    assert format_money(tenthousandths) == written


@exhaustive
@given(st.integers(1, QUANTITY_THOUSANDTHS_MAX))
def test_quantity_comes_back_as_it_went(thousandths):
    assert parse_quantity(format_quantity(thousandths)) == thousandths
    assert parse_signed_quantity(format_quantity(-thousandths)) == -thousandths


@exhaustive
@given(st.integers(0, MONEY_TENTHOUSANDTHS_MAX))
def test_money_comes_back_as_it_went(tenthousandths):
    assert parse_money(format_money(tenthousandths)) == tenthousandths


@exhaustive
@given(st.one_of(st.text(max_size=30), st.integers(), st.floats(), st.booleans(), st.none()))
def test_whatever_is_sent_is_read_exactly_or_refused(value):
    for read, places in ((parse_signed_quantity, 3), (parse_money, 4)):
        try:
            number = read(value)
        except InvalidValue:
            continue
        assert Decimal(str(value)).scaleb(places) == number


@pytest.mark.django_db
@pytest.mark.parametrize("price", ["0", "0.0001", "19.9999", "1000000000", "123456789.1234"])
def test_database_keeps_the_last_digit(price):
    make_product("TEA", price=price)
    kept = Product.objects.get(sku="TEA").price
    assert (kept, type(kept)) == (Decimal(price), Decimal)
    assert Product.objects.filter(price=Decimal(price)).exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT price FROM catalog_product")
        assert cursor.fetchone() == (int(Decimal(price) * 10_000),)


@pytest.mark.django_db
def test_sums_are_exact():
    for number in range(10):
        make_product(f"P-{number}", price="0.1")
    total = Product.objects.aggregate(total=Sum("price"))["total"]
    assert total == Decimal(1)


@pytest.mark.parametrize("field", [QuantityField(), MoneyField()])
def test_field_refuses_what_it_cannot_keep_exactly(field):
    for value in (0.1, True, "a", "1.23456", Decimal("NaN")):
        with pytest.raises(ValidationError):
            field.to_python(value)
    assert field.to_python("1.5") == Decimal("1.5")
    assert field.to_python("") is None
    assert field.get_prep_value(Decimal("1E+2")) == 100 * 10**field.places


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        ("2026-03-01T09:30:00+05:30", datetime(2026, 3, 1, 4, 0, tzinfo=UTC)),
        ("2026-03-01t09:30:00z", datetime(2026, 3, 1, 9, 30, tzinfo=UTC)),
        ("2026-03-01T09:30:00.5Z", datetime(2026, 3, 1, 9, 30, 0, 500_000, tzinfo=UTC)),
        ("2026-03-01T09:30:00.123456789Z", datetime(2026, 3, 1, 9, 30, 0, 123_456, tzinfo=UTC)),
        ("2024-02-29T23:59:59-12:00", datetime(2024, 3, 1, 11, 59, 59, tzinfo=UTC)),
        ("1970-01-01T00:00:00+14:00", datetime(1969, 12, 31, 10, tzinfo=UTC)),
    ],
)
def test_instant_is_read_in_utc(value, instant):
    assert parse_instant(value) == instant
    assert parse_instant(value).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("2026-03-01T09:30:00", "not_an_instant"), ("2026-03-01", "not_an_instant"),
        ("2026-03-01 09:30:00Z", "not_an_instant"), ("2026-02-29T09:30:00Z", "not_an_instant"),
        ("2026-13-01T09:30:00Z", "not_an_instant"), ("2026-03-01T24:00:00Z", "not_an_instant"),
        ("2026-03-01T09:30:60Z", "not_an_instant"), ("2026-03-01T09:30:00+24:00", "not_an_instant"),
        ("2026-03-01T09:30Z", "not_an_instant"), (1_772_000_000, "not_an_instant"),
        ("٢٠٢٦-03-01T09:30:00Z", "not_an_instant"), (None, "not_an_instant"),
        ("1969-12-31T23:59:59Z", "out_of_range"), ("2200-01-01T00:00:00Z", "out_of_range"),
        ("0000-01-01T00:00:00Z", "not_an_instant"),
    ],
)  # fmt: skip
def test_instant_is_refused(value, code):
    assert code_of(parse_instant, value) == code


@exhaustive
@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2199, 12, 30)),
    st.integers(-14 * 60, 14 * 60),
)
def test_instant_comes_back_as_it_went(naive, minutes):
    instant = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert parse_instant(instant.isoformat()) == instant


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("{0192f0c1-7d3a-7c3e-9b1a-0242ac120002}", "not_a_uuid"),
        ("urn:uuid:0192f0c1-7d3a-7c3e-9b1a-0242ac120002", "not_a_uuid"),
        ("0192f0c17d3a7c3e9b1a0242ac120002", "not_a_uuid"),
        ("0192f0c1-7d3a-7c3e-9b1a-0242ac12000g", "not_a_uuid"),
        ("", "not_a_uuid"), (7, "not_a_uuid"), (None, "not_a_uuid"),
        (str(uuid.UUID(int=0)), "nil_uuid"),
    ],
)  # fmt: skip
def test_event_id_is_refused(value, code):
    assert code_of(parse_event_id, value) == code


@exhaustive
@given(st.uuids())
def test_event_id_is_read_in_either_case(event_id):
    assert parse_event_id(str(event_id).upper()) == event_id


def test_text_is_one_clean_line():
    assert clean_text("  Chai\u0301  ", characters_max=10) == "Chaí"[:3] + "í"
    for odd in ("a\nb", "a\x00", "a\u202eb", "a\u2028b", "\ud800"):
        assert code_of(lambda value: clean_text(value, characters_max=10), odd) == (
            "control_character"
        )
    assert code_of(lambda value: clean_text(value, characters_max=3), "abcd") == "max_length"
    assert code_of(lambda value: clean_text(value, characters_max=3), "   ") == "blank"


def test_sku_is_nfc_and_of_visible_characters():
    assert clean_sku("e\u0301-1") == "\u00e9-1"
    assert clean_sku("چائے") == "چائے"
    for odd in ("a b", "a/b", "a\u200bb", "a?b", "a%b"):
        assert code_of(clean_sku, odd) in ("sku_character", "control_character")


@pytest.mark.parametrize(
    ("code", "comparable"),
    [
        ("20000011", "00000020000011"),
        ("036000291452", "00036000291452"),
        ("4006381333931", "04006381333931"),
        ("14006381333938", "14006381333938"),
        ("1234567", "1234567"),
        ("123456789012345", "123456789012345"),
        ("ABCDEFGH", "ABCDEFGH"),
    ],
)
def test_barcodes_have_one_comparable_form(code, comparable):
    assert to_comparable_barcode(clean_scanned_barcode(code)) == comparable


@pytest.mark.parametrize("value", ["", "a b", "é", "x" * 49, "1\n", 12345678, None])
def test_barcode_is_refused(value):
    assert code_of(clean_scanned_barcode, value) == "not_a_barcode"
