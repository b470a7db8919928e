"""`/api/catalog/products/`: every caller reads, head office writes, a barcode means one product."""

import pytest

from catalog.editing import Code
from catalog.models import Product, ProductChange
from tests import make
from tests.bad_input.doors import is_problem
from tests.databases import unchanged

pytestmark = pytest.mark.django_db
PRODUCTS = "/api/catalog/products/"


def skus(answer):
    return [product["sku"] for product in answer.body["results"]]


def test_product_is_made_read_changed_and_retired(head_office, till):
    make.make_category("Tea")
    body = {
        "sku": "TEA-250", "name": "Tea 250 g", "category": "Tea", "unit": "each",
        "price": "249.5", "barcodes": [{"code": "2000000000015"}, {"code": "BOX", "units": 12}],
    }  # fmt: skip
    made = head_office.post(PRODUCTS, body)
    assert made.status_code == 201
    assert made.body == {
        "sku": "TEA-250", "name": "Tea 250 g", "category": "Tea", "unit": "each",
        "price": "249.50", "negative_stock": "",
        "barcodes": [{"code": "2000000000015", "units": 1}, {"code": "BOX", "units": 12}],
        "retired_at": None, "version": made.body["version"],
    }  # fmt: skip
    assert till.get(f"{PRODUCTS}TEA-250/").body == made.body
    changed = head_office.patch(f"{PRODUCTS}TEA-250/", {"price": "260", "barcodes": []})
    assert (changed.body["price"], changed.body["barcodes"]) == ("260.00", [])
    assert changed.body["version"] == made.body["version"] + 1
    retired = head_office.post(f"{PRODUCTS}TEA-250/retire/")
    assert retired.status_code == 200 and retired.body["retired_at"]
    again = head_office.post(f"{PRODUCTS}TEA-250/retire/")
    assert again.body["retired_at"] == retired.body["retired_at"]
    assert ProductChange.objects.filter(subject="product").count() == 3


def test_defaults_of_a_product_that_says_little(head_office):
    made = head_office.post(PRODUCTS, {"sku": "A", "name": " Rice "}).body
    assert (made["name"], made["unit"], made["price"], made["category"]) == (
        "Rice", "each", "0.00", None,
    )  # fmt: skip


def test_change_that_changes_nothing_makes_no_version(head_office, tea):
    before = head_office.get(f"{PRODUCTS}TEA/").body
    assert head_office.patch(f"{PRODUCTS}TEA/", {"name": tea.name, "sku": "TEA"}).body == before
    assert head_office.patch(f"{PRODUCTS}TEA/", {}).body == before
    assert ProductChange.objects.count() == 1


def test_sku_is_kept_for_ever(head_office, tea):
    with unchanged():
        is_problem(head_office.patch(f"{PRODUCTS}TEA/", {"sku": "COFFEE"}), 400, "fixed")


def test_sku_is_taken_once(head_office, tea):
    with unchanged():
        answer = head_office.post(PRODUCTS, {"sku": "TEA", "name": "Other"})
    assert is_problem(answer, 409, "sku_taken")["errors"][0]["pointer"] == "/sku"


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("category", "None such", "unknown_category"), ("unit", "box", "not_a_choice"),
        ("negative_stock", "maybe", "not_a_choice"), ("name", "n" * 251, "max_length"),
        ("sku", "a b", "sku_character"), ("sku", "a/b", "sku_character"),
        ("barcodes", [{"code": "2000000000014"}], "check_digit"),
        ("barcodes", [{"code": "a b"}], "not_a_barcode"),
    ],
)  # fmt: skip
def test_wrong_field_is_refused_by_name(head_office, field, value, code):
    body = {"sku": "A", "name": "Rice", field: value}
    with unchanged():
        problem = is_problem(head_office.post(PRODUCTS, body), 400, code)
    assert problem["errors"][0]["pointer"].startswith(f"/{field}")


def test_products_are_paged_in_order_of_sku(head_office, django_assert_num_queries):
    for number in range(7):
        make.make_product(f"P{number}")
    first = head_office.get(PRODUCTS, limit=3)
    assert skus(first) == ["P0", "P1", "P2"]
    make.make_product("P1A")  # behind the reader: shifts nobody's page
    make.make_product("P3A")
    second = head_office.get(PRODUCTS, limit=3, cursor=first.body["next"])
    assert skus(second) == ["P3", "P3A", "P4"]
    third = head_office.get(PRODUCTS, limit=3, cursor=second.body["next"])
    assert (skus(third), third.body["next"]) == (["P5", "P6"], None)
    assert skus(head_office.get(PRODUCTS, limit=8)) == skus(head_office.get(PRODUCTS))[:8]


def test_cursor_belongs_to_its_filters(head_office):
    make.make_category("Tea")
    for number in range(3):
        make.make_product(f"P{number}")
    cursor = head_office.get(PRODUCTS, limit=1).body["next"]
    for query in ({"category": "Tea"}, {"retired": "false"}):
        is_problem(head_office.get(PRODUCTS, cursor=cursor, **query), 400, "bad_cursor")
    is_problem(head_office.get("/api/stores/", cursor=cursor), 400, "bad_cursor")
    assert len(head_office.get(PRODUCTS, cursor=cursor, limit=5).body["results"]) == 2


def test_products_are_filtered(head_office):
    tea = make.make_category("Tea")
    make.make_product("A", category=tea)
    make.make_product("B")
    make.editing.retire_product(make.make_product("C", category=tea))
    assert skus(head_office.get(PRODUCTS, category="Tea")) == ["A", "C"]
    assert skus(head_office.get(PRODUCTS, retired="true")) == ["C"]
    assert skus(head_office.get(PRODUCTS, retired="false")) == ["A", "B"]
    assert skus(head_office.get(PRODUCTS, retired="false", category="Tea")) == ["A"]


def test_barcode_is_looked_up_in_every_length_of_gtin(till):
    make.make_product("A", barcodes=["2000000000015"])
    make.make_product("B", barcodes=[Code("BOX-12", 12)])
    for scanned in ("2000000000015", "02000000000015"):
        assert skus(till.get(PRODUCTS, barcode=scanned)) == ["A"]
    assert skus(till.get(PRODUCTS, barcode="BOX-12")) == ["B"]
    assert skus(till.get(PRODUCTS, barcode="box-12")) == []
    assert skus(till.get(PRODUCTS, barcode="2000000000022")) == []


def test_shared_barcode_is_409_with_the_candidates(till):
    make.make_product("B", barcodes=["SHARED"])
    make.make_product("A", barcodes=["SHARED"])
    problem = is_problem(till.get(PRODUCTS, barcode="SHARED"), 409, "ambiguous_barcode")
    assert problem["candidates"] == ["A", "B"]
    make.editing.retire_product(Product.objects.get(sku="B"))
    assert skus(till.get(PRODUCTS, barcode="SHARED")) == ["A"]


def test_missing_product_is_404(till, head_office):
    is_problem(till.get(f"{PRODUCTS}NOTHING/"), 404, "not_found")
    is_problem(head_office.patch(f"{PRODUCTS}NOTHING/", {"name": "A"}), 404, "not_found")
    is_problem(head_office.post(f"{PRODUCTS}NOTHING/retire/"), 404, "not_found")


@pytest.mark.parametrize("rows", [3, 30])
def test_list_costs_the_same_queries_whatever_its_length(till, django_assert_num_queries, rows):
    for number in range(rows):
        category = make.make_category(f"C{number}")
        make.make_product(f"P{number:02}", category=category, barcodes=[f"A{number}", f"B{number}"])
    with django_assert_num_queries(5):  # the key, the version twice, the products, their barcodes
        assert len(till.get(PRODUCTS).body["results"]) == rows
