"""In production the API is spoken over TLS only, and nobody is led from a POST to a GET."""

import pytest
from django.conf import settings
from django.test import Client, override_settings

from orders.models import SaleEvent
from tests import make
from tests.bad_input.doors import is_problem
from tests.databases import unchanged
from tests.make import sale

pytestmark = pytest.mark.django_db

SALES = "/api/orders/sales/"


@pytest.fixture
def production(till, each_door):
    # After `till`: the middleware its client shares with later tests must not be of production.
    with override_settings(PRODUCTION=True, SECURE_SSL_REDIRECT=True, SECURE_HSTS_SECONDS=60):
        client = Client()
        client.handler = make.WebHandler(enforce_csrf_checks=False)
        yield client


def post(client, till, path=SALES, **how):
    return client.post(path, sale(), "application/json", headers=till._headers(), **how)


def test_sale_without_tls_is_refused_and_not_redirected(
    production, till, tea, django_assert_num_queries
):
    with unchanged(), django_assert_num_queries(0):
        answer = post(production, till)
    is_problem(answer, 403, "https_needed")
    assert "Location" not in answer


@pytest.mark.parametrize("path", ["/api/stores/", "/api/docs/", "/api/nothing", "/api/%00/?a=%00"])
def test_no_address_of_the_api_is_answered_without_tls(production, till, path):
    for method in ("get", "post", "patch", "options"):
        answer = getattr(production, method)(path, headers=till._headers())
        is_problem(answer, 403, "https_needed")


def test_sale_with_tls_is_taken(production, till, tea):
    answer = post(production, till, secure=True)
    assert (answer.status_code, answer["Strict-Transport-Security"]) == (202, "max-age=60")
    assert SaleEvent.objects.count() == 1


def test_gateway_that_ends_tls_says_so_in_its_header(production, till, tea):
    with override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https")):
        assert post(production, till, X_FORWARDED_PROTO="https").status_code == 403
        assert post(production, till, HTTP_X_FORWARDED_PROTO="http").status_code == 403
        assert post(production, till, HTTP_X_FORWARDED_PROTO="https").status_code == 202


def test_people_are_led_to_https_and_probes_are_not(production):
    answer = production.get("/admin/")
    assert (answer.status_code, answer.url) == (301, "https://testserver/admin/")
    assert production.get("/health/live").status_code == 200


def test_a_desk_needs_no_tls(till, tea):
    assert settings.PRODUCTION is False
    assert post(Client(), till).status_code == 202
