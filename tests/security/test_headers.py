"""What browsers and caches are told, by kind of address: a snapshot, and a real browser."""

import pytest
from django.test import Client, override_settings

from inventory_project.admission import AdmittedASGI
from inventory_project.headers import API_HEADERS, DOCS_POLICY, OFFICE_POLICY, STRICT_POLICY
from tests import make, office
from tests.make import sale

STRICT = (
    "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)  # fmt: skip
OFFICE = (
    "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; form-action 'self'"
)
DOCS = (
    "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; script-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; form-action 'none'"
)
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
NO_STORE = {"Cache-Control": "no-store"}
NEVER = {"Cache-Control": "max-age=0, no-cache, no-store, must-revalidate, private"}
KEPT = {"Cache-Control": "private, no-cache"}
TOLD = {*ALWAYS, "Cache-Control", "Content-Security-Policy", "Strict-Transport-Security"}

pytestmark = pytest.mark.django_db


def told(answer):
    return {name: answer[name] for name in TOLD if answer.has_header(name)}


def expect(policy, cache):
    return ALWAYS | {"Content-Security-Policy": policy} | cache


def get(api, path, **extra):
    return api.client.get(path, headers=api._headers(), **extra)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/stores/LHR-01/", 200), ("/api/stores/current/", 200), ("/api/stock/levels/", 200),
        ("/api/schema/", 200), ("/api/stores/nobody/", 404), ("/api/nothing/", 404),
        ("/api/stores/LHR-01", 404), ("/api/stores/?x=1", 400), ("/api/%00/?a=%00", 400),
        ("/api/" + "x" * 8_000, 414), ("/metrics", 403),
        ("/getCurrentStock/1", 404), ("/health/live", 200), ("/health/ready", 200),
        ("/static/nothing.css", 404), ("/nothing", 404), ("/", 404),
    ],
)  # fmt: skip
def test_answers_to_programs_show_and_load_nothing_and_are_kept_nowhere(till, path, status):
    answer = get(till, path)
    assert answer.status_code == status
    assert told(answer) == expect(STRICT, NO_STORE)


def test_door_of_sales_tells_the_same_as_the_view_behind_it(till, tea, each_door):
    for body, status in ((sale(), 202), ({}, 400), (sale("NOPE", -1), 400)):
        answer = make.Api(till.credential).post("/api/orders/sales/", body)
        assert answer.status_code == status
        assert told(answer) == expect(STRICT, NO_STORE)
    stranger = make.Api("unknown0.x").post("/api/orders/sales/", sale())
    assert stranger.status_code == 401
    assert told(stranger) == expect(STRICT, NO_STORE)


@pytest.mark.parametrize("path", ["/api/stores/", "/api/catalog/products/", "/allStores"])
def test_kept_lists_may_be_kept_by_who_asked_and_are_asked_for_each_time(head_office, tea, path):
    answer = get(head_office, path)
    assert told(answer) == expect(STRICT, KEPT)
    assert answer["Vary"].startswith("Authorization, Cookie")
    again = get(head_office, path, HTTP_IF_NONE_MATCH=answer["ETag"])
    assert again.status_code == 304
    assert told(again) == expect(STRICT, KEPT)


def test_back_office_runs_its_own_scripts_only(lahore):
    client = office.head_of_chain()
    for path, status in (
        ("/admin/", 200), ("/admin/stores/store/", 200), ("/admin/stores/store/add/", 200),
        ("/admin/catalog/product/import/", 200), (f"/admin/stores/store/{lahore.pk}/change/", 200),
        ("/admin/stores/store/99/change/", 302),
    ):  # fmt: skip
        answer = client.get(path)
        assert answer.status_code == status
        assert told(answer) == expect(OFFICE, NEVER), path
    for path, status in (("/admin/login/", 200), ("/admin/", 302)):
        answer = Client().get(path)
        assert (answer.status_code, told(answer)) == (status, expect(OFFICE, NEVER))


def test_pages_of_errors_in_the_back_office_are_no_exception(lahore):
    client = office.sign_in(office.make_staff(lahore, permissions=["view_store"]))
    for path, status in (("/admin/accounts/user/", 403), ("/admin/nothing/", 404)):
        answer = client.get(path)
        assert answer.status_code == status
        assert answer["Content-Security-Policy"] == OFFICE
        assert "no-store" in answer["Cache-Control"]
    refused = client.get("/admin/", headers={"Authorization": "Api-Key x.y"})
    assert (refused.status_code, told(refused)) == (404, expect(OFFICE, NO_STORE))


def test_page_with_a_new_key_says_its_own_word_about_referrers(lahore):
    client = office.head_of_chain()
    answer = client.post(
        "/admin/stores/storekey/add/", {"name": "till", "store": lahore.pk, "may": ["sales:write"]}
    )
    assert answer.status_code == 200
    assert told(answer)["Referrer-Policy"] == "no-referrer"
    assert told(answer)["Cache-Control"].startswith("no-store")


def test_description_for_people_runs_its_own_scripts_only(client):
    for path in ("/api/docs/", "/api/docs/?script="):
        answer = client.get(path)
        assert answer.status_code == 200
        assert told(answer) == expect(DOCS, NO_STORE)
    page = client.get("/api/docs/").content.decode()
    assert page.count("<script") == page.count("<script src=") == 3
    assert client.get("/api/docs/?lang=en").status_code == 400


def test_files_are_kept_by_everybody_and_are_otherwise_no_exception(client):
    answer = client.get("/static/unfold/js/app.js")
    assert answer.status_code == 200
    assert told(answer) == expect(STRICT, {"Cache-Control": "max-age=60, public"})


def test_production_tells_to_use_tls_for_a_year(till, tea, each_door):
    with override_settings(
        PRODUCTION=True, SECURE_SSL_REDIRECT=True, SECURE_HSTS_SECONDS=31_536_000,
        SECURE_HSTS_INCLUDE_SUBDOMAINS=True, SECURE_HSTS_PRELOAD=True,
    ):  # fmt: skip
        client = Client()
        client.handler = make.WebHandler(enforce_csrf_checks=False)
        hsts = {"Strict-Transport-Security": "max-age=31536000; includeSubDomains; preload"}
        answer = client.post(
            "/api/orders/sales/", sale(), "application/json", headers=till._headers(), secure=True
        )
        assert (answer.status_code, told(answer)) == (202, expect(STRICT, NO_STORE) | hsts)
        plain = client.post("/api/orders/sales/", sale(), "application/json")
        assert (plain.status_code, told(plain)) == (403, expect(STRICT, NO_STORE))
        led = client.get("/admin/")
        assert (led.status_code, led["Content-Security-Policy"]) == (301, OFFICE)
        page = client.get("/admin/login/", secure=True)
        assert told(page) == expect(OFFICE, NEVER) | hsts
        assert page.cookies["csrftoken"]["samesite"] == "Lax"


def test_crowd_is_refused_with_them_as_well():
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": "/api/stores/", "method": "GET", "headers": []}
    waiting = AdmittedASGI(None, 0, {}.get)(scope, None, send)
    with pytest.raises(StopIteration):
        waiting.send(None)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    assert sent[0]["status"] == 503
    assert {name.lower(): value for name, value in API_HEADERS}.items() <= headers.items()


def test_policies_are_those_written_here():
    assert (STRICT_POLICY, OFFICE_POLICY, DOCS_POLICY) == (STRICT, OFFICE, DOCS)
    assert "unsafe-inline" not in OFFICE.partition("style-src")[0]
