"""What stands in an address must come back as it was: no slash, no `.` and no `..`."""

import io

import pytest

from catalog.importing import import_catalog
from catalog.models import Category, Product
from tests import make, office
from tests.bad_input.doors import is_problem
from tests.databases import unchanged
from tests.test_admin_catalogue import product_form

pytestmark = pytest.mark.django_db

CATEGORIES, PRODUCTS = "/api/catalog/categories/", "/api/catalog/products/"
DOTS = pytest.mark.parametrize("sku", [".", "..", " .. "])
NAMES = pytest.mark.parametrize(
    "name", ["Tea/retire", "Fruit/Vegetables", "/", "/Tea", "Tea/", "..", "."]
)
SENTENCE = "must not contain / and not be . or .."


@NAMES
def test_api_refuses_the_name_for_a_category(head_office, name):
    make.make_category("Tea")
    with unchanged():
        is_problem(head_office.post(CATEGORIES, {"name": name}), 400, "not_an_address")
        is_problem(head_office.patch(f"{CATEGORIES}Tea/", {"name": name}), 400, "not_an_address")


@NAMES
def test_back_office_refuses_the_name_for_a_category(name):
    tea, head = make.make_category("Tea"), office.head_of_chain()
    for page in ("add", f"{tea.pk}/change"):
        answer = head.post(f"/admin/catalog/category/{page}/", {"name": name})
        assert answer.status_code == 200
        assert f"This {SENTENCE}." in office.text_of(answer)
    assert [category.name for category in Category.objects.all()] == ["Tea"]


def load(*rows):
    header = "sku,name,category,unit,price,barcodes"
    return import_catalog(io.StringIO("\n".join([header, *rows])))


@NAMES
def test_import_refuses_the_name_for_a_category(name):
    report = load(f"TEA,Tea,{name},,,", "RICE,Rice,Dry goods,,,")
    assert [str(row) for row in report.failed] == [f"line 2: category: {SENTENCE}"]
    assert [category.name for category in Category.objects.all()] == ["Dry goods"]
    assert not Product.objects.filter(sku="TEA").exists()


@DOTS
def test_api_refuses_the_sku_for_a_product(head_office, sku):
    with unchanged():
        answer = head_office.post(PRODUCTS, {"sku": sku, "name": "Dots"})
    is_problem(answer, 400, "not_an_address")


@DOTS
def test_back_office_refuses_the_sku_for_a_product(sku):
    answer = office.head_of_chain().post("/admin/catalog/product/add/", product_form(sku=sku))
    assert answer.status_code == 200
    assert "This must not be . or ..." in office.text_of(answer)
    assert not Product.objects.exists()


@DOTS
def test_import_refuses_the_sku_for_a_product(sku):
    report = load(f"{sku},Dots,,,,")
    assert [str(row) for row in report.failed] == ["line 2: sku: must not be . or .."]
    assert not Product.objects.exists()


def test_dots_within_an_sku_are_fine(head_office):
    for sku in ("...", "A.B", ".A"):
        assert head_office.post(PRODUCTS, {"sku": sku, "name": "Dots"}).status_code == 201
        assert head_office.get(f"{PRODUCTS}{sku}/").body["sku"] == sku


def test_a_category_called_like_a_verb_is_a_category(head_office):
    head_office.post(CATEGORIES, {"name": "retire"})
    assert head_office.post(f"{CATEGORIES}retire/retire/").body["retired_at"] is not None
    assert head_office.get(f"{CATEGORIES}retire/").body["name"] == "retire"


def test_till_may_tell_of_a_sale_of_any_sku(till):
    """What was sold was sold: it waits for somebody who knows what it is."""
    event = make.sale("..")
    assert till.post("/api/orders/sales/", event).status_code == 202
    make.apply_all()
    assert till.get(f"/api/orders/sales/{event['event_id']}/").body["status"] == "parked"
