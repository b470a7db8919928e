"""Pages of other origins: those that CORS_ALLOWED_ORIGINS names, and only at these addresses."""

import pytest

from tests.bad_input.doors import is_problem
from tests.compat.calls import all_calls, ask

pytestmark = pytest.mark.django_db

PAGE = "https://till.example.org"
ROWS = range(len(all_calls(1, 1)))


@pytest.fixture
def named(settings):
    settings.CORS_ALLOWED_ORIGINS = [PAGE, "http://localhost:3000"]


@pytest.fixture
def calls(lahore, tea):
    return all_calls(lahore.pk, tea.pk)


def cors_headers(answer):
    return {name for name in answer.headers if name.startswith("Access-Control-")}


def preflight(api, call, origin=PAGE):
    asked = {"Origin": origin, "Access-Control-Request-Method": call.method}
    return api.client.options(call.path, headers=asked)


@pytest.mark.parametrize("row", ROWS)
def test_browser_asks_without_a_key_what_a_page_may_send(named, calls, till, row):
    answer = preflight(till, calls[row])
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer["Access-Control-Allow-Origin"] == PAGE
    assert calls[row].method in answer["Access-Control-Allow-Methods"].split(", ")
    assert answer["Access-Control-Allow-Headers"] == ("Authorization, Content-Type, If-None-Match")
    assert "Origin" in answer["Vary"]


@pytest.mark.parametrize("row", ROWS)
def test_page_of_a_named_origin_reads_the_answer_and_no_other(named, calls, till, row):
    for origin, allowed in ((PAGE, True), (f"{PAGE}.evil.example", False), (None, False)):
        headers = till._headers() | ({"Origin": origin} if origin else {})
        answer = till.client.get(calls[row].path, headers=headers)
        assert answer.get("Access-Control-Allow-Origin") == (PAGE if allowed else None)
        assert "Origin" in answer["Vary"]


def test_page_reads_refusals_and_the_link_too(named, till, lahore):
    answer = till.client.get("/allStores", headers={"Origin": PAGE})
    assert is_problem(answer, 401)["message"]
    assert answer["Access-Control-Allow-Origin"] == PAGE
    assert {"ETag", "Link"} <= set(answer["Access-Control-Expose-Headers"].split(", "))
    assert "Access-Control-Allow-Credentials" not in answer


@pytest.mark.parametrize(
    "origin",
    ["https://till.example.org.evil.example", "https://till.example.org:8443", "null",
     "http://till.example.org", "https://TILL.example.org", "https://till.example.org/", "*"],
)  # fmt: skip
def test_origins_are_compared_exactly(named, calls, till, origin):
    answer = preflight(till, calls[8], origin)
    is_problem(answer, 401)
    assert cors_headers(answer) == set()


def test_by_default_no_page_is_named(calls, till, head_office):
    is_problem(preflight(till, calls[8]), 401)
    for call in calls:
        answer = till.client.get(call.path, headers=till._headers() | {"Origin": PAGE})
        assert cors_headers(answer) == set()


def test_plain_options_is_405_as_everywhere(named, calls, till):
    answer = till.client.options(calls[8].path, headers=till._headers() | {"Origin": PAGE})
    is_problem(answer, 405, "method_not_allowed")


def test_addresses_of_today_name_no_origin(named, till):
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "GET"}
    for answer in (
        till.client.get("/api/stores/", headers=till._headers() | {"Origin": PAGE}),
        till.client.options("/api/stores/", headers=asked),
    ):
        assert cors_headers(answer) == set()


def test_call_over_an_origin_is_the_same_call(named, calls, till):
    assert ask(till, calls[1]).content == b'{"message":"Stock updated.","quantity":1}'
