"""The stores and products the example till client registers, dirt in the files included."""

from decimal import Decimal

import pytest

from catalog.models import Product
from examples.iowa.masters import is_gtin, mend_text, read_masters
from stores.models import Store
from tests.iowa.till import PRODUCTS, run, write_csv


def test_stores_are_registered_without_leading_zeros_and_closed_ones_retired(
    data, url, key, worker
):
    run(data, url, key)
    stores = {s.code: s for s in Store.objects.all()}
    assert set(stores) == {"2190", "10003", "4000"}
    assert stores["4000"].retired_at is not None
    assert stores["2190"].retired_at is None
    assert stores["10003"].name == "NEW STORE / AMES"
    assert stores["2190"].address == "1460 2ND AVE, DES MOINES, IA, 50314"
    assert (stores["2190"].timezone, stores["2190"].currency) == ("America/Chicago", "USD")


def test_products_get_clean_names_and_only_right_barcodes(data, url, key, worker):
    done = run(data, url, key)
    products = {p.sku: p for p in Product.objects.all()}
    codes = {
        sku: [(b.code, b.units) for b in p.barcodes.order_by("units")]
        for sku, p in products.items()
    }
    assert codes == {
        "100": [("036000291452", 1), ("10036000291459", 12)],
        "200": [],  # a wrong check digit, and an item number where a case code belongs
        "300": [],  # a case of none
    }
    assert products["200"].name == "CR?ME  BANANE"
    assert (products["200"].price, products["200"].unit) == (Decimal(45), "each")
    assert products["200"].category.name == "VODKA"
    assert products["300"].category is None
    assert "2 texts mended, 3 codes left out as no GTIN" in done.stderr


@pytest.mark.parametrize(
    ("code", "right"),
    [
        ("036000291452", True),
        ("036000291453", False),
        ("10036000291459", True),
        ("96385074", True),
        ("979986", False),
        ("0", False),
        ("", False),
        ("\u0660\u0663\u0666\u0660\u0660\u0660\u0662\u0669\u0661\u0664\u0665\u0662", False),
    ],
)
def test_gtin_check_digit(code, right):
    assert is_gtin(code) is right


def test_mending_leaves_letters_of_any_script_alone():
    assert mend_text("  CÎROC 30° \u200bAÑEJO\tX ") == "CÎROC 30°  AÑEJO X"


def test_slash_in_a_category_is_mended_because_its_name_is_an_address(data):
    odd = ["400", "COCKTAILS/RTD", "READY TO DRINK", "0", "", "", "5.00"]
    write_csv(data / "products.csv.gz", [*PRODUCTS, odd])
    masters = read_masters(data, "2022-11-01")
    assert masters.products[-1]["category"] == "COCKTAILS RTD"
    assert masters.categories == [{"name": "COCKTAILS RTD"}, {"name": "VODKA"}]
