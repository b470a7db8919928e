"""Text that cannot be stored, seen or told apart is refused; any other comes back as it was."""

import json
import unicodedata

import pytest

from stock.models import Movement
from tests import make
from tests.bad_input.doors import MARK, Door, open_door
from tests.make import apply_all, movement, sale

pytestmark = pytest.mark.django_db

# Every place a caller's text goes to: (door, field).
TEXTS = [
    ("sale", "sku"), ("sale", "receipt"), ("sale", "store"), ("sale", "kind"),
    ("movement", "sku"), ("movements", "receipt"), ("movement", "store"), ("movement", "reason"),
    ("product", "sku"), ("product", "name"), ("product", "category"), ("product", "unit"),
    ("product_change", "name"), ("product_change", "category"), ("product", "negative_stock"),
    ("category", "name"), ("category_change", "name"),
    ("store", "code"), ("store", "name"), ("store", "address"), ("store", "timezone"),
    ("store", "currency"), ("store_change", "name"), ("store_change", "address"),
    ("dismissal", "reason"),
]  # fmt: skip
SKUS = [("sale", "sku"), ("movement", "sku"), ("movements", "sku"), ("product", "sku")]
NAMES = [
    ("product", "name"), ("product_change", "name"), ("category", "name"),
    ("category_change", "name"), ("store", "name"), ("store", "address"),
    ("sale", "receipt"), ("movement", "receipt"), ("dismissal", "reason"),
]  # fmt: skip


def in_field(door, field, text):
    body = door.body_with(**{field: text})
    if field == "reason" and door.name.startswith("movement"):
        body["kind"] = "waste"
    return body


TEXT_DOORS = sorted({name for name, _ in TEXTS})


def fields_of(name, places=TEXTS):
    return [field for door, field in places if door == name]


def test_texts_that_these_tests_spoil_are_taken_when_they_are_clean():
    """Each door refuses the text and not the field."""
    clean = {
        "sku": "TEA", "store": "LHR-01", "kind": "sale", "reason": "damaged", "unit": "kg",
        "negative_stock": "allow", "category": "Tea", "timezone": "Asia/Karachi",
        "currency": "PKR",
    }  # fmt: skip
    taken: dict[str, Door] = {}
    for name, field in TEXTS:
        if name.endswith(("_change", "dismissal")):
            continue
        if name not in taken:
            taken[name] = _open_beside(taken, name)
        text = clean.get(field, "Plain")
        if (name, field) == ("product", "sku"):
            text = "P-9"
        answer = taken[name].send(in_field(taken[name], field, text))
        assert answer.status_code in (201, 202), (name, field, answer.content)


def _open_beside(others: dict[str, Door], name: str) -> Door:
    """Doors of one house: the store, the product and the category exist once."""
    if not others:
        make.make_category()
        return open_door(name)
    first = next(iter(others.values()))
    paths = {
        "movement": ("/api/stock/movements/", movement, ""),
        "movements": ("/api/stock/movements/", lambda: {"movements": [movement()]}, "movements"),
    }
    if name in paths:
        path, make_body, rows = paths[name]
        return Door(name, first.api, "post", path, make_body, rows)
    return open_door(name)


@pytest.mark.parametrize("name", TEXT_DOORS)
def test_16_nul_in_text_is_refused(name):
    door = open_door(name)
    for field in fields_of(name):
        for text in ("\0", f"a\0{MARK}", f"{MARK}\0"):
            door.refuses(in_field(door, field, text))


@pytest.mark.parametrize("name", ["sale", "movement", "product", "store", "category", "dismissal"])
def test_17_nul_in_a_key_or_a_nested_value_is_refused(name):
    door = open_door(name)
    door.refuses(door.body_with(**{"a\0b": 1}), code="unknown_field")
    door.refuses(door.body_with(extra={"deep": ["\0"]}), code="unknown_field")
    door.refuses(door.body_with(name={"deep": "\0"}, receipt=["\0"], reason={"a": "\0"}))


@pytest.mark.parametrize("name", ["sale", "movement", "product", "store", "category", "dismissal"])
def test_18_lone_surrogate_in_a_key_or_a_nested_value_is_refused(name):
    door = open_door(name)
    body = json.dumps(door.make_body())[:-1]
    door.refuses(body + r', "\ud800": 1}', code="unknown_field")
    door.refuses(body + r', "extra": {"\udfff": ["\ud800"]}}', code="unknown_field")
    door.refuses(body + r', "barcodes": [{"\ud800": "\ud800"}]}')


@pytest.mark.parametrize("name", TEXT_DOORS)
def test_19_lone_surrogate_in_text_is_refused(name):
    door = open_door(name)
    for field in fields_of(name):
        for text in (f"{MARK}\ud800", "\udc00", "\ude00\ud83d"):
            door.refuses(in_field(door, field, text))


@pytest.mark.parametrize("name", ["sale", "movement", "product"])
def test_20_sku_of_a_megabyte_is_refused(name):
    door = open_door(name)
    door.refuses(in_field(door, "sku", "A" * 1_000_000), code="max_length")
    door.refuses(in_field(door, "sku", "A" * 65), code="max_length")
    assert door.send(in_field(door, "sku", "A" * 1_048_576)).status_code == 413


@pytest.mark.parametrize(("name", "field"), SKUS)
def test_21_bidi_and_zero_width_in_a_sku_are_refused(name, field):
    door = open_door(name)
    hidden = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u202e\u2066\u200e\u061c\u180e\U000e0041"
    for character in hidden:
        door.refuses(in_field(door, field, f"TE{character}A"))


@pytest.mark.parametrize(("name", "field"), NAMES)
def test_22_control_characters_in_a_name_are_refused(name, field):
    door = open_door(name)
    for character in ("\r\n", "\n", "\t", "\x1b", "\x7f", "\x85", "\u2028", "\u202e"):
        door.refuses(in_field(door, field, f"{MARK}{character}b"), code="control_character")


@pytest.mark.parametrize(("name", "field"), [*SKUS, *(n for n in NAMES if n[1] != "address")])
def test_23_only_spaces_is_refused(name, field):
    door = open_door(name)
    for spaces in ("", "   ", "\u00a0", "\u3000\u2003"):
        door.refuses(in_field(door, field, spaces), code="blank")


def test_24_composed_and_decomposed_letters_are_one_sku(till, head_office, lahore):
    composed = "CHÁ-250"
    decomposed = unicodedata.normalize("NFD", composed)
    assert composed != decomposed
    made = head_office.post("/api/catalog/products/", {"sku": decomposed, "name": "Tea"})
    assert (made.status_code, made.body["sku"]) == (201, composed)
    twin = head_office.post("/api/catalog/products/", {"sku": composed, "name": "Twin"})
    assert (twin.status_code, twin.body["code"]) == (409, "sku_taken")
    for spelling in (composed, decomposed):
        assert till.get(f"/api/catalog/products/{spelling}/").body["sku"] == composed
        assert till.post("/api/stock/movements/", movement(sku=spelling)).status_code == 201
        assert till.post("/api/orders/sales/", sale(spelling)).status_code == 202
        assert len(till.get("/api/stock/levels/", product=spelling).body["results"]) == 1
    assert apply_all() == 2
    assert Movement.objects.filter(product__sku=composed).count() == 4


def test_24_event_resent_in_the_other_form_is_a_duplicate(till):
    event = sale("CHÁ")
    assert till.post("/api/orders/sales/", event).status_code == 202
    again = event | {"sku": unicodedata.normalize("NFD", "CHÁ")}
    assert till.post("/api/orders/sales/", again).body["status"] == "duplicate"


SCRIPT = "<script>alert('1')</script>&amp;"


def test_25_markup_in_a_name_is_stored_and_escaped_everywhere(head_office, client):
    made = head_office.post("/api/catalog/products/", {"sku": "TEA", "name": SCRIPT})
    assert (made.status_code, made.body["name"]) == (201, SCRIPT)
    told = head_office.get("/api/catalog/products/TEA/")
    assert told.body["name"] == SCRIPT
    assert told["Content-Type"] == "application/json"
    assert told["X-Content-Type-Options"] == "nosniff"
    client.force_login(make.make_superuser())
    page = client.get("/admin/catalog/product/")
    assert page.status_code == 200
    assert "&lt;script&gt;alert(" in page.content.decode()
    assert "<script>alert('1')" not in page.content.decode()


@pytest.mark.parametrize("text", ["🍵 green", "𝒯ea", "چائے", "👨‍👩‍👧 family pack", "é"])
def test_26_letters_of_every_kind_come_back_intact(head_office, text):
    answer = head_office.post("/api/catalog/products/", {"sku": "TEA", "name": text})
    assert answer.status_code == 201
    assert head_office.get("/api/catalog/products/TEA/").body["name"] == text
    assert head_office.get("/api/catalog/changes/").body["results"][-1]["after"]["name"] == text


def test_26_receipt_with_astral_letters_comes_back_intact(till, tea):
    event = sale(receipt="№ 7 🍵")
    till.post("/api/orders/sales/", event)
    assert till.get(f"/api/orders/sales/{event['event_id']}/").body["receipt"] == "№ 7 🍵"
    apply_all()
    assert till.get(f"/api/orders/sales/{event['event_id']}/").body["receipt"] == "№ 7 🍵"
