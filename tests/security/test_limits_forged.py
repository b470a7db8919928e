"""Over real HTTP: whoever makes up where a request comes from is limited as before.

Limits are kept by the one server process here, so that no other test counts along.
"""

import urllib.error
import urllib.request

import pytest
from django.db import connections

from tests import databases
from tests.web import running_web

pytestmark = pytest.mark.sqlite  # addresses are counted the same beside every database
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
LIMIT, TRIES = 5, 15
REAL = "203.0.113.77"


@pytest.fixture(scope="module")
def emptied(django_db_setup, django_db_blocker):
    """Whoever is refused is noted in the audit, which other tests count."""
    yield
    with django_db_blocker.unblock():
        connections.close_all()
        databases.empty_tables()


@pytest.fixture(scope="module", params=["wsgi", "asgi"])
def web(request, emptied):
    with running_web(request.param, LIMIT_ANONYMOUS=f"{LIMIT}") as url:
        yield url


@pytest.fixture(scope="module")
def behind_gateway(emptied):
    with running_web("asgi", LIMIT_ANONYMOUS=f"{LIMIT}", BEHIND_TLS_GATEWAY="true") as url:
        yield url


def ask(url, *headers, path="/api/stores/current/"):
    """Status and code of a request with these headers, also several of one name."""
    request = urllib.request.Request(url + path)
    for name, value in headers:
        request.add_header(name, value)
    try:
        return OPENER.open(request, timeout=20).status
    except urllib.error.HTTPError as error:
        return error.code


FORGERIES = ("X-Forwarded-For", "X_Forwarded_For", "X-Real-IP", "Forwarded", "True-Client-IP",
             "Client-IP", "X-Client-IP", "CF-Connecting-IP", "Remote-Addr", "Via")  # fmt: skip


def test_without_a_gateway_no_header_says_where_a_request_comes_from(web):
    statuses = [ask(web, *((name, f"198.51.100.{n}") for name in FORGERIES)) for n in range(TRIES)]
    assert statuses == [401] * LIMIT + [429] * (TRIES - LIMIT)
    forged = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "127.0.0.1")]
    assert ask(web, *forged) == 429


def test_behind_a_gateway_only_what_it_wrote_last_counts(behind_gateway):
    statuses = [
        ask(behind_gateway, ("X-Forwarded-For", f"198.51.100.{n}, 192.0.2.{n}, {REAL}"),
            ("X-Real-IP", f"198.51.100.{n}"), ("Forwarded", f"for=198.51.100.{n}"))
        for n in range(TRIES)
    ]  # fmt: skip
    assert statuses == [401] * LIMIT + [429] * (TRIES - LIMIT)
    assert ask(behind_gateway, ("X-Forwarded-For", "203.0.113.78")) == 401


@pytest.mark.parametrize("name", ["X_Forwarded_For", "x_forwarded-for", "X-Forwarded_For"])
def test_behind_a_gateway_a_name_with_underscores_is_dropped(behind_gateway, name):
    """To WSGI it is the same name, and the later one would win: both orders are tried."""
    real = ("X-Forwarded-For", f"192.0.2.{100 + len(name) + name.count('_')}")
    for _ in range(LIMIT):
        ask(behind_gateway, real)
    for n in range(TRIES):
        forged = (name, f"198.51.100.{n}")
        assert ask(behind_gateway, real, forged) == 429
        assert ask(behind_gateway, forged, real) == 429
