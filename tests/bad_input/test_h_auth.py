"""Who has no key, a wrong one or somebody else's gets nothing, and learns nothing."""

import json
import logging
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone as clock

from accounts import roles
from stores import authentication, registry
from stores.models import StoreKey
from tests import make, office, routes
from tests.bad_input import raw
from tests.bad_input.doors import MARK, is_problem
from tests.databases import hash_tables, unchanged
from tests.make import Api, movement, sale
from tests.web import running_web

in_process = pytest.mark.django_db
OPEN_ROUTES = {"/api/schema/", "/api/docs/"}  # in production these ask for a log-in, too
CLOSED_ROUTES = [r for r in routes.api_routes() if r[1] not in OPEN_ROUTES]


def path_of(route):
    return routes.fill_in(route, code="LHR-01", sku="TEA", name="Tea", event_id=make.new_id())


def is_unknown(response, code):
    problem = is_problem(response, 401, code)
    assert response["WWW-Authenticate"] == "Api-Key"
    return problem


@in_process
@pytest.mark.parametrize(("method", "route"), CLOSED_ROUTES)
def test_81_without_a_key_every_door_is_401(lahore, tea, method, route):
    with unchanged():
        answer = Api().send(method.lower(), path_of(route), json.dumps(sale()))
    is_unknown(answer, "not_authenticated")


@in_process
@pytest.mark.parametrize(
    "header",
    [
        "Api-Key", "Api-Key ", "Api-Key .", "Api-Key abc", "Api-Key abc.", "Api-Key .abc",
        "Bearer abc.def", "Basic YTpi", f"Token {MARK}", "Api-Key a b.c", "Api-Key ÿ.ÿ",
        "Api-Key abc.\x00", "Api-Key " + "a" * 200_000, "Api-Key " + "." * 100,
        "Api-Key ' OR 1=1 --.x", f"Api-Key {MARK}.{MARK}", "api-key ٣٣٣.x",
    ],
    ids=lambda header: repr(header)[:24],
)  # fmt: skip
def test_82_malformed_key_is_401(header):
    with unchanged():
        answer = Client(raise_request_exception=False).generic(
            "GET", "/api/stores/", HTTP_AUTHORIZATION=header
        )
    is_unknown(answer, "key_refused")


def test_82_key_of_200_kilobytes_over_real_http(committed):
    make.make_store()
    before = hash_tables()
    with running_web() as url:
        for size in (200_000, 2_000_000):
            key = "a" * size
            status, text = raw.talk(url, f"GET /api/stores/ HTTP/1.1\nAuthorization: Api-Key {key}")
            assert status in (0, 400, 401, 431), text
        assert raw.talk(url, "GET /health/live HTTP/1.1")[0] == 200
    assert hash_tables() == before


@in_process
def test_83_right_prefix_with_wrong_secret_is_told_like_an_unknown_prefix(till):
    prefix, _, secret = till.credential.partition(".")
    wrong = [
        f"{prefix}.{secret[:-1]}", f"{prefix}.{secret}x", f"{prefix}.{secret.swapcase()}",
        f"{prefix}.", f"unknown000.{secret}", f"{secret}.{prefix}", prefix,
    ]  # fmt: skip
    answers = [Api(credential).get("/api/stores/") for credential in wrong]
    for answer in answers:
        is_unknown(answer, "key_refused")
    assert len({answer.content for answer in answers}) == 1
    assert till.get("/api/stores/").status_code == 200


@in_process
def test_83_unknown_prefix_costs_the_same_comparison(till, django_assert_num_queries, monkeypatch):
    """The time must not tell which prefix is real: one query and one hash either way."""
    compared = []
    compare = authentication.hmac.compare_digest
    monkeypatch.setattr(
        authentication.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or compare(a, b)
    )
    prefix = till.credential.partition(".")[0]
    Api("unknown000.wrong").get("/api/stores/")  # noted; of the next ones only the number is
    compared.clear()
    for credential in (f"{prefix}.wrong", "unknown000.wrong"):
        with django_assert_num_queries(1):
            Api(credential).get("/api/stores/")
    assert len(compared) == 2
    assert {len(side) for pair in compared for side in pair} == {64}


@in_process
@pytest.mark.parametrize(
    "fields",
    [
        {"revoked_at": timedelta(0)}, {"expires_at": timedelta(seconds=-1)},
        {"valid_from": timedelta(hours=1), "expires_at": None},
    ],
    ids=["revoked", "expired", "not yet valid"],
)  # fmt: skip
def test_84_key_out_of_its_time_is_401(lahore, tea, fields):
    till = make.make_device(lahore)
    assert till.get("/api/stores/").status_code == 200
    yesterday = clock.now() - timedelta(days=1)
    times = {name: None if ago is None else clock.now() + ago for name, ago in fields.items()}
    StoreKey.objects.update(**({"valid_from": yesterday} | times))
    for method, path, body in (
        ("get", "/api/stores/", b""), ("post", "/api/orders/sales/", json.dumps(sale())),
        ("post", "/api/stock/movements/", json.dumps(movement())),
    ):  # fmt: skip
        with unchanged():
            is_unknown(till.send(method, path, body), "key_refused")


@in_process
def test_84_key_of_a_retired_store_is_401(till, lahore):
    registry.retire_store(lahore)
    with unchanged():
        is_unknown(till.post("/api/orders/sales/", sale()), "key_refused")
    registry.restore_store(lahore)
    assert till.post("/api/orders/sales/", sale()).status_code == 202


@in_process
def test_85_key_of_one_store_on_the_path_of_another_is_404(till, karachi):
    with unchanged():
        is_problem(till.get("/api/stores/KHI-02/"), 404, "not_found")
    for path in (
        "/api/stock/levels/", "/api/stock/movements/", "/api/stock/changes/", "/api/orders/sales/",
        f"/api/orders/sales/{make.new_id()}/",
    ):  # fmt: skip
        foreign = till.get(path, store="KHI-02")
        is_problem(foreign, 404, "not_found")
        assert foreign.content == till.get(path, store="NOWHERE").content


@in_process
@pytest.mark.parametrize("name", ["key", "api_key", "apikey", "API-Key", "token", "authorization"])
def test_86_key_in_the_address_is_401_and_warned_of(till, caplog, name):
    with unchanged(), caplog.at_level(logging.WARNING):
        answer = Api().get("/api/stores/", **{name: till.credential})
    is_unknown(answer, "not_authenticated")
    (warning,) = [r.getMessage() for r in caplog.records if "sent in the address" in r.getMessage()]
    assert till.credential not in warning
    assert till.credential.partition(".")[2] not in caplog.text


@pytest.fixture
def manager(client, lahore):
    """A browser in which a person of the Lahore store is signed in; CSRF is checked."""
    user = office.make_person(roles.MANAGER, lahore)
    browser = Client(enforce_csrf_checks=True, raise_request_exception=False)
    browser.force_login(user)
    return browser


@in_process
def test_87_session_without_a_csrf_token_is_403(manager, tea):
    assert manager.get("/api/stores/").status_code == 200
    for path, body in (
        ("/api/stock/movements/", movement(store="LHR-01")),
        ("/api/orders/sales/", sale(store="LHR-01")),
        ("/api/catalog/products/", {"sku": "A", "name": "A"}),
    ):
        for headers in ({}, {"X-CSRFToken": MARK}, {"Origin": f"https://{MARK}.example"}):
            with unchanged():
                answer = manager.generic(
                    "POST", path, json.dumps(body), content_type="application/json", headers=headers
                )
            is_problem(answer, 403, "csrf")


@in_process
def test_87_session_with_its_csrf_token_is_taken(manager, tea):
    manager.get("/admin/")
    token = "a" * 32
    manager.cookies["csrftoken"] = token
    answer = manager.generic(
        "POST", "/api/stock/movements/", json.dumps(movement(store="LHR-01")),
        content_type="application/json", headers={"X-CSRFToken": token},
    )  # fmt: skip
    assert answer.status_code == 201


@in_process
def test_87_session_of_somebody_who_is_no_staff_is_401(client, lahore):
    client.force_login(make.make_user("customer"))
    with unchanged():
        is_unknown(client.get("/api/stores/"), "not_authenticated")


@in_process
def test_88_back_office_does_not_exist_for_a_device(till, head_office):
    for api in (till, head_office, Api("wrong.key")):
        for path in ("/admin/", "/admin/login/", "/admin/stores/storekey/", "/admin/nothing/"):
            with unchanged():
                is_problem(api.get(path), 404, "not_found")
                is_problem(api.send("post", path, b"{}"), 404, "not_found")
