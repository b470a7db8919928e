"""Bodies as nearly all are, read quickly: never otherwise than the strict reader reads them."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rest_framework.exceptions import ParseError

from inventory_project.bodies import parse_json
from inventory_project.errors import Invalid, TooMany
from orders.accepting import read_told, tell_plainly
from orders.parsing import read_plainly
from stores.models import Store, StoreKey
from stores.principals import Principal
from tests.make import sale

pytestmark = pytest.mark.sqlite  # no database is asked
TILL = Principal(store=Store(pk=1, code="LHR-01"), key=StoreKey(pk=1))
HEAD_OFFICE = Principal(key=StoreKey(pk=2))

ID = "0192f0c1-7d3a-7c3e-9b1a-0242ac120002"
VALUES = {
    "event_id": [ID, ID.upper(), ID.replace("-", ""), f"{{{ID}}}", f"urn:uuid:{ID}", "x",
                 "00000000-0000-0000-0000-000000000000", f" {ID}"],
    "kind": ["sale", "return", "gift", "", None, "Sale"],
    "sku": ["TEA", "TEA-250", "چائے", " TEA ", "", "A\u200bB", "a" * 65, "e\u0301", "TEA\x7f", 7],
    "barcode": ["5901234123457", "12345678", "ABC", "a b", "é", "x" * 49, 5901234123457],
    "quantity": [1, 3, 0, -1, 1.0, 1.5, "1.250", "1.2345", "1e2", 10**6, 10**6 + 1, 2**64, 10**30,
                 True, None, "１", "-0", [1], {"a": 1}],
    "occurred_at": [
        "2026-03-02T12:00:00+05:00", "2026-03-02T12:00:00Z", "2026-03-02t12:00:00z",
        "2026-03-02 12:00:00Z", "2026-03-02T12:00:00.1234567Z", "2026-03-02T12:00:00",
        "2026-02-30T12:00:00Z", "2026-03-02T24:00:00Z", "2026-03-02T23:59:60Z",
        "1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "2026-03-02T12:00:00+24:00", 1772452800,
    ],
    "amount": ["249.50", 12, "-1", "0", 1.5, "1.00001", None, 10**16],
    "receipt": ["R-1", "", "  ", "a\tb", "a" * 65, "رسید", 5],
    "device_seq": [0, 7, 2**63 - 1, 2**63, -1, 1.0, "7", True],
    "store": ["LHR-01", "", "x" * 33, 5, None],
    "colour": ["red"],
}  # fmt: skip


def field(name):
    # Mostly what is right, so that whole events are.
    return st.tuples(
        st.just(name), st.one_of(st.just(VALUES[name][0]), st.sampled_from(VALUES[name]))
    )


REQUIRED = [field(name) for name in ("event_id", "quantity", "occurred_at", "sku")]
OTHERS = st.lists(st.sampled_from(sorted(VALUES)).flatmap(field), max_size=4)


@st.composite
def event_texts(draw):
    """An event as text: now and then with a key twice, which no dict could say."""
    pairs = [draw(pair) for pair in REQUIRED] + draw(OTHERS)
    if draw(st.integers(0, 3)):
        pairs = list(dict(pairs).items())
    ascii_only, space = draw(st.booleans()), draw(st.sampled_from(["", " ", "\n\t"]))
    return "{" + f",{space}".join(
        f"{json.dumps(name)}{space}:{space}{json.dumps(value, ensure_ascii=ascii_only)}"
        for name, value in pairs
    ) + "}"  # fmt: skip


@st.composite
def bodies(draw):
    texts = draw(st.lists(event_texts(), min_size=1, max_size=3))
    body = draw(st.sampled_from([texts[0], '{"events": [' + ", ".join(texts) + "]}"]))
    ends = ["", " ", "\n", "}", "\x00", "\x0c", "\ufeff"]
    return (
        draw(st.sampled_from(["", "", "", *ends])) + body + draw(st.sampled_from(ends))
    ).encode()


def read_strictly(body, principal):
    try:
        return read_told(parse_json(body), principal=principal)
    except (Invalid, TooMany, ParseError):
        return None


@settings(max_examples=1_500, deadline=None)
@given(bodies(), st.sampled_from([TILL, HEAD_OFFICE]))
def test_what_is_read_quickly_is_what_the_strict_reader_reads(body, principal):
    plain = read_plainly(body)
    told = plain and tell_plainly(plain, principal=principal)
    if told:
        assert told == read_strictly(body, principal)


@pytest.mark.parametrize(
    "event",
    [sale(), sale(quantity="1.250", amount="249.50", receipt="R 7", device_seq=4, kind="return"),
     sale("TEA-250"), sale(sku="چائے")],
    ids=range(4),
)  # fmt: skip
def test_ordinary_events_are_read_quickly(event):
    for document in (event, {"events": [event, event]}):
        body = json.dumps(document, ensure_ascii=False).encode()
        plain = read_plainly(body)
        assert plain is not None
        assert tell_plainly(plain, principal=TILL) == read_strictly(body, TILL)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(sale()).replace('"quantity": 1', '"quantity": 2, "quantity": 1'),
        json.dumps(sale(event_id=ID.replace("-", ""))), json.dumps(sale(quantity=1.0)),
        json.dumps(sale(sku="\\u0054EA")), '{"events": [], "events": [' + json.dumps(sale()) + "]}",
    ],
    ids=["twice", "no dashes", "float", "escaped", "events twice"],
)  # fmt: skip
def test_what_needs_a_closer_look_is_left_to_the_strict_reader(body):
    assert read_plainly(body.encode()) is None
