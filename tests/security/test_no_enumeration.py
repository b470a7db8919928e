"""Nobody learns by asking what there is: same words, same work, nearly the same time."""

import random
import statistics
import time

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog import editing
from inventory_project import windows
from stores import authentication, registry
from stores.authentication import ApiKeyAuthentication, find_principals
from tests import make, routes
from tests.bad_input.doors import is_problem
from tests.make import Api

pytestmark = pytest.mark.django_db

SAMPLES = 5_000  # of each: 10,000 by each way in
# Before the work was made equal the views told by 37 %; one row more to fetch is some 7 %.
MEDIANS_APART_MAX = 0.2
MISSES = 10_000


@pytest.fixture
def wrong_keys(lahore):
    """(a real prefix, an unknown one of its length), each with a wrong secret of the same length"""
    prefix, _, secret = make.make_device(lahore).credential.partition(".")
    return f"{prefix}.{secret[::-1]}", f"{'z' * len(prefix)}.{secret[::-1]}"


def medians(ask, known, unknown):
    """In turns and in either order, so that what else the machine does falls on both."""
    took = {known: [], unknown: []}
    for _ in range(SAMPLES):
        for credential in random.sample((known, unknown), 2):
            begin = time.perf_counter_ns()
            ask(f"Api-Key {credential}")
            took[credential].append(time.perf_counter_ns() - begin)
    return statistics.median(took[known]), statistics.median(took[unknown])


@pytest.mark.parametrize(
    "ask",
    [lambda header: ApiKeyAuthentication()._find_key(header),
     lambda header: find_principals([header])],
    ids=["views", "door of sales"],
)  # fmt: skip
def test_time_does_not_tell_a_real_prefix(wrong_keys, ask):
    known, unknown = medians(ask, *wrong_keys)
    print(f"medians: known prefix {known / 1000:.1f} us, unknown {unknown / 1000:.1f} us")
    assert abs(known - unknown) < MEDIANS_APART_MAX * min(known, unknown)


def test_a_wrong_key_is_the_same_work_whose_ever_prefix_it_has(wrong_keys, monkeypatch):
    done = []

    def count(module, name):
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, **k: done.append(name) or original(*a, **k))

    count(authentication, "_make_key")
    count(authentication, "_make_store")
    count(authentication, "hash_secret")
    count(authentication.hmac, "compare_digest")
    work = []
    Api("nobody.x").get(
        "/api/stores/"
    )  # the first refusal of a minute is noted, the others counted
    for credential in wrong_keys:
        done.clear()
        with CaptureQueriesContext(
            connection,
        ) as queries:
            answer = Api(credential).get("/api/stores/")
        is_problem(answer, 401, "key_refused")
        work.append((sorted(done), len(queries)))
    assert work[0] == work[1]
    assert {"_make_key", "hash_secret", "compare_digest"} <= set(work[0][0])


# --- what a store may not know -----------------------------------------------------------------

BY_STORE = [
    "/api/stock/levels/", "/api/stock/movements/", "/api/stock/changes/", "/api/orders/sales/",
]  # fmt: skip


@pytest.fixture
def foreign(lahore, karachi, tea):
    """What Karachi has, and Lahore is not told of."""
    make.receive(karachi, "TEA", 7)
    other = make.make_device(karachi)
    event = make.sale("NOBODY-KNOWS")
    assert other.post("/api/orders/sales/", event).status_code == 202
    make.apply_all()
    return event


def answer_and_work(api, method, path, body=b""):
    with CaptureQueriesContext(connection) as queries:
        answer = api.send(method, path, body)
    own = ("RateLimit", "X-Request-ID")  # of each request
    kept = {name: value for name, value in answer.headers.items() if name not in own}
    return answer.status_code, answer.content, kept, len(queries)


@pytest.mark.parametrize("path", BY_STORE)
def test_another_store_and_one_that_is_not_are_told_alike(till, foreign, path):
    there = answer_and_work(till, "get", f"{path}?store=KHI-02")
    nowhere = answer_and_work(till, "get", f"{path}?store=ZZZ-99")
    assert there == nowhere
    assert there[0] == 404


def test_another_stores_event_and_one_that_is_not_are_told_alike(till, foreign):
    path = "/api/orders/sales/{}/"
    there = answer_and_work(till, "get", path.format(foreign["event_id"]))
    assert there == answer_and_work(till, "get", path.format(make.new_id()))
    assert there[0] == 404


def test_a_sale_under_anothers_event_id_is_taken_as_any_other(till, foreign):
    event = make.sale(event_id=foreign["event_id"])
    answer = till.post("/api/orders/sales/", event)
    assert (answer.status_code, answer.body["status"]) == (202, "accepted")


WITH_A_STORE = [found for found in routes.api_routes() if "<code>" in found[1]]


@pytest.mark.parametrize(("method", "route"), WITH_A_STORE)
def test_what_is_missing_is_told_in_the_same_words_everywhere(till, foreign, method, route):
    bodies = {
        answer_and_work(till, method.lower(), routes.fill_in(route, code=code), b"{}")[:2]
        for code in ("KHI-02", "ZZZ-99")
    }
    assert len(bodies) == 1


def test_an_unknown_sku_is_told_like_a_retired_one_of_nobody(till, tea):
    """The catalogue is everybody's; an SKU that is none says nothing of near ones."""
    answers = {
        till.get(f"/api/catalog/products/{sku}/").content for sku in ("TEB", "TEA2", "T", "ZZZ")
    }
    assert len(answers) == 1
    editing.retire_product(tea)
    assert till.get("/api/catalog/products/TEA/").status_code == 200


def test_ten_thousand_misses_meet_the_limit(settings, monkeypatch):
    """Whoever tries prefixes one after the other is stopped after the sixtieth of a minute."""
    monkeypatch.setattr(windows, "KEY_PREFIX", f"limits-{make.new_id()}")
    settings.LIMITS_A_MINUTE = settings.LIMITS_A_MINUTE | {"anonymous": 60}
    monkeypatch.setattr(windows, "WINDOW_S", 3_600)  # however slow this machine is
    limit = windows.Limit("anonymous", 60, "address:198.51.100.7")
    strangers = [Api(f"{n:010}.wrong").client for n in range(3)]
    statuses = [
        strangers[n % 3].get(
            "/api/stores/", headers={"Authorization": f"Api-Key {n:010}.wrong"},
            REMOTE_ADDR="198.51.100.7",
        ).status_code
        for n in range(100)
    ]  # fmt: skip
    assert statuses == [401] * 60 + [429] * 40
    allowed = sum(windows.take(limit, 1).allowed for _ in range(MISSES - len(statuses)))
    assert allowed == 0


def test_a_public_prefix_says_nothing_of_its_store_or_its_age(lahore, karachi):
    prefixes = [
        registry.issue_key(name="till", store=store).key.prefix
        for store in (lahore, karachi) * 20
    ]  # fmt: skip
    assert len(set(prefixes)) == 40
    assert sorted(prefixes) != prefixes
    assert len({len(prefix) for prefix in prefixes}) == 1
