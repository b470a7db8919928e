"""The product as it runs in production, probed at every address: no page, no other way in.

A real server with PRODUCTION=true behind a gateway that ends TLS, as the manual says.
"""

import http.client
import json
from urllib.parse import urlsplit

import pytest

from tests import make, routes
from tests.compat.calls import all_calls
from tests.fuzz.judge import find_leaks, is_problem
from tests.web import running_web

pytestmark = pytest.mark.sqlite  # the addresses are the same beside every database
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
FOR_PEOPLE = ("/api/schema/", "/api/docs/")  # to a key there is nothing at all
TLS = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}
CANARY = "not-" * 20 + "for-a-real-one"


@pytest.fixture(scope="module")
def web(django_db_setup):
    production = {
        "PRODUCTION": "true", "BEHIND_TLS_GATEWAY": "true", "SECRET_KEY": CANARY,
        "FIELD_KEYS": f"k1:{'A' * 43}=",
        "ALLOWED_HOSTS": "127.0.0.1,stock.example",
    }  # fmt: skip
    with running_web(**production) as url:
        yield url


@pytest.fixture
def ask(committed, web):
    """Sends a request as head office; checks what every answer has to be; returns it read."""
    make.make_product()
    make.make_category("TEA")
    make.make_store()
    credential = make.make_head_office().credential
    line = http.client.HTTPConnection(urlsplit(web).netloc, timeout=20)

    def ask(method, path, body=b"", *, key=True, **headers):
        sent = TLS | ({"Authorization": f"Api-Key {credential}"} if key else {})
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        line.request(method, path, body, sent)
        answer = line.getresponse()
        answer.text = answer.read().decode()
        assert answer.status < 500, (method, path, answer.text)
        assert find_leaks(answer.text, {"the SECRET_KEY": CANARY}) == [], (method, path)
        if answer.status >= 400 and answer.text:
            kind = answer.headers["Content-Type"]
            assert is_problem(answer.status, kind, answer.text), (method, path, answer.text)
        return answer

    yield ask
    line.close()


def addresses():
    """(address, its methods) of today's API and of the earlier versions"""
    known = {}
    values = {"code": "LHR-01", "sku": "TEA", "name": "TEA", "event_id": make.new_id()}
    for method, route in routes.api_routes():
        known.setdefault(routes.fill_in(route, **values), set()).add(method)
    for call in all_calls(1, 1):
        known.setdefault(call.path.partition("?")[0], set()).add(call.method)
    return known


def test_methods_that_an_address_does_not_take_are_405_and_it_says_which_it_takes(ask):
    for path, taken in addresses().items():
        for method in METHODS:
            if method in taken:
                continue
            answer = ask(method, path)
            if path in FOR_PEOPLE and answer.status == 403:
                continue
            assert answer.status == 405, (method, path, answer.status)
            allowed = {name.strip() for name in answer.headers["Allow"].split(",")}
            assert allowed - {"HEAD", "OPTIONS"} == taken, (path, allowed)


def test_head_says_what_get_says_without_a_body(ask):
    for path, taken in addresses().items():
        if "GET" in taken and "/docs/" not in path:
            answer, got = ask("HEAD", path), ask("GET", path)
            assert (answer.status, answer.text) == (got.status, ""), path


def test_there_is_no_page_to_browse_and_no_other_format(ask):
    for path, taken in addresses().items():
        if "GET" not in taken:
            continue
        assert ask("GET", path, Accept="text/html").status in (401, 403, 406), path
        for word in ("api", "html", "json", "admin", "openapi"):
            answer = ask("GET", f"{path}?format={word}")
            assert answer.status in (400, 401, 403, 404), (path, answer.status)
            assert not answer.headers["Content-Type"].startswith("text/html")
        for end in (".json", ".api", ".html"):
            if path != "/getCurrentStock/1":  # asks for a store's key before it reads an id
                assert ask("GET", f"{path.rstrip('/')}{end}").status == 404, path


def test_a_method_cannot_be_smuggled_in(ask):
    """What a header or a form calls the method is not read: nothing is retired or changed."""
    for path, taken in addresses().items():
        for smuggled in ("DELETE", "PUT"):
            if "GET" in taken:
                headers = {"X_HTTP_Method_Override": smuggled, "X_HTTP_Method": smuggled}
                plain = ask("GET", path)
                assert ask("GET", path, **headers).status == plain.status, path
            if path.endswith("/retire/"):
                continue  # takes no body, so none is read, and POST is what it says
            form = f"_method={smuggled}&_content_type=application/json&_content={{}}"
            answer = ask(
                "POST", path, form.encode(), Content_Type="application/x-www-form-urlencoded"
            )
            assert answer.status in (400, 403, 404, 405, 415), (path, answer.status, answer.text)


def test_strangers_see_neither_the_schema_nor_its_page(ask):
    for path in FOR_PEOPLE:
        for accept in ("*/*", "text/html", "application/vnd.oai.openapi+json"):
            answer = ask("GET", path, key=False, Accept=accept)
            assert answer.status in (401, 406)
        assert ask("GET", path).status == 403  # a key is no person
    for path in ("/swagger/", "/redoc/", "/openapi.json", "/schema/", "/api/", "/api-auth/login/",
                 "/static/", "/static/../inventory_project/settings.py", "/__debug__/",
                 "/.env", "/.git/config", "/media/"):  # fmt: skip
        assert ask("GET", path, key=False).status in (400, 404), path


def test_what_goes_wrong_is_told_without_its_insides(ask):
    """No list of addresses, no settings: DEBUG is off whatever the environment says."""
    for path in ("/nothing", "/api/nothing/", "/api/stores/%00/", "/api/orders/sales/x/y/z/"):
        for key in (True, False):
            answer = ask("GET", path, key=key)
            assert answer.status in (400, 401, 404)
            assert "urlpatterns" not in answer.text
            assert "DEBUG" not in answer.text
    answer = ask("GET", "/api/stores/", Host="evil.example")
    assert (answer.status, json.loads(answer.text)["code"]) == (400, "bad_request")


def test_without_tls_nothing_of_the_api_answers(ask):
    for path in addresses():
        answer = ask("GET", path, X_Forwarded_Proto="http")
        assert (answer.status, json.loads(answer.text)["code"]) == (403, "https_needed")
