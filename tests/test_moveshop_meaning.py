"""`manage.py moveshop`: what a shop sold means the same product in the chain, or it says so."""

import json

import pytest
from django.core.management import CommandError

from catalog.editing import Code
from catalog.merging import GivenSkusMet, OtherMeaning
from catalog.models import Product
from orders.models import SaleEvent
from orders.moving import Wish, move_shop
from stock.checking import check_ledger
from stock.models import Level, Movement
from stores.models import Store
from tests import make, shop
from tests.databases import unchanged
from tests.test_moveshop import move


@pytest.fixture(autouse=True)
def chain(settings):
    settings.IS_DATABASE_NAMED = True


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A shop whose Milk is P41 and whose Bread is P42; one of each sold, two of each waiting."""
    local = tmp_path_factory.mktemp("made")
    facts = shop.make_shop(local, sales=60)
    code = "import tests.shop_work as w; w.sell_numbered()"
    numbered = shop.manage(local, "shell", "-v", "0", "-c", code)
    assert numbered.returncode == 0, numbered.stderr
    return local, facts | json.loads(numbered.stdout)


@pytest.fixture
def facts(made):
    assert (made[1]["milk"], made[1]["bread"]) == ("P41", "P42")
    return made[1]


@pytest.fixture
def file(made, tmp_path):
    file = tmp_path / "shop.sqlite3"
    file.write_bytes((made[0] / "shop.sqlite3").read_bytes())
    return file


def levels():
    """The levels of the products that are in question."""
    rows = Level.objects.filter(product__sku__contains="P4").order_by("product__sku")
    return [(row.product.sku, row.product.name, row.quantity) for row in rows]


def test_numbers_that_only_happen_to_be_the_same_stop_the_move(committed, file, facts):
    make.make_product("P41", name="Soap", unit="litre"), make.make_product("P42", name="bread")
    before = file.read_bytes()
    with unchanged(), pytest.raises(GivenSkusMet) as refused:
        move_shop(file=file)
    assert refused.value.detail == (
        "The program numbered products here and there, and these are not the same: P41 (Milk in "
        "the shop, Soap in the chain). Where they are, give them the same name and unit. For the "
        "others call it with --rename-given-skus: they get SKUs of their own, and tills have to "
        "read the catalogue before they sell again."
    )
    with unchanged(), pytest.raises(CommandError, match=r"P41 \(Milk in the shop, Soap in "):
        move(file, "--dry-run")
    assert file.read_bytes() == before


def test_product_whose_number_is_anothers_gets_its_own_on_demand(committed, file, facts):
    """Bread is Bread in both; Milk is no Soap."""
    make.make_product("P41", name="Soap", unit="litre"), make.make_product("P42", name="bread")
    said = move(file, "--code", "LHR-01", "--rename-given-skus")
    cells = [[c.strip() for c in line.split("│")[1:-1]] for line in said.splitlines()]
    assert ["P41", "LHR-01-P41"] in cells
    assert levels() == [("LHR-01-P41", "Milk", -1), ("P42", "bread", -1)]
    waiting = SaleEvent.objects.filter(sku__contains="P4").values_list("sku", flat=True)
    assert sorted(waiting) == ["LHR-01-P41", "P42"]
    till = make.Api(facts["till"])
    for sent in facts["sent"]:  # as the till sent them, with the number of then
        answer = till.post("/api/orders/sales/", sent)
        assert (answer.status_code, answer.body["status"]) == (200, "duplicate")
    make.apply_all()
    assert levels() == [("LHR-01-P41", "Milk", -3), ("P42", "bread", -3)]
    milk = Movement.objects.filter(product__sku="LHR-01-P41").order_by("seq")
    assert [str(m.event_id) for m in milk] == [facts["sent"][n]["event_id"] for n in (0, 2)]
    for sent in facts["sent"]:
        assert till.post("/api/orders/sales/", sent).body["status"] == "duplicate"
    assert check_ledger().is_sound


def test_new_number_does_not_meet_another_product_either(committed, file):
    make.make_product("P41", name="Soap"), make.make_product("SHOP-P41", name="Rope")
    shop.write_file(file, "UPDATE catalog_product SET sku = 'SHOP-P41-2' WHERE sku = 'SKU-009'")
    assert move_shop(file=file, wish=Wish(renames=True)).renamed == {"P41": "SHOP-P41-3"}
    named = dict(Product.objects.filter(sku__contains="P41").values_list("sku", "name"))
    assert named == {
        "P41": "Soap", "SHOP-P41": "Rope", "SHOP-P41-2": "Product 9", "SHOP-P41-3": "Milk",
    }  # fmt: skip


def test_other_unit_under_the_same_name_is_another_product(committed, file):
    make.make_product("P41", name="Milk", unit="each")
    with unchanged(), pytest.raises(GivenSkusMet):
        move_shop(file=file)


def test_common_barcode_makes_numbered_products_the_same(committed, file):
    make.make_product("P42", name="Brown bread 400 g", barcodes=["BREAD"])
    move_shop(file=file)
    assert levels() == [("P41", "Milk", -1), ("P42", "Brown bread 400 g", -1)]


def test_number_that_nobody_knew_in_the_shop_is_not_sold_here(committed, file):
    """A till's slip: 77 is parked as unknown, and would be the chain's Soap."""
    shop.write_file(file, "UPDATE orders_saleevent SET sku = 'P77' WHERE sku = 'NOBODY-KNOWS'")
    make.make_product("P77", name="Soap")
    with unchanged(), pytest.raises(OtherMeaning) as refused:
        move_shop(file=file)
    assert refused.value.detail == (
        "Sales wait that would be counted to another product: P77 (no one product in the shop, "
        "P77 in the chain). Let the shop count them first (start it once) and dismiss what is "
        "parked there, or put it right."
    )


@pytest.mark.parametrize(
    ("make_ours", "here"),
    [
        (lambda: [make.make_product("SKU-003"), make.make_product("CARRIES", barcodes=["CODE3"])],
         "CARRIES"),
        (lambda: [make.make_product("SKU-003", barcodes=[Code("CODE3", 6)])], "SKU-003 * 6"),
        (lambda: [make.make_product("SKU-003")], "no one product"),
        (lambda: [make.make_product("CARRIES", barcodes=["CODE3"])], "no one product"),
    ],
    ids=["another", "units", "none", "both"],
)  # fmt: skip
@pytest.mark.parametrize("status", ["pending", "parked"])
def test_waiting_sale_by_a_code_of_another_product_stops_the_move(
    committed, file, make_ours, here, status
):
    sql = "UPDATE orders_saleevent SET status = ?, park_reason = 'failed' WHERE barcode = 'CODE3'"
    shop.write_file(file, sql, status)
    make_ours()
    before = file.read_bytes()
    with unchanged(), pytest.raises(OtherMeaning) as refused:
        move_shop(file=file)
    told = f"another product: CODE3 (SKU-003 in the shop, {here} in the chain). Let"
    assert told in refused.value.detail
    assert file.read_bytes() == before


def test_dismissed_sale_of_another_product_stops_nothing(committed, file):
    dismissed = "status = 'dismissed', dismiss_reason = 'x', dismissed_at = received_at"
    shop.write_file(file, f"UPDATE orders_saleevent SET {dismissed} WHERE barcode = 'CODE3'")
    make.make_product("SKU-003"), make.make_product("CARRIES", barcodes=["CODE3"])
    assert move_shop(file=file).is_new
    assert Store.objects.count() == 1


def test_waiting_sale_by_the_same_code_counts_here(committed, file):
    make.make_product("SKU-003", barcodes=["CODE3"])
    move_shop(file=file)
    before = make.level_of(Store.objects.get(), Product.objects.get(sku="SKU-003"))
    SaleEvent.objects.update(next_try_at=None)
    make.apply_all()
    after = make.level_of(Store.objects.get(), Product.objects.get(sku="SKU-003"))
    assert before - after == 12
