"""docs/api/first-sale.md is true: every command in it runs, every answer in it is the real one.

What it says in words, and no other test of an endpoint holds, stands here too.
"""

import json
import re
import urllib.error
import urllib.request
import uuid

import pytest
from django.conf import settings
from django.urls import URLPattern

from catalog.editing import Code
from inventory_project.urls import urlpatterns
from tests.make import apply_all, make_product, sale
from tests.pages import check_page, compare
from tests.web import CHECKOUT, running_web

PAGE = CHECKOUT / "docs" / "api" / "first-sale.md"
INDEX = CHECKOUT / "docs" / "api" / "README.md"
SALES = "/api/orders/sales/"
CARTON = "9521000000025"


def test_the_page_is_true(committed, tmp_path):
    assert check_page(PAGE, tmp_path, LIMIT_DEVICE="600") > 20, "the page was not read"


def test_a_wrong_page_is_noticed():
    real = {"event_id": str(uuid.uuid4()), "recorded_at": "2026-03-02T05:00:00Z", "seq": 3}
    shown = {"event_id": str(uuid.uuid4()), "recorded_at": "2025-01-01T00:00:00Z", "seq": 3}
    names = {}
    assert list(compare(shown, real, names)) == []
    assert list(compare(shown | {"seq": 4}, real, names)) == ["/seq: 4 shown, 3 real"]
    assert len(list(compare(shown | {"more": True}, real, names))) == 1
    assert len(list(compare(shown | {"event_id": "another"}, real, names))) == 1
    assert len(list(compare(shown, real | {"recorded_at": "today"}, names))) == 1


def test_every_limit_of_the_table_of_answers_is_413(committed, lahore, till):
    batch = {"events": [{} for _ in range(settings.BATCH_EVENTS_MAX + 1)]}
    with running_web() as url:
        for body in (json.dumps(batch).encode(), b" " * (settings.REQUEST_BYTES_MAX + 1)):
            assert _post(f"{url}/api/orders/sales/", till.credential, body) == (413, "too_large")


@pytest.mark.django_db
def test_the_same_is_the_same_content_however_it_is_written(till):
    event = sale(quantity=1)
    assert till.post(SALES, event).status_code == 202
    again = {"quantity": "1.000", "occurred_at": "2026-03-02T07:00:00Z", "device_seq": 7}
    assert till.post(SALES, event | again).body["status"] == "duplicate"
    others = {"kind": "return", "quantity": 2, "amount": "1.00", "receipt": "R-9"}
    for name, value in others.items():
        assert till.post(SALES, event | {name: value}).status_code == 409, name
    del event["sku"]
    assert till.post(SALES, event | {"barcode": CARTON}).status_code == 409


@pytest.mark.django_db
def test_a_scanned_carton_is_told_as_sent_while_it_waits_and_as_booked_afterwards(till):
    make_product("TEA", barcodes=[Code(CARTON, 12)])
    event = sale(quantity=1, barcode=CARTON)
    del event["sku"]
    till.post(SALES, event)
    told = till.get(f"{SALES}{event['event_id']}/").body
    assert (told["sku"], told["barcode"], told["quantity"]) == ("", f"0{CARTON}", 1)
    apply_all()
    told = till.get(f"{SALES}{event['event_id']}/").body
    assert (told["sku"], told.get("barcode"), told["quantity"]) == ("TEA", None, 12)
    found = till.get("/api/catalog/products/", barcode=f"0{CARTON}").body["results"]
    assert [product["sku"] for product in found] == ["TEA"]
    assert till.get("/api/catalog/products/", barcode="123").body["results"] == []


@pytest.mark.django_db
def test_a_batch_of_which_nothing_is_taken_is_200_and_names_the_first_thing_wrong(till):
    answer = till.post(SALES, {"events": [sale(quantity=None, amount=None), 3]})
    assert answer.status_code == 200
    assert [(one["status"], one["code"]) for one in answer.body["results"]] == [
        ("rejected", "not_exact"),
        ("rejected", "not_an_object"),
    ]
    alone = till.post(SALES, sale(quantity=None, amount=None))
    assert (alone.status_code, len(alone.body["errors"])) == (400, 2)


def test_the_index_lists_every_address_and_no_other():
    rows = re.findall(r"^\| `/.*$", INDEX.read_text(), re.MULTILINE)
    listed = {address for row in rows for address in re.findall(r"`(/[^`]*)`", row)}
    routes = [str(one.pattern) for one in urlpatterns if isinstance(one, URLPattern)]
    assert listed == {"/" + re.sub(r"<\w+:(\w+)>", r"{\1}", route) for route in routes} - {
        "/admin/login/"
    }


def _post(url, credential, body):
    headers = {"Authorization": f"Api-Key {credential}", "Content-Type": "application/json"}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(urllib.request.Request(url, body, headers))
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())["code"]
    raise AssertionError("it was taken")
