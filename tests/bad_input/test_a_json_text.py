"""A body is one JSON document in UTF-8 that says every thing once; anything else is refused."""

import json

import pytest

from tests.bad_input.doors import DOORS, MARK, MOVEMENT_DOORS, SALE_DOORS, open_door

pytestmark = pytest.mark.django_db

EVERY_DOOR = pytest.mark.parametrize("door", (*DOORS, "sales"), indirect=True)
LINES = pytest.mark.parametrize("door", (*SALE_DOORS[:1], *MOVEMENT_DOORS), indirect=True)


@EVERY_DOOR
def test_each_door_takes_the_body_that_the_others_spoil(door):
    assert door.send(door.make_body()).status_code in (200, 201, 202)


@EVERY_DOOR
def test_01_empty_body_is_refused(door):
    door.refuses(b"", 400, "parse_error")
    door.refuses(b" \n", 400, "parse_error")


@EVERY_DOOR
def test_02_truncated_body_is_refused(door):
    body = json.dumps(door.make_body())
    door.refuses(body[:-1], 400, "parse_error")
    door.refuses(body[: len(body) // 2], 400, "parse_error")


@EVERY_DOOR
def test_03_trailing_garbage_is_refused(door):
    body = json.dumps(door.make_body())
    for garbage in ("}", "x", "{}", "\x00", body):
        door.refuses(body + garbage, 400, "parse_error")


@EVERY_DOOR
def test_04_byte_order_mark_is_refused(door):
    door.refuses(b"\xef\xbb\xbf" + json.dumps(door.make_body()).encode(), 400, "parse_error")


@EVERY_DOOR
def test_05_invalid_utf8_is_refused(door):
    body = json.dumps(door.body_with(name="NAME")).encode()
    # Never a byte, half a letter, NUL in two bytes, a surrogate.
    for raw in (b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80"):
        door.refuses(body.replace(b"NAME", b"a" + raw), 400, "parse_error")


@EVERY_DOOR
def test_06_utf16_is_refused_declared_or_not(door):
    body = json.dumps(door.make_body()).encode("utf-16")
    door.refuses(body, 415, content_type="application/json; charset=utf-16")
    door.refuses(body, 400, "parse_error")


@EVERY_DOOR
def test_07_charset_other_than_utf8_is_refused(door):
    for charset in ("nonsense", "latin-1", '"utf-16"', "utf-8-sig", MARK):
        content_type = f"application/json; charset={charset}"
        door.refuses(door.make_body(), 415, "unsupported_media_type", content_type=content_type)


@EVERY_DOOR
def test_07_charset_utf8_is_taken_in_any_spelling(door):
    answer = door.send(door.make_body(), content_type='application/json;  Charset="UTF-8"')
    assert answer.status_code in (200, 201, 202)


def spell(door, field, literal):
    """A body in which a field has a value that json.dumps would not write."""
    return json.dumps(door.body_with(**{field: MARK})).replace(f'"{MARK}"', literal)


@EVERY_DOOR
def test_08_nan_and_infinity_are_refused(door):
    field = {"product": "price", "product_change": "price"}.get(door.name, "quantity")
    for literal in ("NaN", "Infinity", "-Infinity"):
        door.refuses(spell(door, field, literal), 400, "parse_error")


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("sale", "quantity"), ("sale", "amount"), ("sale", "device_seq"),
        ("movement", "quantity"), ("movements", "amount"),
        ("product", "price"), ("product_change", "price"),
    ],
)  # fmt: skip
def test_09_number_beyond_a_float_is_refused(name, field):
    door = open_door(name)
    door.refuses(spell(door, field, "1e400"), 400, "validation")


@EVERY_DOOR
def test_10_duplicate_keys_are_refused(door):
    body = json.dumps(door.make_body())
    (key, value), *_ = door.make_body().items()
    twice = "{" + f"{json.dumps(key)}: {json.dumps(value)}, " + body[1:]
    assert "twice" in door.refuses(twice, 400, "parse_error")["detail"]


@pytest.mark.parametrize("name", ["sales", "movements"])
def test_10_duplicate_keys_within_a_batch_are_refused(name):
    door = open_door(name)
    body = json.dumps(door.make_body()).replace('"sku": "TEA"', '"sku": "TEA", "sk\\u0075": "TEA"')
    door.refuses(body, 400, "parse_error")


def test_10_duplicate_keys_within_a_barcode_are_refused():
    door = open_door("product")
    body = spell(door, "barcodes", '[{"code": "A1", "units": 1, "units": 12}]')
    door.refuses(body, 400, "parse_error")


@EVERY_DOOR
def test_11_nesting_of_a_hundred_thousand_is_refused(door):
    for opening in ("[", '{"a":'):
        door.refuses(opening * 100_000, 400, "parse_error")
        door.refuses(spell(door, "name", opening * 100_000), 400, "parse_error")


@EVERY_DOOR
def test_12_nesting_of_nine_hundred_is_refused(door):
    deep = "[" * 900 + "]" * 900
    door.refuses(deep, 400)
    if door.name != "sales":
        for field in ("name", "sku", "reason", "barcodes", "category", "elsewhere"):
            door.refuses(spell(door, field, deep), 400)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("sale", "quantity"), ("sale", "amount"), ("sale", "device_seq"), ("sale", "event_id"),
        ("movement", "quantity"), ("movements", "amount"),
        ("product", "price"), ("product", "name"), ("store", "code"), ("category", "name"),
    ],
)  # fmt: skip
def test_13_integer_of_thousands_of_digits_is_refused(name, field):
    door = open_door(name)
    for digits in ("9" * 20, "9" * 4_000, "9" * 5_000, "-" + "9" * 5_000):
        door.refuses(spell(door, field, digits), 400)


@EVERY_DOOR
def test_14_document_that_is_no_object_is_refused(door):
    for document in ("[]", "null", f'"{MARK}"', "7", "true", '[{"name": "a"}]'):
        door.refuses(document, 400, "validation")


@EVERY_DOOR
def test_15_what_is_nearly_json_is_refused(door):
    body = json.dumps(door.make_body())
    spoiled = [
        body.replace('"', "'"),
        "/* a comment */" + body,
        body + "// a comment",
        body[:-1] + ",}",
        "{" + body[2:].replace('"', "", 1),
        "body=" + body,
    ]
    for near in spoiled:
        door.refuses(near, 400, "parse_error")
