"""Requests made from the schema, as everybody: no 5xx, no answer the schema does not tell of."""

import os
from contextlib import contextmanager
from unittest import mock

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.utils.module_loading import import_string
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks as general
from schemathesis.specs.openapi import checks as openapi

from orders.accepting import answer_all
from orders.models import SaleEvent
from tests import make
from tests.bad_input.doors import park_sale

pytestmark = pytest.mark.django_db

# `FUZZ_EXAMPLES=200 pytest tests/test_fuzz_schema.py` for a long look, new examples each time.
LONG_LOOK = "FUZZ_EXAMPLES" in os.environ


def look(*phases):
    return settings(
        max_examples=int(os.environ.get("FUZZ_EXAMPLES", "3")),
        derandomize=not LONG_LOOK,
        database=None,
        deadline=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )


# Not `positive_data_acceptance`: an SKU of the right shape may still be nobody's, and a schema
# cannot say so.
EVERY_CASE = [
    general.not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_headers_conformance,
    openapi.response_schema_conformance,
]


def refuses_what_violates_the_schema(ctx, response, case):
    """A bad event in a batch of sales is refused in its place, in an answer of 200 or 202."""
    if 400 <= response.status_code < 500:
        return None  # schemathesis does not take 411, 413 and 414 for refusals
    results = response.json().get("results", []) if case.path == "/api/orders/sales/" else []
    if any(isinstance(r, dict) and r.get("status") == "rejected" for r in results):
        return None
    return openapi.negative_data_rejection(ctx, response, case)


AS_GENERATED = [*EVERY_CASE, refuses_what_violates_the_schema, openapi.ignored_auth]


PRODUCT = "inventory_project.wsgi.application"
_django = get_wsgi_application()


def application(environ, start_response):
    """The product as it is served. Its module asks the database when it is loaded, and the schema
    is read while tests are collected, when nobody may."""
    if environ["PATH_INFO"] == "/api/schema/":
        return _django(environ, start_response)
    return import_string(PRODUCT)(environ, start_response)


class Alone:
    """The door of sales for one at a time, in the thread that asks."""

    def answer(self, sent, size_bytes):
        return answer_all([sent])[0]


@pytest.fixture(scope="module", autouse=True)
def loaded(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        import_string(PRODUCT)
    # The gatherer's threads would wait for the transaction that the test is in.
    with mock.patch("inventory_project.wsgi._gatherer", Alone()):
        yield


schema = schemathesis.openapi.from_wsgi("/api/schema/", application)


CALLERS = ("anonymous", "device", "head office")


@pytest.fixture
def headers(caller):
    """What this caller sends; the house has one of everything."""
    event = park_sale("LHR-01")
    assert str(SaleEvent.objects.get().event_id) == event["event_id"]
    make.make_product(category=make.make_category())
    store = make.Store.objects.get()
    make.receive(store, "TEA", 10)
    api = {
        "anonymous": lambda: make.Api(),
        "device": lambda: make.make_device(store),
        "head office": make.make_head_office,
    }[caller]()
    with keeping_the_connection():
        yield api._headers()


@contextmanager
def keeping_the_connection():
    """Around requests by another client than Django's own, which does the same: the end of a
    request must not close the connection that the test's transaction is on."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)


def known_names():
    return {
        "code": "LHR-01",
        "sku": "TEA",
        "name": "Tea",
        "event_id": str(SaleEvent.objects.values_list("event_id", flat=True).first()),
    }


@schema.parametrize()
@look(Phase.explicit, Phase.generate)  # explicit: the edges of every type, some 60 a door
@pytest.mark.parametrize("caller", CALLERS if LONG_LOOK else CALLERS[-1:])
def test_any_request_gets_an_answer_the_schema_tells_of(case, headers):
    checked = AS_GENERATED if headers else EVERY_CASE
    case.call_and_validate(headers=headers, checks=checked)


@schema.parametrize()
@look(Phase.generate)
@pytest.mark.parametrize("caller", CALLERS)
def test_any_request_about_what_exists_gets_an_answer_the_schema_tells_of(case, headers):
    """A made-up SKU is mostly nobody's: here the addresses and stores are real."""
    known = known_names()
    case.path_parameters = {name: known[name] for name in case.path_parameters or {}}
    if "store" in (case.query or {}):
        case.query["store"] = "LHR-01"
    if isinstance(case.body, dict) and "sku" in case.body and "event_id" in case.body:
        case.body |= {"sku": "TEA", "store": "LHR-01"}
    case.call_and_validate(headers=headers, checks=EVERY_CASE)
