"""The door in front of Django answers as the view behind it, and takes nothing unusual."""

import json

import pytest
from django.db import OperationalError

from inventory_project import doors
from orders import accepting
from orders.models import SaleEvent
from tests import make
from tests.databases import unchanged
from tests.make import Api, sale

pytestmark = pytest.mark.django_db
SALES = "/api/orders/sales/"
TOLD = (
    "Content-Type", "Cache-Control", "X-Content-Type-Options", "WWW-Authenticate", "Retry-After",
    "RateLimit-Policy",
)  # fmt: skip


def by_both(credential, body, **extra):
    """What the door and the view answer to the same, the database as it was before each."""
    answers = []
    for has_door in (True, False):
        api = Api(credential)
        api.client.handler = make.load_handler(has_door=has_door)
        answer = api.send("post", SALES, body, **extra)
        headers = {name: answer.get(name) for name in TOLD}
        answers.append((answer.status_code, answer.body, headers))
    return answers


BODIES = [
    b"", b"{", b"[]", b"3", b'{"a": 1, "a": 1}', b'{"quantity": NaN}', b"\xff", b'{"events": []}',
    json.dumps({"events": [{}] * 1_001}).encode(), json.dumps(sale(quantity=0)).encode(),
    json.dumps({"events": [sale(quantity=1.5), {"event_id": 3}, 7]}).encode(),
    json.dumps(sale(store="KHI-02")).encode(), b'{"events": [' * 2_000,
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_refusals_are_the_same(till, body):
    with unchanged():
        by_door, by_view = by_both(till.credential, body)
    assert by_door == by_view


@pytest.mark.parametrize("credential", ["unknown0.x", "x", ".", "a b.c", "ÿ.ÿ"])
def test_strangers_are_told_the_same(lahore, credential):
    by_door, by_view = by_both(credential, json.dumps(sale()))
    assert by_door == by_view
    assert by_door[0] == 401


def test_known_and_conflicting_are_told_the_same(till):
    event = sale()
    till.post(SALES, event)
    for body in (event, event | {"quantity": 9}, {"events": [event, event | {"quantity": 9}]}):
        by_door, by_view = by_both(till.credential, json.dumps(body))
        assert by_door == by_view


PLAIN = {
    "REQUEST_METHOD": "POST", "HTTP_AUTHORIZATION": "Api-Key a.b", "HTTP_HOST": "testserver",
    "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": "10", "HTTP_ACCEPT": "*/*",
}  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        {"REQUEST_METHOD": "GET"}, {"QUERY_STRING": "a=1"}, {"HTTP_AUTHORIZATION": "Bearer a.b"},
        {"HTTP_HOST": "evil.example"}, {"HTTP_HOST": ""}, {"CONTENT_TYPE": "text/plain"},
        {"CONTENT_LENGTH": "0"}, {"CONTENT_LENGTH": "-1"}, {"CONTENT_LENGTH": "٣"},
        {"CONTENT_LENGTH": "1048577"}, {"CONTENT_LENGTH": ""}, {"HTTP_ACCEPT": "text/html"},
        {"HTTP_CONTENT_ENCODING": "gzip"}, {"HTTP_TRANSFER_ENCODING": "chunked"},
    ],
    ids=repr,
)  # fmt: skip
def test_unusual_is_left_to_django(other):
    assert accepting.is_taken(PLAIN)
    assert not accepting.is_taken(PLAIN | other)
    assert not accepting.is_taken({k: v for k, v in PLAIN.items() if k != "HTTP_AUTHORIZATION"})


@pytest.mark.parametrize("limit", ["view", "door"])
def test_what_breaks_here_is_500_and_says_nothing(till, monkeypatch, caplog, limit):
    monkeypatch.setattr(make.WebHandler, "has_door", limit == "door")

    def fail(*_, **__):
        raise RuntimeError("secret")

    monkeypatch.setattr(accepting.sales, "judge", fail)
    answer = till.post(SALES, sale())
    assert (answer.status_code, answer.body["code"]) == (500, "broken")
    assert "secret" not in answer.content.decode()
    assert "secret" in caplog.text


def test_one_sale_costs_the_statements_it_needs(till, django_assert_num_queries):
    till.post(SALES, sale())
    # The key; savepoint, insert, look at the ledger, release: a test is inside a transaction.
    # SQLite opens the lane by itself and needs no second look.
    with django_assert_num_queries(5):
        till.post(SALES, sale())


def sent(credential, event):
    body = json.dumps(event).encode()
    meta = PLAIN | {
        "HTTP_AUTHORIZATION": f"Api-Key {credential}", "CONTENT_LENGTH": str(len(body))
    }  # fmt: skip
    return doors.Sent(meta, lambda: body)


def told(answer):
    return answer.status, json.loads(answer.body).get("status")


def test_several_are_answered_together_and_each_by_itself(till, karachi, head_office):
    other = make.make_device(karachi)
    event = sale()
    requests = [
        sent(till.credential, event), sent(till.credential, event),
        sent(till.credential, event | {"quantity": 7}), sent(other.credential, event),
        sent(other.credential, sale(quantity=0)), sent("nobody00.x", sale()),
        sent(head_office.credential, sale(store="KHI-02")),
        sent(head_office.credential, sale(store="NOWHERE")), doors.Sent(PLAIN, lambda: b""),
    ]  # fmt: skip
    assert [told(answer) for answer in accepting.answer_all(requests)] == [
        (202, "accepted"), (200, "duplicate"), (409, 409), (202, "accepted"), (400, 400),
        (401, 401), (202, "accepted"), (400, 400), (401, 401),
    ]  # fmt: skip
    assert SaleEvent.objects.count() == 3


def test_together_they_cost_no_more_statements(till, karachi, django_assert_num_queries):
    other = make.make_device(karachi)
    few = [sent(till.credential, sale()), sent(other.credential, sale())]
    many = [sent(who.credential, sale()) for _ in range(20) for who in (till, other)]
    accepting.answer_all(few)
    with django_assert_num_queries(5):
        accepting.answer_all(many)


def test_who_fails_alone_harms_no_neighbour(till, monkeypatch):
    accept_all = accepting.sales.accept_all

    def fail(parcels):
        if any(line.quantity == 13_000 for parcel in parcels for line in parcel.lines):
            raise OperationalError("lock timeout")
        return accept_all(parcels)

    monkeypatch.setattr(accepting.sales, "accept_all", fail)
    events = [sale(), sale(quantity=13), sale()]
    answers = accepting.answer_all([sent(till.credential, event) for event in events])
    assert [told(answer) for answer in answers] == [
        (202, "accepted"),
        (503, 503),
        (202, "accepted"),
    ]
    assert SaleEvent.objects.count() == 2
