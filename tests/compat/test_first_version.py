"""Version 1: one shop. Its addresses act on the store of the key."""

from decimal import Decimal

import pytest

from catalog import editing
from catalog.models import Category, Product, ProductChange
from stock.models import Movement
from tests import make
from tests.bad_input.doors import is_problem
from tests.databases import unchanged
from tests.make import level_of

pytestmark = pytest.mark.django_db


def add(api, product, quantity, word="add", **more):
    body = {"quantity": quantity, "movementtype": word, **more}
    return api.post(f"/addQuantity/{product.pk}", body)


def test_product_is_made_with_the_sku_that_its_id_says_and_told_once(head_office):
    answer = head_office.post("/addproduct", {"name": "Soap", "category": "Home"})
    product = Product.objects.get()
    assert (answer.status_code, answer.body) == (
        200,
        {
            "message": "Product added.",
            "product": {"id": product.pk, "name": "Soap", "category": "Home"},
        },
    )
    assert (product.sku, product.category.name, product.price) == (f"P{product.pk}", "Home", 0)
    told = ProductChange.objects.filter(subject="product").values_list("action", "key", "version")
    assert list(told) == [("created", f"P{product.pk}", product.version)]
    assert ProductChange.objects.get(subject="product").after["sku"] == product.sku


def test_category_is_made_once(head_office):
    for name in ("Soap", "Sponge"):
        head_office.post("/addproduct", {"name": name, "category": "Home"})
    assert [c.name for c in Category.objects.all()] == ["Home"]
    assert {p.category.name for p in Product.objects.all()} == {"Home"}
    versions = list(ProductChange.objects.order_by("version").values_list("version", flat=True))
    assert versions == [1, 2, 3]


def test_sku_that_somebody_took_is_passed_over(head_office, tea):
    make.make_product(f"P{tea.pk + 2}")
    answer = head_office.post("/addproduct", {"name": "Soap", "category": "Home"})
    number = answer.body["product"]["id"]
    assert number == tea.pk + 2
    assert Product.objects.get(pk=number).sku == f"P{number}-2"


def test_shops_key_adds_no_product_to_a_chain_but_to_a_shop(till, lahore, settings):
    body = {"name": "Soap", "category": "Home"}
    with unchanged():
        is_problem(till.post("/addproduct", body), 403, "permission_denied")
    settings.SHOP = True
    with unchanged():  # a key of the chain's day, which was not given this
        is_problem(till.post("/addproduct", body), 403, "scope_missing")
    of_shop = make.make_device(lahore)
    assert of_shop.post("/addproduct", body).status_code == 200
    assert make.Api().post("/addproduct", body).status_code == 401


def test_each_word_moves_stock_at_once_as_its_kind(till, lahore, tea):
    for word, quantity, balance in (("add", 24, 24), ("sales", 3, 21), ("remove", 0.25, 20.75)):
        answer = add(till, tea, quantity, word)
        assert answer.status_code == 200
        assert answer.body == {"message": "Stock updated.", "quantity": balance}
    kinds = Movement.objects.values_list("seq", "kind", "reason", "quantity", "amount")
    assert list(kinds) == [
        (1, "receipt", "", 24, None),
        (2, "sale", "", -3, None),
        (3, "waste", "other", Decimal("-0.25"), None),
    ]
    assert level_of(lahore, tea) == Decimal("20.75")
    assert set(Movement.objects.values_list("device__store", flat=True)) == {lahore.pk}


@pytest.mark.parametrize("word", ["sales", "remove"])
def test_not_enough_is_409_and_nothing_moves(till, lahore, tea, word):
    add(till, tea, 2)
    with unchanged():
        problem = is_problem(add(till, tea, 3, word), 409, "insufficient_stock")
    assert problem["message"] == problem["detail"] == "TEA: 3 asked, 2 available."
    assert (problem["available"], problem["asked"]) == (2, 3)
    assert problem["errors"][0]["pointer"] == "/quantity"


@pytest.mark.parametrize(
    ("product", "store", "chain", "status"),
    [
        ("", "", "refuse", 409), ("", "", "allow", 200), ("", "allow", "refuse", 200),
        ("refuse", "allow", "allow", 409), ("allow_and_flag", "refuse", "refuse", 200),
    ],
)  # fmt: skip
def test_sale_below_zero_obeys_the_policy_of_removals(settings, product, store, chain, status):
    settings.NEGATIVE_STOCK_OF_REMOVALS = chain
    settings.NEGATIVE_STOCK_OF_SALES = "allow"
    shop = make.make_store(negative_stock=store)
    tea = make.make_product(negative_stock=product)
    assert add(make.make_device(shop), tea, 1, "sales").status_code == status


def test_current_stock_is_that_of_the_keys_store(till, lahore, karachi, tea):
    path = f"/getCurrentStock/{tea.pk}"
    assert till.get(path).body == {"stock": [{"product_id": tea.pk, "quantity": 0}]}
    add(till, tea, 5)
    add(make.make_device(karachi), tea, 7)
    assert till.get(path).body == {"stock": [{"product_id": tea.pk, "quantity": 5}]}


def test_head_office_has_no_shop_here(head_office, tea):
    with unchanged():
        is_problem(add(head_office, tea, 1), 403, "permission_denied")
        is_problem(head_office.get(f"/getCurrentStock/{tea.pk}"), 403, "permission_denied")


def test_product_that_is_none_is_404(till):
    for number in ("999999", "0", "-1", "abc", "1.0", "٣", "9" * 19, "9" * 18):
        with unchanged():
            is_problem(till.get(f"/getCurrentStock/{number}"), 404, "not_found")
            body = {"quantity": 1, "movementtype": "add"}
            answer = is_problem(till.post(f"/addQuantity/{number}", body), 404, "not_found")
        assert answer["message"] == "There is no such product."


def test_retired_product_takes_no_more_movements(till, tea):
    editing.retire_product(tea)
    with unchanged():
        is_problem(add(till, tea, 1), 409, "retired")
