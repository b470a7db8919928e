"""429: each credential has its units a minute, and what is refused has changed nothing."""

import re
import time
import uuid

import pytest
from django.test import Client

from inventory_project import windows
from orders.models import SaleEvent
from stock.models import Movement
from stock.views import LevelListView
from tests import make, routes
from tests.bad_input.doors import is_problem
from tests.databases import unchanged
from tests.make import movement, sale
from tests.office import head_of_chain

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("each_door")]
CURRENT, SALES, MOVEMENTS = "/api/stores/current/", "/api/orders/sales/", "/api/stock/movements/"


@pytest.fixture
def limit(settings, monkeypatch):
    """Sets limits by kind; nobody has taken anything yet."""
    monkeypatch.setattr(windows, "KEY_PREFIX", f"limits-{uuid.uuid4().hex}")

    def limit(**units):
        settings.LIMITS_A_MINUTE = settings.LIMITS_A_MINUTE | units

    return limit


def left(answer):
    return int(re.search(r";r=(\d+);", answer["RateLimit"])[1])


def is_limited(answer, retry_after_max=60):
    problem = is_problem(answer, 429, "rate_limited")
    wait = int(answer["Retry-After"])
    assert 1 <= wait <= retry_after_max
    assert f"Wait {wait} s, " in problem["detail"]
    return wait


# --- one caller ------------------------------------------------------------------------------


def test_every_request_is_one_unit_and_the_last_but_one_passes(till, limit):
    limit(device=3)
    assert [left(till.get(CURRENT)) for _ in range(3)] == [2, 1, 0]
    for _ in range(2):
        is_limited(till.get(CURRENT))


def test_headers_of_an_answer(till, limit):
    limit(device=600)
    answer = till.get(CURRENT)
    assert answer["RateLimit-Policy"] == '"device";q=600;w=60'
    assert answer["RateLimit"] == '"device";r=599;t=60'
    assert "Retry-After" not in answer


def test_headers_of_a_refusal_agree(till, limit):
    limit(device=1)
    till.get(CURRENT)
    answer = till.get(CURRENT)
    wait = is_limited(answer)
    assert answer["RateLimit-Policy"] == '"device";q=1;w=60'
    assert answer["RateLimit"] == f'"device";r=0;t={wait}'
    assert answer.body["title"] == "Too many requests"
    assert answer.body["detail"].startswith("At most 1 units a minute.")


def test_waiting_as_told_is_enough(till, limit, monkeypatch):
    monkeypatch.setattr(windows, "WINDOW_S", 2)
    limit(device=2)
    for _ in range(2):
        assert till.get(CURRENT).status_code == 200
    wait = is_limited(till.get(CURRENT), retry_after_max=2)
    time.sleep(wait)
    assert till.get(CURRENT).status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [("/api/stores/NO-SUCH/", 404), (f"{CURRENT}?x=1", 400), ("/api/stores/LHR-01/retire/", 405)],
)
def test_errors_cost_and_tell_too(till, limit, path, status):
    limit(device=2)
    answer = till.get(path)
    assert (answer.status_code, left(answer)) == (status, 1)


def test_what_is_forbidden_costs_as_well(till, limit):
    limit(device=2)
    body = {"code": "NEW", "name": "New"}
    assert [till.post("/api/stores/", body).status_code for _ in range(3)] == [403, 403, 429]


def test_the_caller_is_told_its_limit(till, head_office, limit):
    limit(device=7, head_office=60_000)
    told = {"seconds": 60, "events_a_unit": 50}
    assert till.get(CURRENT).body["limit"] == told | {"kind": "device", "units": 7}
    of_office = told | {"kind": "head_office", "units": 60_000}
    assert head_office.get(CURRENT).body["limit"] == of_office


def test_above_the_exact_window_the_count_is_a_minutes(head_office, limit):
    limit(head_office=windows.EXACT_UNITS_MAX + 1)
    answer = head_office.get(CURRENT)
    assert answer["RateLimit"] == '"head_office";r=1000;t=60'


# --- two callers -----------------------------------------------------------------------------


def test_two_keys_of_one_store_do_not_share(till, lahore, limit):
    other = make.make_device(lahore)
    limit(device=1)
    assert [till.get(CURRENT).status_code for _ in range(2)] == [200, 429]
    assert other.get(CURRENT).status_code == 200


def test_head_office_has_its_own_measure(till, head_office, limit):
    limit(device=1, head_office=2)
    assert [till.get(CURRENT).status_code for _ in range(2)] == [200, 429]
    assert [head_office.get(CURRENT).status_code for _ in range(3)] == [200, 200, 429]


def test_people_are_limited_by_person(limit):
    limit(staff=1)
    sana, omar = head_of_chain("sana"), head_of_chain("omar")
    assert [sana.get(CURRENT).status_code for _ in range(2)] == [200, 429]
    answer = omar.get(CURRENT)
    assert (answer.status_code, answer["RateLimit"]) == (200, '"staff";r=0;t=60')


def test_the_earlier_endpoints_have_a_window_of_their_own(till, limit, monkeypatch):
    limit(device=5, earlier=1)
    monkeypatch.setattr(LevelListView, "limit_kind", "earlier", raising=False)
    answer = till.get("/api/stock/levels/")
    assert answer["RateLimit-Policy"] == '"earlier";q=1;w=60'
    is_limited(till.get("/api/stock/levels/"))
    assert left(till.get(CURRENT)) == 4


# --- batches ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "cost"), [(1, 1), (50, 1), (51, 2), (100, 2), (101, 3)])
@pytest.mark.parametrize("door", ["sales", "movements"])
def test_a_batch_costs_a_unit_for_each_fifty_begun(till, tea, limit, door, count, cost):
    limit(device=100)
    if door == "sales":
        answer = till.post(SALES, {"events": [sale() for _ in range(count)]})
    else:
        answer = till.post(MOVEMENTS, {"movements": [movement() for _ in range(count)]})
    assert answer.status_code in (201, 202)
    assert left(answer) == 100 - cost


def test_one_alone_costs_one(till, tea, limit):
    limit(device=100)
    assert left(till.post(SALES, sale())) == 99
    assert left(till.post(MOVEMENTS, movement())) == 98


@pytest.mark.parametrize("door", ["sales", "movements"])
def test_a_batch_that_does_not_fit_stores_nothing(till, tea, limit, door):
    limit(device=3)
    till.get(CURRENT)
    many = [sale() if door == "sales" else movement() for _ in range(101)]  # 3 of 2 that are left
    path, name = (SALES, "events") if door == "sales" else (MOVEMENTS, "movements")
    with unchanged():
        answer = till.post(path, {name: many})
    assert is_limited(answer) >= 59  # also what this request itself took has to come back
    assert (SaleEvent.objects.count(), Movement.objects.count()) == (0, 0)
    assert till.post(path, {name: many[:50]}).status_code in (201, 202)


def test_a_batch_never_costs_more_than_there_is(till, tea, limit):
    limit(device=2)
    answer = till.post(SALES, {"events": [sale() for _ in range(150)]})
    assert (answer.status_code, left(answer)) == (202, 0)


def test_a_broken_batch_is_paid_for(till, limit):
    limit(device=100)
    answer = till.post(MOVEMENTS, {"movements": [{}] * 60})
    assert (answer.status_code, left(answer)) == (400, 98)
    answer = till.post(SALES, {"events": [{}] * 1_001})
    assert (answer.status_code, left(answer)) == (413, 78)


@pytest.mark.parametrize("body", [3, {"events": 3}, {"events": []}, {"events": {"a": 1}}])
def test_what_is_no_batch_is_one_unit(till, limit, body):
    limit(device=100)
    answer = till.post(SALES, body)
    assert (answer.status_code, left(answer)) == (400, 99)


# --- without a key ---------------------------------------------------------------------------


def ask(address, forwarded="", credential="", path=CURRENT):
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    if credential:
        headers["Authorization"] = f"Api-Key {credential}"
    return Client().get(path, headers=headers, REMOTE_ADDR=address)


def test_who_has_no_key_is_limited_by_address(limit):
    limit(anonymous=2)
    assert [ask("192.0.2.1").status_code for _ in range(3)] == [401, 401, 429]
    answer = ask("192.0.2.2")
    assert (answer.status_code, answer["RateLimit"]) == (401, '"anonymous";r=1;t=60')


def test_wrong_keys_are_limited_by_address_and_right_ones_are_not(till, limit):
    limit(anonymous=2)
    statuses = [ask("192.0.2.1", credential=f"nobody{n}.x").status_code for n in range(3)]
    assert statuses == [401, 401, 429]
    assert ask("192.0.2.1", credential=till.credential).status_code == 200


def test_the_open_schema_is_limited_before_it_is_made(limit):
    limit(anonymous=1)
    path = "/api/schema/"
    assert [ask("192.0.2.1", path=path).status_code for _ in range(2)] == [200, 429]


def test_forwarded_for_is_not_read_without_a_gateway(limit):
    limit(anonymous=2)
    answers = [ask("192.0.2.1", f"198.51.100.{n}") for n in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 429]


def test_behind_the_gateway_only_its_own_word_counts(limit, settings):
    settings.BEHIND_TLS_GATEWAY = True
    limit(anonymous=1)
    assert ask("10.0.0.1", "203.0.113.1, 192.0.2.1").status_code == 401
    assert ask("10.0.0.1", "203.0.113.2, 192.0.2.1").status_code == 429  # the first is made up
    assert ask("10.0.0.1", "203.0.113.1, 192.0.2.2").status_code == 401
    assert ask("10.0.0.1", "nonsense").status_code == 401  # the gateway's own address
    assert ask("10.0.0.1").status_code == 429


def test_an_ipv6_network_is_one_caller(limit):
    limit(anonymous=1)
    assert ask("2001:db8::1").status_code == 401
    assert ask("2001:db8::2").status_code == 429
    assert ask("2001:db8:0:1::1").status_code == 401
    assert ask("192.0.2.9").status_code == 401
    assert ask("::ffff:192.0.2.9").status_code == 429


def test_probes_are_not_limited(limit):
    limit(anonymous=1)
    for _ in range(3):
        answer = ask("192.0.2.1", path="/health/live")
        assert answer.status_code == 200
        assert "RateLimit" not in answer


# --- what else it must not do ----------------------------------------------------------------


def test_a_limited_key_asks_nothing_of_the_ledger(till, limit, django_assert_num_queries):
    limit(device=1)
    till.get(CURRENT)
    with django_assert_num_queries(1):  # whose key it is
        is_limited(till.post(SALES, sale()))


def test_a_retry_after_the_limit_counts_once(till, tea, limit):
    event = sale()
    limit(device=1)
    assert till.post(SALES, event).status_code == 202
    is_limited(till.post(SALES, event))
    limit(device=9)
    assert till.post(SALES, event).body["status"] == "duplicate"
    assert SaleEvent.objects.count() == 1


@pytest.mark.parametrize(("method", "route"), routes.api_routes())
def test_no_address_is_without_limit(limit, method, route):
    """A view that lists throttles of its own would lose ours."""
    path = routes.fill_in(route, code="X", sku="X", name="X", event_id="X")
    answer = Client().generic(method, path, "{}", "application/json")
    assert answer["RateLimit-Policy"] == '"anonymous";q=1000000;w=60'
