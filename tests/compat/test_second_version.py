"""Version 2: one catalogue, many stores, and the history of their stock."""

import json
import re
from datetime import timedelta

import pytest
from django.utils import timezone as clock

from catalog.models import Product, ProductChange
from stores import registry
from stores.models import Store
from tests import make
from tests.bad_input.doors import is_problem
from tests.compat.calls import put
from tests.databases import unchanged
from tests.make import level_of

pytestmark = pytest.mark.django_db


def test_product_has_an_exact_price(head_office):
    written = '{"name": "Rice", "price": 1234567.8901}'
    answer = head_office.send("post", "/createProduct", written)
    product = Product.objects.get()
    assert answer.status_code == 200
    assert answer.body == {
        "message": "Product added.",
        "product": {"id": product.pk, "name": "Rice", "price": 1234567.8901},
    }
    assert b'"price":1234567.8901}' in answer.content
    assert (product.sku, str(product.price)) == (f"P{product.pk}", "1234567.8901")
    assert ProductChange.objects.get().after["price"] == "1234567.8901"


def test_all_products_are_told_whole(till):
    make.make_product("TEA", name="Tea", price="449.50")
    for number in range(120):
        make.make_product(f"A{number}", name=str(number), price="10")
    answer = till.get("/allProducts")
    assert (answer.status_code, answer.body["status"]) == (200, "success")
    products = answer.body["data"]["products"]
    assert [p["name"] for p in products] == ["Tea", *map(str, range(120))]
    assert products[0] == {"id": Product.objects.get(sku="TEA").pk, "name": "Tea", "price": 449.5}
    assert [p["price"] for p in products[1:]] == [10] * 120


def test_lists_ask_the_database_the_same_for_one_row_as_for_many(
    till, head_office, lahore, django_assert_num_queries
):
    for number in range(5):
        make.make_product(f"A{number}")
        make.make_store(f"S-{number}")
        make.receive(lahore, f"A{number}", 1)
    for path in ("/allProducts", "/allStores", "/api/product/products", "/api/store/stores"):
        with django_assert_num_queries(4):  # the key, the version twice, the rows
            assert head_office.get(path).status_code == 200
    with django_assert_num_queries(3):
        assert len(till.get(f"/stock/store/{lahore.pk}").body["result"]) == 5
    with django_assert_num_queries(2):
        assert len(till.get("/stockMovement").body) == 5


def test_store_is_made_with_the_code_that_its_id_says(head_office):
    answer = head_office.post("/addStore", {"name": "Multan", "address": "Fort Road"})
    store = Store.objects.get()
    assert (answer.status_code, answer.body) == (
        200,
        {
            "message": "Store added.",
            "store": {"id": store.pk, "name": "Multan", "address": "Fort Road"},
        },
    )
    assert (store.code, store.timezone, store.currency) == (f"S{store.pk}", "Asia/Karachi", "PKR")
    assert head_office.get(f"/api/stores/S{store.pk}/").status_code == 200


def test_code_that_somebody_took_is_passed_over(head_office, lahore):
    make.make_store(f"S{lahore.pk + 2}")
    answer = head_office.post("/addStore", {"name": "Multan", "address": ""})
    number = answer.body["store"]["id"]
    assert number == lahore.pk + 2
    assert Store.objects.get(pk=number).code == f"S{number}-2"


def test_all_stores_are_those_of_the_caller(till, head_office, lahore, karachi):
    own = {"id": lahore.pk, "name": "Kiryana Lahore", "address": ""}
    other = {"id": karachi.pk, "name": "Kiryana Karachi", "address": ""}
    assert till.get("/allStores").body == {"stores": [own]}
    assert head_office.get("/allStores").body == {"stores": [own, other]}


def test_stock_of_a_store(till, head_office, lahore, karachi, tea):
    rice = make.make_product("RICE", unit="kg")
    path = f"/stock/store/{lahore.pk}"
    assert till.get(path).body == {"result": []}
    make.receive(lahore, "RICE", 50)
    make.receive(lahore, "TEA", 24)
    make.receive(karachi, "TEA", 7)
    put(till, f"/stock/{lahore.pk}/{rice.pk}", quantity=0.125, movementtype="sales")
    for api in (till, head_office):
        answer = api.get(path)
        assert (answer.status_code, answer.body) == (
            200,
            {
                "result": [
                    {"store_id": lahore.pk, "product_id": tea.pk, "quantity": 24},
                    {"store_id": lahore.pk, "product_id": rice.pk, "quantity": 49.875},
                ]
            },
        )
    assert b'"quantity":24}' in answer.content


def test_put_moves_and_tells_the_new_quantity(till, head_office, lahore, tea):
    path = f"/stock/{lahore.pk}/{tea.pk}"
    for api, word, balance in ((till, "add", 10), (head_office, "sales", 0), (till, "add", 10)):
        answer = put(api, path, quantity=10, movementtype=word)
        assert answer.status_code == 200
        assert answer.body == {"result": {"message": "Stock updated.", "newQuantity": balance}}
    with unchanged():
        is_problem(put(till, path, quantity=11, movementtype="remove"), 409, "insufficient_stock")
    assert level_of(lahore, tea) == 10


def test_retired_store_takes_no_more_movements(head_office, lahore, tea):
    registry.retire_store(lahore)
    with unchanged():
        answer = put(head_office, f"/stock/{lahore.pk}/{tea.pk}", quantity=1, movementtype="add")
    assert is_problem(answer, 409, "retired")["message"] == (
        "Store LHR-01 is retired and takes no new movements."
    )


# --- the history ----------------------------------------------------------------------------


@pytest.fixture
def history(till, lahore, tea):
    """Five movements, told today; 24 packets came on the first of March."""
    make.receive(lahore, "TEA", 24)
    for word in ("sales", "remove", "add", "sales"):
        assert put(till, f"/stock/{lahore.pk}/{tea.pk}", quantity=2, movementtype=word)
    return [1, 2, 3, 4, 5]


def ids(answer):
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.body]


def test_history_tells_movements_in_their_earlier_words(till, lahore, tea, history):
    rows = till.get("/stockMovement", storeId=lahore.pk).body
    words = [(row["movementtype"], row["quantity"]) for row in rows]
    assert words == [("add", 24), ("sales", 2), ("remove", 2), ("add", 2), ("sales", 2)]
    assert rows[0].keys() == {
        "id", "store_id", "product_id", "movementtype", "quantity", "created_at", "event_id",
    }  # fmt: skip
    assert (rows[0]["store_id"], rows[0]["product_id"]) == (lahore.pk, tea.pk)
    assert rows[0]["created_at"] == "2026-03-01T06:00:00Z"


def test_kinds_that_the_earlier_versions_did_not_know_are_add_or_remove(till, tea):
    till.post("/api/stock/movements/", make.movement("return", quantity=3))
    till.post("/api/stock/movements/", make.movement("adjustment", quantity=-1))
    rows = till.get("/stockMovement").body
    assert [(row["movementtype"], row["quantity"]) for row in rows] == [("add", 3), ("remove", 1)]


def test_next_page_is_in_the_link(till, lahore, history):
    link, pages = f"/stockMovement?storeId={lahore.pk}&limit=2", []
    while link:
        answer = till.get(link)
        pages.append(ids(answer))
        found = re.fullmatch(r'<(.+)>; rel="next"', answer.get("Link", ""))
        assert found or "Link" not in answer
        link = found and found[1]
    assert pages == [[1, 2], [3, 4], [5]]


def test_page_that_ends_with_the_last_movement_has_no_link(till, history):
    assert "Link" not in till.get("/stockMovement", limit=5)


def test_days_are_half_open_in_the_stores_zone(till, head_office, lahore, history):
    today = clock.now()
    until = {"to": (today - timedelta(days=1)).date().isoformat()}
    assert ids(till.get("/stockMovement", **until)) == [1]
    assert ids(till.get("/stockMovement", **{"from": until["to"]})) == [2, 3, 4, 5]
    days = {"from": "2026-03-01", "to": "2026-03-02", "storeId": lahore.pk}
    assert ids(head_office.get("/stockMovement", **days)) == [1]
    instants = {"from": "2026-03-01T11:00:00+05:00", "to": "2026-03-01T11:00:00.001+05:00"}
    assert ids(till.get("/stockMovement", **instants)) == [1]
    assert ids(till.get("/stockMovement", **{"to": "2026-03-01T06:00:00Z"})) == []


def test_filters_stay_in_the_link(till, lahore, history):
    filters = {"from": "2026-03-01T11:00:00+05:00", "limit": 2}
    link = till.get("/stockMovement", **filters)["Link"]
    assert link == (
        '</stockMovement?from=2026-03-01T11%3A00%3A00%2B05%3A00&limit=2&after=2>; rel="next"'
    )
    assert ids(till.get(link[1 : link.index(">")])) == [3, 4]


def test_history_by_post_has_its_filters_in_address_or_body(till, lahore, history):
    assert ids(till.post("/stockMovement")) == [1, 2, 3, 4, 5]
    assert ids(till.post(f"/stockMovement?storeId={lahore.pk}&to=2026-03-02")) == [1]
    body = {"storeId": lahore.pk, "from": "2026-03-01", "to": "2026-03-02"}
    assert ids(till.post("/stockMovement", body)) == [1]
    answer = till.post("/stockMovement?limit=1", {"storeId": lahore.pk})
    assert answer["Link"] == (f'</stockMovement?storeId={lahore.pk}&limit=1&after=1>; rel="next"')


@pytest.mark.parametrize(
    ("query", "pointer", "code"),
    [
        ("from=2026-03-02&to=2026-03-02", "?from", "empty_range"),
        ("from=yesterday", "?from", "not_an_instant"),
        ("to=2026-03-02T10:00:00", "?to", "not_an_instant"),
        ("from=", "?from", "blank"), ("limit=0", "?limit", "out_of_range"),
        ("after=-1", "?after", "not_a_number"), ("store=LHR-01", "", "unknown_parameter"),
        ("from=2026-03-01&from=2026-03-02", "?from", "given_twice"),
    ],
)  # fmt: skip
def test_wrong_filters_are_400(till, query, pointer, code):
    for method in ("get", "post"):
        problem = is_problem(till.send(method, f"/stockMovement?{query}", b""), 400)
        found = [(e["pointer"], e["code"]) for e in problem["errors"]]
        assert found == [(pointer, code)]
        assert problem["message"] == problem["detail"]


def test_wrong_filters_of_a_body_are_400(till, lahore):
    path = "/stockMovement"
    for body, pointer, code in (
        ({"storeId": "x"}, "/storeId", "not_an_id"), ({"from": 5}, "/from", "not_text"),
        ({"limit": 5}, "/limit", "unknown_field"),
    ):  # fmt: skip
        problem = is_problem(till.post(path, body), 400)
        assert [(e["pointer"], e["code"]) for e in problem["errors"]] == [(pointer, code)]
    twice = till.post(f"{path}?storeId={lahore.pk}", {"storeId": lahore.pk})
    is_problem(twice, 400, "given_twice")
    chunked = {"Transfer-Encoding": "chunked"}
    is_problem(till.send("post", path, b"", headers=chunked), 411, "length_required")
    is_problem(till.send("post", path, json.dumps([])), 400, "not_an_object")


def test_head_office_says_which_store(head_office):
    problem = is_problem(head_office.get("/stockMovement"), 400, "required")
    assert problem["errors"][0]["pointer"] == "?storeId"


def test_list_tells_each_price_as_when_it_was_made(head_office):
    prices = ["0", "12", "12.5", "0.0001", "1200", "99999999.9999"]
    made = [
        head_office.post("/createProduct", {"name": f"P {price}", "price": price}).body["product"]
        for price in prices
    ]
    answer = head_office.send("get", "/allProducts", b"")
    assert answer.body["data"]["products"] == made
    assert b'"price":99999999.9999' in answer.content  # a float would have lost a digit
