"""HTTP as it should not be: refused with a word, nothing stored, and others are still answered."""

import gzip
import json
import urllib.request

import pytest

from tests import make, routes
from tests.bad_input import raw
from tests.bad_input.doors import MARK, is_problem
from tests.databases import hash_tables, unchanged
from tests.make import sale
from tests.web import running_web

in_process = pytest.mark.django_db


@in_process
def test_68_form_body_is_415(door):
    body = "sku=TEA&quantity=1&name=Rice"
    for content_type in (
        "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/plain", "",
        f"application/{MARK}", "application/json-patch+json", "a" * 20_000,
    ):  # fmt: skip
        door.refuses(body, 415, "unsupported_media_type", content_type=content_type)
        door.refuses(door.make_body(), 415, content_type=content_type)


@in_process
def test_69_xml_is_415(door):
    for content_type in ("application/xml", "text/xml", "application/soap+xml"):
        door.refuses("<sale><sku>TEA</sku></sale>", 415, content_type=content_type)


@in_process
def test_70_packed_body_is_415_and_never_unpacked(door):
    bomb = gzip.compress(b" " * 10_000_000)
    for encoding in ("gzip", "deflate", "br", "gzip, identity", MARK):
        door.refuses(bomb, 415, headers={"Content-Encoding": encoding})
        door.refuses(door.make_body(), 415, headers={"Content-Encoding": encoding})


@in_process
def test_71_body_without_length_is_411(door):
    door.refuses(b"", 411, "length_required", headers={"Transfer-Encoding": "chunked"})


@in_process
@pytest.mark.parametrize("length", ["-1", "1e3", "abc", "９", "1_0"])
def test_71_length_that_is_no_number_is_refused(till, length):
    with unchanged():
        answer = till.send("post", "/api/orders/sales/", json.dumps(sale()), CONTENT_LENGTH=length)
    assert answer.status_code in (400, 411)


@in_process
@pytest.mark.parametrize(("method", "route"), routes.api_routes())
def test_74_address_of_eight_kilobytes_is_414(head_office, method, route):
    path = routes.fill_in(route, code="LHR-01", sku="TEA", name="Tea", event_id=make.new_id())
    with unchanged():
        answer = head_office.send(method.lower(), f"{path}?store={'a' * 8_192}", b"{}")
    is_problem(answer, 414, "address_too_long")


@in_process
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1@evil.example", "a b", "", "[::1"])
def test_76_bad_host_is_400(till, host):
    for method, path in (("get", "/api/stores/"), ("post", "/api/orders/sales/")):
        with unchanged():
            answer = till.send(method, path, json.dumps(sale()), headers={"Host": host})
        is_problem(answer, 400, "bad_request")


@in_process
def test_77_method_that_a_door_does_not_take_is_405(head_office, till):
    known = {}
    for method, route in routes.api_routes():
        known.setdefault(route, set()).add(method)
    before = hash_tables()
    for route, methods in known.items():
        path = routes.fill_in(route, code="LHR-01", sku="TEA", name="Tea", event_id=make.new_id())
        others = {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", MARK} - methods
        for method in sorted(others):
            for api in (head_office, till):
                answer = api.client.generic(
                    method, path, b"{}", content_type="application/json", headers=api._headers()
                )
                is_problem(answer, 405, "method_not_allowed")
                assert set(answer["Allow"].split(", ")) >= methods
    assert hash_tables() == before


@in_process
@pytest.mark.parametrize(
    ("method", "route"),
    # The documentation is the one page there is.
    [(method, route) for method, route in routes.api_routes() if route != "/api/docs/"],
)
def test_78_page_is_never_served_where_json_is(head_office, method, route):
    path = routes.fill_in(route, code="LHR-01", sku="TEA", name="Tea", event_id=make.new_id())
    for accept in ("text/html", "application/xml", f"text/{MARK}", "image/*;q=0.8"):
        with unchanged():
            answer = head_office.send(method.lower(), path, b"{}", headers={"Accept": accept})
        is_problem(answer, 406, "not_acceptable")


@in_process
@pytest.mark.parametrize("accept", ["", "*/*", "application/*", "text/html, */*;q=0.1", ";;,/"])
def test_78_whoever_takes_json_too_gets_json(till, accept):
    answer = till.client.get(
        "/api/stores/", headers=till._headers() | ({"Accept": accept} if accept else {})
    )
    if accept == ";;,/":
        is_problem(answer, 406, "not_acceptable")
    else:
        assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")


@in_process
def test_79_body_on_get_is_never_used(till, lahore, tea):
    make.receive(lahore, "TEA", 5)
    body = json.dumps({"product": "NOTHING", "store": "KHI-02", "limit": 1})
    for path in ("/api/stock/levels/", "/api/stock/movements/", "/api/catalog/products/TEA/"):
        with unchanged():
            answer = till.client.generic(
                "GET", path, body, content_type="application/json", headers=till._headers()
            )
        assert answer.status_code == 200
        assert answer.json() == till.get(path).body


@in_process
def test_address_without_its_slash_is_404_and_no_redirect(till, tea):
    """A client that follows would GET the list, and take its 200 for an answer to the sale."""
    with unchanged():
        is_problem(till.post("/api/orders/sales", sale()), 404, "not_found")


# --- over real HTTP -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def web(django_db_setup):
    with running_web(GRANIAN_HTTP1_HEADER_READ_TIMEOUT="1000") as url:
        yield url


@pytest.fixture
def at_the_door(committed, web):
    """(address, headers of a till as text); the server answers and stored nothing afterwards."""
    store = make.make_store()
    make.make_product()
    credential = make.make_device(store).credential
    before = hash_tables()
    yield web, f"Authorization: Api-Key {credential}\nContent-Type: application/json"
    assert hash_tables() == before
    assert answers(web)


def answers(url):
    with urllib.request.urlopen(f"{url}/health/live", timeout=10) as answer:
        return answer.status == 200


SALES = "POST /api/orders/sales/ HTTP/1.1"


def event_bytes():
    return json.dumps(sale()).encode()


def in_chunks(body):
    return f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"


def problem_in(answer, status, code):
    assert answer[0] == status, answer
    head, _, body = answer[1].partition("\r\n\r\n")
    assert "content-type: application/problem+json" in head.lower()
    assert f'"code":"{code}"' in body


def test_real_sale_is_taken_where_the_others_are_refused(committed, web):
    credential = make.make_device(make.make_store()).credential
    body = event_bytes()
    head = f"{SALES}\nAuthorization: Api-Key {credential}\nContent-Type: application/json"
    assert raw.talk(web, f"{head}\nContent-Length: {len(body)}", body)[0] == 202


def test_69_70_71_over_real_http(at_the_door):
    url, headers = at_the_door
    body = event_bytes()
    length = f"Content-Length: {len(body)}"
    xml = headers.replace("/json", "/xml")
    problem_in(raw.talk(url, f"{SALES}\n{xml}\n{length}", body), 415, "unsupported_media_type")
    packed = gzip.compress(b" " * 10_000_000)
    answer = raw.talk(
        url, f"{SALES}\n{headers}\nContent-Encoding: gzip\nContent-Length: {len(packed)}", packed
    )
    problem_in(answer, 415, "unsupported_media_type")
    chunked = f"{SALES}\n{headers}\nTransfer-Encoding: chunked"
    problem_in(raw.talk(url, chunked, in_chunks(body)), 411, "length_required")
    problem_in(raw.talk(url, f"{SALES}\n{headers}"), 400, "parse_error")


def test_72_length_too_large_is_refused_before_the_body_comes(at_the_door):
    url, headers = at_the_door
    for length in (2_000_000, 99_999_999_999, 10**30):
        raw.is_refused(raw.talk(url, f"{SALES}\n{headers}\nContent-Length: {length}"))
    two_megabytes = b" " * 2_000_000
    answer = raw.talk(url, f"{SALES}\n{headers}\nContent-Length: 2000000", two_megabytes)
    raw.is_refused(answer)


def test_72_two_lengths_or_none_that_is_a_number_are_refused(at_the_door):
    url, headers = at_the_door
    body = event_bytes()
    for lengths in (
        f"Content-Length: 5\nContent-Length: {len(body)}", "Content-Length: abc",
        "Content-Length: -1", f"Content-Length: {len(body)}, {len(body) + 1}",
    ):  # fmt: skip
        raw.is_refused(raw.talk(url, f"{SALES}\n{headers}\n{lengths}", body))


def test_73_length_and_chunks_at_once_are_refused_and_closed(at_the_door):
    url, headers = at_the_door
    body = event_bytes()
    smuggled = in_chunks(body) + f"{SALES}\r\n{headers}\r\n\r\n".encode()
    for lengths in (
        f"Content-Length: {len(in_chunks(body))}\nTransfer-Encoding: chunked",
        f"Transfer-Encoding: chunked\nContent-Length: {len(body)}",
        f"Content-Length: {len(body)}\nTransfer-Encoding: xchunked",
    ):
        raw.is_refused(raw.talk(url, f"{SALES}\n{headers}\n{lengths}", smuggled))


def test_74_76_77_over_real_http(at_the_door):
    url, headers = at_the_door
    for size in (8_192, 80_000):
        assert raw.talk(url, f"GET /api/stores/?a={'a' * size} HTTP/1.1\n{headers}")[0] == 414
    body = event_bytes()
    length = f"Content-Length: {len(body)}"
    assert raw.talk(url, f"{SALES}\n{headers}\nHost: evil.example\n{length}", body)[0] == 400
    for method in ("TRACE", "CONNECT", "BREW"):
        raw.is_refused(raw.talk(url, f"{method} /api/orders/sales/ HTTP/1.1\n{headers}"))


def test_75_two_hundred_headers_are_refused(at_the_door):
    url, headers = at_the_door
    body = event_bytes()
    many = "\n".join(f"X-Header-{n}: {n}" for n in range(200))
    head = f"{SALES}\n{headers}\n{many}\nContent-Length: {len(body)}"
    raw.is_refused(raw.talk(url, head, body))


def test_80_headers_that_never_end_are_closed(at_the_door):
    url, _ = at_the_door
    with raw.connect(url) as slow:
        slow.sendall(f"{SALES}\r\n".encode())
        raw.is_refused(raw.read_answer(slow))


def test_80_bodies_that_never_end_store_nothing_and_others_are_answered(at_the_door):
    url, headers = at_the_door
    body = event_bytes()
    head = f"{SALES}\nHost: 127.0.0.1\n{headers}\nContent-Length: {len(body)}".replace("\n", "\r\n")
    longer = head.replace(str(len(body)), str(len(body) + 1))
    slow = [raw.connect(url) for _ in range(2)]
    slow[0].sendall(head.encode() + b"\r\n\r\n" + body[:-1])
    slow[1].sendall(longer.encode() + b"\r\n\r\n" + body)
    assert answers(url)
    for line in slow:
        line.close()
