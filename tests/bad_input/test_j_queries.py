"""A query that asks for what there is not is refused, never quietly answered as another."""

import base64
import json

import pytest

from tests import make
from tests.bad_input.doors import MARK, is_problem
from tests.databases import unchanged
from tests.make import sale

pytestmark = pytest.mark.django_db

DAYS = {"recorded_from": "2026-03-01", "recorded_to": "2026-03-02"}
# Every address that lists, and what head office has to say to get an answer.
LISTS = {
    "/api/stores/": {},
    "/api/catalog/products/": {},
    "/api/catalog/categories/": {},
    "/api/stock/levels/": {},
    "/api/stock/movements/": {"store": "LHR-01"},
    "/api/orders/sales/": {"store": "LHR-01"},
}
FEEDS = {"/api/catalog/changes/": {}, "/api/stock/changes/": {"store": "LHR-01"}}
SINGLE = {
    "/api/stores/current/": {}, "/api/stores/LHR-01/": {}, "/api/catalog/products/TEA/": {},
    "/api/catalog/categories/Tea/": {}, "/api/schema/": {}, "/api/docs/": {},
}  # fmt: skip
PATHS = pytest.mark.parametrize(("path", "query"), [*LISTS.items(), *FEEDS.items()])
EVERY_PATH = pytest.mark.parametrize(
    ("path", "query"), [*LISTS.items(), *FEEDS.items(), *SINGLE.items()]
)


@pytest.fixture
def office(lahore, tea):
    """Head office at the door; whatever it asks there, nothing changes."""
    make.make_category()
    api = make.make_head_office()
    with unchanged():
        yield api


def refuse(api, path, query, code="", status=400):
    is_problem(api.client.get(path, query, headers=api._headers()), status, code)


@EVERY_PATH
def test_lists_answer_to_what_these_tests_spoil(office, path, query):
    assert office.client.get(path, query, headers=office._headers()).status_code == 200


@PATHS
def test_94_limit_that_no_page_has_is_refused(office, path, query):
    for limit in ("1000000000", "0", "-1", "1001", "1.5", "1e2", "", " 5", "５", "9" * 5_000, MARK):
        refuse(office, path, query | {"limit": limit})


@PATHS
def test_94_pages_by_number_or_offset_are_refused(office, path, query):
    for name in ("page_size", "page", "offset", "per_page", "start"):
        for value in ("1", "1000000000", "1000000000000"):
            refuse(office, path, query | {name: value}, "unknown_parameter")


def encode(content):
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


@pytest.mark.parametrize(("path", "query"), LISTS.items())
def test_94_cursor_that_is_none_is_refused(office, path, query):
    garbage = [
        MARK, "", "=", "%%%", "a" * 1_001, "a" * 999, "é", encode(b"\xff\xfe"), encode({}),
        encode([]), encode(None), encode(7), encode("x"), encode(["x"]), encode([[], "x", 1]),
        encode(b"[" * 700), encode(["' OR 1=1 --", 1]),
    ]  # fmt: skip
    for cursor in garbage:
        refuse(office, path, query | {"cursor": cursor})


@pytest.fixture
def filled(lahore, tea):
    """Two rows in every list, so that a first page of one has a next."""
    make.make_category()
    make.make_product("RICE", category=make.make_category("Rice"))
    make.make_store("KHI-02")
    for sku in ("TEA", "RICE"):
        make.receive(lahore, sku, 5)
        make.make_device(lahore).post("/api/orders/sales/", sale("NOBODY-KNOWS"))
    api = make.make_head_office()
    with unchanged():
        yield api


FORGED = [
    None, True, False, [], {}, "", "\0", "\ud800", "a" * 500, 1.5, -1, 2**63, 10**30, 1e308,
    float("nan"), float("inf"), "2026-03-01", "2026-03-01T00:00:00", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00", "٣", "1e5", "' OR 1=1 --", "{}", MARK,
]  # fmt: skip


@pytest.mark.parametrize(("path", "query"), LISTS.items())
def test_94_forged_place_in_a_cursor_is_refused_or_a_page(filled, path, query):
    """The digest of the filters is no secret: whoever forges one gets a page of theirs, or 400."""
    cursor = filled.get(path, **query, limit=1).body["next"]
    digest, *values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    for place in range(len(values)):
        for value in FORGED:
            forged = encode([digest, *values[:place], value, *values[place + 1 :]])
            answer = filled.get(path, **query, limit=1, cursor=forged)
            assert answer.status_code in (200, 400), (value, answer.content)
    for wrong in ([digest], [digest, *values, 1], [digest, *values[1:]], ["0" * 12, *values]):
        refuse(filled, path, query | {"limit": "1", "cursor": encode(wrong)}, "bad_cursor")


@pytest.mark.parametrize("path", FEEDS)
def test_94_place_in_a_feed_that_is_none_is_refused(office, path):
    query = FEEDS[path]
    for after in ("-1", "1.5", "1e3", "", "９", str(2**63), "9" * 5_000, "1000000000000 ", MARK):
        refuse(office, path, query | {"after": after})
    # Beyond the end is an empty page, not an error: a follower may be ahead of a restored copy.
    for after in ("1000000000000", str(2**63 - 1)):
        assert office.get(path, **query, after=after).body["results"] == []


@EVERY_PATH
def test_95_order_filter_and_path_into_other_tables_are_refused(office, path, query):
    for name, value in (
        ("ordering", "password"), ("order_by", "-price"), ("sort", "name"),
        ("filter", "store__keys__secret_sha256__startswith"), ("store__keys__name", "till"),
        ("pk", "1"), ("sku__regex", "(a+)+$"), ("fields", "secret_sha256"), ("expand", "keys"),
        ("format", "api"), ("version", "2\r\nSet-Cookie: a=b"), ("lang", "../../etc"), (MARK, "1"),
    ):  # fmt: skip
        refuse(office, path, query | {name: value}, "unknown_parameter")


@EVERY_PATH
def test_96_search_for_nul_or_thousands_of_words_is_refused(office, path, query):
    refuse(office, path, query | {"search": "\0"}, "control_character")
    for search in ("a" * 200, " ".join(["word"] * 1_000)):
        refuse(office, path, query | {"search": search}, "unknown_parameter")


@PATHS
def test_96_nul_and_surrogates_in_a_parameter_are_refused(office, path, query):
    for name in ("store", "product", "category", "barcode", "kind", "status", "cursor", "retired"):
        for value in ("\0", f"{MARK}\0"):
            refuse(office, path, query | {name: value})


@PATHS
def test_96_parameter_given_twice_or_empty_is_refused(office, path, query):
    refuse(office, path, query | {"limit": ["1", "2"]}, "given_twice")
    for name in query:
        refuse(office, path, query | {name: ["LHR-01", "KHI-02"]}, "given_twice")
    for name in ("store", "product", "category", "retired", "status", "kind", "from"):
        refuse(office, path, query | {name: ""})


def test_96_store_of_five_thousand_digits_is_404(office):
    for path in (
        f"/api/stores/{'9' * 5_000}/", f"/api/catalog/products/{'9' * 5_000}/",
        f"/api/catalog/categories/{'9' * 5_000}/", "/api/stores/%00/",
        "/api/catalog/products/TEA%00/", "/api/catalog/categories/%00/", "/api/stores/%FF%FE/",
        "/api/catalog/products/%ED%A0%80/", "/api/stores/..%2F/", "/api/stores/LHR-01%0A/",
        "/api/catalog/products/%E2%80%8BTEA/",
    ):  # fmt: skip
        refuse(office, path, {}, "not_found", status=404)
        is_problem(office.patch(path, {"name": "X"}), 404, "not_found")
        is_problem(office.post(f"{path}retire/"), 404, "not_found")


@pytest.mark.parametrize(
    "event_id",
    ["9" * 5_000, "%00", "not-a-uuid", "00000000-0000-0000-0000-000000000000", "%ED%A0%80",
     "{0192f0c1-7d3a-7c3e-9b1a-0242ac120002}", "0192f0c17d3a7c3e9b1a0242ac120002"],
)  # fmt: skip
def test_96_sale_of_no_id_is_404(office, event_id):
    path = f"/api/orders/sales/{event_id}/"
    refuse(office, path, {"store": "LHR-01"}, "not_found", status=404)
    is_problem(office.post(f"{path}replay/?store=LHR-01"), 404, "not_found")
    answer = office.post(f"{path}dismiss/?store=LHR-01", {"reason": "None such."})
    is_problem(answer, 404, "not_found")


def test_filters_of_no_known_word_are_refused(office):
    for path, query in (
        ("/api/catalog/products/", {"retired": MARK}), ("/api/catalog/products/", {"retired": "1"}),
        ("/api/catalog/products/", {"barcode": "a b"}), ("/api/stores/", {"retired": "yes"}),
        ("/api/catalog/categories/", {"retired": "True"}),
        ("/api/stock/movements/", {"store": "LHR-01", "kind": MARK}),
        ("/api/orders/sales/", {"store": "LHR-01", "status": MARK}),
    ):  # fmt: skip
        refuse(office, path, query, "validation")
    for path, query in (
        ("/api/catalog/products/", {"category": MARK}), ("/api/stock/levels/", {"product": MARK}),
        ("/api/stock/levels/", {"category": MARK}), ("/api/stock/levels/", {"store": MARK}),
        ("/api/stock/movements/", {"store": MARK}), ("/api/stock/changes/", {"store": MARK}),
        ("/api/orders/sales/", {"store": MARK}),
    ):  # fmt: skip
        refuse(office, path, query, "not_found", status=404)
