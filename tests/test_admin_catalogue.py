"""Head office keeps the catalogue: what the pages store, note and refuse."""

from decimal import Decimal

import pytest

from catalog.models import Category, Product, ProductChange
from tests import make, office

pytestmark = pytest.mark.django_db

PRODUCTS = "/admin/catalog/product/"
CATEGORIES = "/admin/catalog/category/"


def product_form(*barcodes, kept=0, **fields):
    """The form as a browser sends it; `barcodes` are (id, code, units)."""
    form = {
        "sku": "RICE", "name": "Basmati 1 kg", "category": "", "unit": "each", "price": "320.50",
        "negative_stock": "", "barcodes-TOTAL_FORMS": len(barcodes),
        "barcodes-INITIAL_FORMS": kept, "barcodes-MIN_NUM_FORMS": 0,
        "barcodes-MAX_NUM_FORMS": 1000,
    }  # fmt: skip
    for place, (pk, code, units) in enumerate(barcodes):
        form |= {
            f"barcodes-{place}-id": pk,
            f"barcodes-{place}-code": code,
            f"barcodes-{place}-units": units,
        }
    return form | fields


@pytest.fixture
def head():
    return office.head_of_chain()


def last_change():
    return ProductChange.objects.order_by("-version").first()


def test_a_product_is_made_with_its_barcodes_as_one_noted_change(head):
    tea = make.make_category("Rice")
    answer = head.post(
        f"{PRODUCTS}add/",
        product_form(("", "4006381333931", 1), ("", "CARTON-7", 12), category=tea.pk),
    )
    assert (answer.status_code, answer.url) == (302, PRODUCTS)
    product = Product.objects.get(sku="RICE")
    assert (product.name, product.price, product.category) == (
        "Basmati 1 kg",
        Decimal("320.5"),
        tea,
    )
    change = last_change()
    assert ProductChange.objects.filter(subject="product").count() == 1
    assert (change.version, change.action, change.actor.username) == (
        product.version,
        "created",
        "head",
    )
    assert change.after["barcodes"] == [
        {"code": "4006381333931", "units": 1},
        {"code": "CARTON-7", "units": 12},
    ]


def test_saving_a_change_notes_before_after_and_who(head):
    product = make.make_product("RICE", name="Rice", price="300", barcodes=["4006381333931"])
    barcode = product.barcodes.get()
    answer = head.post(
        f"{PRODUCTS}{product.pk}/change/",
        product_form((barcode.pk, "4006381333931", 6), kept=1, name="Rice", price="310"),
    )
    assert answer.status_code == 302
    change = last_change()
    assert (change.action, change.actor.username) == ("changed", "head")
    assert (change.before["price"], change.after["price"]) == ("300.00", "310.00")
    assert change.after["barcodes"] == [{"code": "4006381333931", "units": 6}]


def test_saving_without_a_change_makes_no_version(head):
    product = make.make_product("RICE", name="Rice", price="300")
    before = ProductChange.objects.count()
    head.post(f"{PRODUCTS}{product.pk}/change/", product_form(name="Rice", price="300.0000"))
    assert ProductChange.objects.count() == before
    assert Product.objects.get().version == product.version


def test_a_barcode_taken_out_of_the_form_is_gone(head):
    product = make.make_product("RICE", name="Rice", price="300", barcodes=["4006381333931", "X1"])
    first, second = product.barcodes.all()
    form = product_form(
        (first.pk, first.code, 1), (second.pk, second.code, 1), kept=2, name="Rice", price="300"
    )
    form["barcodes-0-DELETE"] = "on"
    assert head.post(f"{PRODUCTS}{product.pk}/change/", form).status_code == 302
    assert [b.code for b in product.barcodes.all()] == ["X1"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"sku": "A B"}, "may contain letters, digits"),
        ({"sku": ""}, "This field is required"),
        ({"price": "-1"}, "must not be negative"),
        ({"price": "1.23456"}, "no more than 4 decimal places"),
        ({"price": "1000000001"}, "must be at most 1000000000"),
        ({"price": "NaN"}, "Enter a number"),
        ({"price": ""}, "required"),
        ({"name": "Rice\u202e"}, "must not contain control characters"),
        ({"unit": "ton"}, "Select a valid choice"),
        ({"sku": "TAKEN"}, "already exists"),
    ],
)
def test_what_the_api_would_refuse_the_form_refuses_too(head, fields, says):
    make.make_product("TAKEN")
    before = ProductChange.objects.count()
    answer = head.post(f"{PRODUCTS}add/", product_form(**fields))
    assert answer.status_code == 200
    assert says in office.text_of(answer)
    assert (Product.objects.count(), ProductChange.objects.count()) == (1, before)


@pytest.mark.parametrize(
    ("barcodes", "says"),
    [
        ([("", "4006381333932", 1)], "wrong check digit"),
        ([("", "a b", 1)], "printable ASCII"),
        ([("", "X1", 0)], "from 1 to 10000"),
        ([("", "X1", 10_001)], "from 1 to 10000"),
        ([("", "012345678905", 1), ("", "0012345678905", 1)], "stands here twice"),
    ],
)
def test_a_barcode_no_scanner_could_use_is_refused(head, barcodes, says):
    answer = head.post(f"{PRODUCTS}add/", product_form(*barcodes))
    assert answer.status_code == 200
    assert says in office.text_of(answer)
    assert not Product.objects.exists()


def test_a_forged_post_cannot_change_the_sku(head):
    product = make.make_product("RICE", name="Rice", price="300")
    head.post(f"{PRODUCTS}{product.pk}/change/", product_form(sku="GOLD", name="R", price="300"))
    product.refresh_from_db()
    assert (product.sku, product.name) == ("RICE", "R")


def test_retiring_asks_first_and_restoring_brings_back(head):
    product = make.make_product("RICE")
    address = f"{PRODUCTS}{product.pk}/retire/"
    assert "Retire RICE Product RICE?" in office.text_of(head.get(address))
    product.refresh_from_db()
    assert product.retired_at is None
    assert head.post(address).status_code == 302
    product.refresh_from_db()
    assert product.retired_at is not None
    assert (last_change().action, last_change().actor.username) == ("retired", "head")
    head.post(f"{PRODUCTS}{product.pk}/restore/")
    product.refresh_from_db()
    assert product.retired_at is None
    assert last_change().action == "restored"


def test_selected_products_are_retired_one_noted_change_each(head):
    products = [make.make_product(sku) for sku in ("A", "B", "C")]
    head.post(
        PRODUCTS, {"action": "retire_selected", "_selected_action": [p.pk for p in products[:2]]}
    )
    assert list(Product.objects.active().values_list("sku", flat=True)) == ["C"]
    assert ProductChange.objects.filter(action="retired").count() == 2


@pytest.mark.parametrize("address", [PRODUCTS, CATEGORIES])
def test_nothing_of_the_catalogue_is_ever_deleted(head, address):
    product = make.make_product("RICE", category=make.make_category("Rice"))
    pk = product.pk if address == PRODUCTS else product.category_id
    assert head.post(f"{address}{pk}/delete/", {"post": "yes"}).status_code == 403
    head.post(address, {"action": "delete_selected", "_selected_action": [pk], "post": "yes"})
    assert (Product.objects.count(), Category.objects.count()) == (1, 1)


def test_categories_are_made_renamed_retired_and_restored_with_a_note_each(head):
    head.post(f"{CATEGORIES}add/", {"name": "Teas"})
    category = Category.objects.get()
    head.post(f"{CATEGORIES}{category.pk}/change/", {"name": "Tea"})
    head.post(f"{CATEGORIES}{category.pk}/retire/")
    head.post(f"{CATEGORIES}{category.pk}/restore/")
    category.refresh_from_db()
    assert (category.name, category.retired_at) == ("Tea", None)
    noted = ProductChange.objects.order_by("version").values_list("action", "actor__username")
    assert list(noted) == [
        ("created", "head"), ("changed", "head"), ("retired", "head"), ("restored", "head"),
    ]  # fmt: skip


def test_the_history_of_a_product_lists_its_changes_and_only_its(head):
    product = make.make_product("RICE")
    make.make_product("TEA")
    answer = head.get(f"{PRODUCTS}{product.pk}/history/", follow=True)
    rows = office.rows_of(answer)
    assert len(rows) == 1
    assert "RICE" in rows[0]


def test_the_history_is_read_only(head):
    make.make_product("RICE")
    change = last_change()
    address = f"/admin/catalog/productchange/{change.pk}/"
    assert '"name": "Product RICE"' in head.get(f"{address}change/").content.decode().replace(
        "&quot;", '"'
    )
    assert head.post(f"{address}change/", {"key": "X"}).status_code == 403
    assert head.post(f"{address}delete/", {"post": "yes"}).status_code == 403
    assert head.get("/admin/catalog/productchange/add/").status_code == 403


def test_a_product_is_found_by_sku_name_and_barcode(head):
    make.make_product("RICE", name="Basmati", barcodes=["012345678905"])
    make.make_product("TEA", name="Darjeeling")
    for term in ("RIC", "basm", "012345678905", "0012345678905"):
        assert [r.split()[0] for r in office.rows_of(head.get(PRODUCTS, {"q": term}))] == ["RICE"]


def test_staff_of_a_store_reads_the_catalogue_but_does_not_write_it():
    store = make.make_store()
    product = make.make_product("RICE", name="Rice", price="300")
    staff = office.sign_in(office.make_staff(store))
    assert staff.get(PRODUCTS).status_code == 200
    for address in (f"{PRODUCTS}add/", f"{PRODUCTS}{product.pk}/change/"):
        assert staff.post(address, product_form(sku="NEW")).status_code == 403
    assert staff.post(f"{PRODUCTS}{product.pk}/retire/").status_code == 403
    staff.post(PRODUCTS, {"action": "retire_selected", "_selected_action": [product.pk]})
    product.refresh_from_db()
    assert (Product.objects.count(), product.retired_at) == (1, None)
