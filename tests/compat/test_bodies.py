"""What the earlier addresses take as a body: JSON and forms, both strictly."""

import gzip
import json
from urllib.parse import urlencode

import pytest
from django.conf import settings

from catalog.models import Product
from stock.models import Movement
from tests import make
from tests.bad_input.doors import MARK, is_problem
from tests.compat.calls import FORM, all_calls, ask
from tests.databases import unchanged

pytestmark = pytest.mark.django_db

ROWS_WITH_BODY = [row for row, call in enumerate(all_calls(1, 1)) if call.body is not None]
ROWS = range(len(all_calls(1, 1)))


@pytest.fixture
def calls(lahore, tea):
    return all_calls(lahore.pk, tea.pk)


def caller(call, lahore):
    return make.make_head_office() if call.head_office_only else make.make_device(lahore)


def refuses(api, call, body, status=400, code="", **extra):
    with unchanged():
        answer = api.send(call.method, call.path, body, **extra)
    problem = is_problem(answer, status, code)
    assert problem["message"] == problem["detail"]
    return problem


@pytest.mark.parametrize("row", ROWS_WITH_BODY)
def test_forms_are_taken_and_numbers_in_them_are_text(calls, lahore, row):
    call = calls[row]
    body = urlencode(call.body)
    answer = caller(call, lahore).send(call.method, call.path, body, content_type=FORM)
    assert answer.status_code == 200, answer.content


def test_form_is_read_as_utf_8(head_office):
    body = "name=%DA%86%D8%A7%D8%A6%DB%92+No.%2B1&price=12.5000"
    answer = head_office.send("post", "/createProduct", body, content_type=FORM)
    assert answer.body["product"] == {
        "id": Product.objects.get().pk, "name": "چائے No.+1", "price": 12.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        "name=a&name=b&price=1", "name=a&price", "name=%FF&price=1", b"name=\xff&price=1",
        "&".join(f"f{n}=1" for n in range(60)), '{"name": "a", "price": 1}',
    ],
)  # fmt: skip
def test_forms_that_are_none_are_400(calls, head_office, body):
    refuses(head_office, calls[3], body, 400, "parse_error", content_type=FORM)


@pytest.mark.parametrize("value", ["", " ", "a\x00b", "\u202eab", "x" * 251])
def test_names_that_cannot_be_taken_are_400_in_either_form(calls, head_office, value):
    fields = {"name": value, "price": "1"}
    for problem in (
        refuses(head_office, calls[3], json.dumps(fields)),
        refuses(head_office, calls[3], urlencode(fields), content_type=FORM),
    ):
        assert [error["pointer"] for error in problem["errors"]] == ["/name"]


@pytest.mark.parametrize("row", ROWS_WITH_BODY)
def test_bodies_that_are_none_are_refused(calls, lahore, row):
    call = calls[row]
    api = caller(call, lahore)
    if call.path != "/stockMovement":
        refuses(api, call, b"", 400, "parse_error")
    whole = json.dumps(call.body)
    refuses(api, call, "[]", 400, "not_an_object")
    refuses(api, call, f"[{whole}]", 400, "not_an_object")
    refuses(api, call, "{", 400, "parse_error")
    refuses(api, call, '{"a": NaN}', 400, "parse_error")
    refuses(api, call, '{"a": 1, "a": 1}', 400, "parse_error")
    refuses(api, call, b"\xef\xbb\xbf{}", 400, "parse_error")
    refuses(api, call, whole, 415, content_type="text/plain")
    refuses(api, call, whole, 415, content_type=f"{FORM}; charset=latin-1")
    packed = gzip.compress(whole.encode())
    refuses(api, call, packed, 415, headers={"Content-Encoding": "gzip"})
    chunked = {"Transfer-Encoding": "chunked"}
    refuses(api, call, b"", 411, "length_required", headers=chunked)
    too_large = b" " * (settings.REQUEST_BYTES_MAX + 1)
    refuses(api, call, too_large, 413, "too_large")
    refuses(api, call, too_large, 413, "too_large", content_type=FORM)


@pytest.mark.parametrize("row", ROWS_WITH_BODY)
def test_unknown_fields_are_named_and_missing_ones_too(calls, lahore, row):
    call = calls[row]
    api = caller(call, lahore)
    problem = refuses(api, call, json.dumps(call.body | {"colour": MARK}), 400, "unknown_field")
    assert [error["pointer"] for error in problem["errors"]] == ["/colour"]
    if call.path == "/stockMovement":
        return
    for name in call.body:
        rest = {n: v for n, v in call.body.items() if n != name}
        refuses(api, call, json.dumps(rest), 400)
        refuses(api, call, json.dumps(call.body | {name: None}), 400)
        refuses(api, call, json.dumps(call.body | {name: []}), 400)


@pytest.mark.parametrize("row", ROWS)
def test_unknown_parameters_are_400(calls, lahore, row):
    call = calls[row]
    path = f"{call.path}{'&' if '?' in call.path else '?'}colour={MARK}"
    api = caller(call, lahore)
    with unchanged():
        problem = is_problem(ask(api, call._replace(path=path)), 400, "unknown_parameter")
    assert problem["message"] == problem["detail"]


@pytest.mark.parametrize("row", ROWS)
def test_what_is_refused_for_every_address_is_refused_here(calls, lahore, row):
    call = calls[row]
    api = caller(call, lahore)
    for query, status in (("a=%00", 400), ("a=" + "a" * 8_000, 414)):
        path = f"{call.path}{'&' if '?' in call.path else '?'}{query}"
        with unchanged():
            is_problem(ask(api, call._replace(path=path)), status)
    with unchanged():
        is_problem(ask(api, call._replace(method="DELETE")), 405, "method_not_allowed")
        accept = {"Accept": "text/html"}
        is_problem(api.send(call.method, call.path, b"", headers=accept), 406, "not_acceptable")


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("0", "min_value"), ("-1", "min_value"), ("0.0001", "too_many_decimals"),
        ("1000000.001", "max_value"), ("1e3", "not_a_number"), ("true", "not_exact"),
        ('"five"', "not_a_number"), ('""', "not_a_number"), ('"１"', "not_a_number"),
        ("1" + "0" * 400, "too_large"), ("1e400", "not_a_number"),
    ],
)  # fmt: skip
def test_quantities_that_are_none(calls, till, written, code):
    for call in (calls[1], calls[8], calls[15]):
        body = f'{{"quantity": {written}, "movementtype": "add"}}'
        problem = refuses(till, call, body, 400, code)
        assert [error["pointer"] for error in problem["errors"]] == ["/quantity"]


@pytest.mark.parametrize("written", ["0.1", '"0.1"', "0.100"])
def test_quantities_are_exact(till, tea, written):
    for _ in range(3):
        body = f'{{"quantity": {written}, "movementtype": "add"}}'
        answer = till.send("post", f"/addQuantity/{tea.pk}", body)
    assert answer.content == b'{"message":"Stock updated.","quantity":0.3}'
    assert Movement.objects.count() == 3


@pytest.mark.parametrize("word", ["Add", "receipt", "", "add ", 1, None])
def test_words_that_are_none(calls, till, word):
    body = json.dumps({"quantity": 1, "movementtype": word})
    problem = refuses(till, calls[1], body, 400, "not_a_choice")
    assert problem["errors"][0]["detail"] == "must be one of: add, sales, remove"


@pytest.mark.parametrize(
    ("written", "code"),
    [("-1", "min_value"), ("0.00001", "too_many_decimals"), ("1e9", "not_a_number"),
     ("1000000000.01", "max_value"), ("false", "not_exact")],
)  # fmt: skip
def test_prices_that_are_none(calls, head_office, written, code):
    refuses(head_office, calls[3], f'{{"name": "Tea", "price": {written}}}', 400, code)


def test_event_id_is_for_what_is_counted_only(calls, head_office):
    """Making a product twice cannot be told from making two of one name; so no id is taken."""
    for row in (0, 3, 5):
        body = json.dumps(calls[row].body | {"event_id": make.new_id()})
        refuses(head_office, calls[row], body, 400, "unknown_field")
