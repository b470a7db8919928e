"""Requests made from the schema, as everybody: no 5xx, no answer the schema does not tell of."""

import os

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks as general
from schemathesis.specs.openapi import checks as openapi

from inventory_project.wsgi import application
from orders.models import SaleEvent
from tests import make
from tests.bad_input.doors import park_sale

pytestmark = pytest.mark.django_db

# `FUZZ_EXAMPLES=1000 pytest tests/test_fuzz_schema.py` for a long look, with new examples each time.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "6"))
settings.register_profile(
    "fuzz",
    max_examples=EXAMPLES,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
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
AS_GENERATED = [*EVERY_CASE, openapi.negative_data_rejection, openapi.ignored_auth]


schema = schemathesis.openapi.from_wsgi("/api/schema/", application)


@pytest.fixture(autouse=True)
def one_connection():
    """Django's own test client does the same: a request's end must not close the test's database."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.fixture(params=["anonymous", "device", "head office"])
def headers(request):
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
    }[request.param]()
    return api._headers()


def known_names():
    return {
        "code": "LHR-01",
        "sku": "TEA",
        "name": "Tea",
        "event_id": str(SaleEvent.objects.values_list("event_id", flat=True).first()),
    }


@schema.parametrize()
@settings(settings.get_profile("fuzz"))
def test_any_request_gets_an_answer_the_schema_tells_of(case, headers):
    checked = AS_GENERATED if headers else EVERY_CASE
    case.call_and_validate(headers=headers, checks=checked)


@schema.parametrize()
@settings(settings.get_profile("fuzz"))
def test_any_request_about_what_exists_gets_an_answer_the_schema_tells_of(case, headers):
    """A made-up SKU is mostly nobody's: here the addresses and stores are real."""
    known = known_names()
    case.path_parameters = {name: known[name] for name in case.path_parameters or {}}
    if "store" in (case.query or {}):
        case.query["store"] = "LHR-01"
    if isinstance(case.body, dict) and "sku" in case.body and "event_id" in case.body:
        case.body |= {"sku": "TEA", "store": "LHR-01"}
    case.call_and_validate(headers=headers, checks=EVERY_CASE)
