"""Head office at work, in a real browser."""

import csv

import pytest

from catalog.models import Product
from orders.models import SaleEvent
from stock.models import Movement
from stores import registry
from stores.models import StoreKey
from tests import make

pytestmark = pytest.mark.browser


def pick(page, field, term):
    """Type into a type-ahead and take the first answer."""
    page.click(f".field-{field} .select2-selection")
    page.fill(".select2-search__field", term)
    page.click(f".select2-results__option:has-text('{term}')")


def test_a_product_with_a_barcode_is_added(office):
    make.make_category("Rice")
    page = office.page
    page.click("#nav-sidebar-apps >> text=Products")
    page.goto("/admin/catalog/product/add/")
    page.fill("[name=sku]", "RICE")
    page.fill("[name=name]", "Basmati 1 kg")
    page.fill("[name=price]", "320.50")
    pick(page, "category", "Rice")
    page.click("text=Add another Barcode")
    page.fill("[name=barcodes-0-code]", "4006381333931")
    page.click("[name=_save]")
    page.wait_for_selector("#result_list >> text=Basmati 1 kg")
    product = Product.objects.get(sku="RICE")
    assert (product.category.name, product.barcodes.get().code) == ("Rice", "4006381333931")


def test_a_movement_is_seen_and_the_list_filtered_by_store(office):
    lahore, karachi = make.make_store("LHR-01"), make.make_store("KHI-02")
    make.make_product("TEA", name="Tea 250 g")
    for store in (lahore, karachi):
        make.receive(store, "TEA", 10)
    page = office.page
    page.click("#nav-sidebar-apps >> text=Movements")
    page.wait_for_selector("#result_list")
    assert page.locator("#result_list .data-row").count() == 2
    page.click("a:has-text('Filters')")
    page.click(".select2-selection >> nth=0")
    page.fill(".select2-search__field", "LHR")
    page.click(".select2-results__option:has-text('LHR-01')")
    page.click("text=Apply Filters")
    page.wait_for_url("**store__id__exact=**")
    assert page.locator("#result_list .data-row").count() == 1
    page.click("#result_list .data-row a >> nth=0")
    page.wait_for_url(f"**/movementtwin/{lahore.pk}-1/change/**")
    assert page.locator("text=TEA Tea 250 g").count() >= 1


def test_a_parked_event_is_replayed_and_another_dismissed(office):
    store = make.make_store("LHR-01")
    till = make.make_device(store)
    for sku in ("RICE", "SOAP"):
        till.post("/api/orders/sales/", make.sale(sku))
    make.apply_all()
    make.make_product("RICE")
    page = office.page
    page.click("#nav-sidebar-apps >> text=Parked events")
    page.click("#result_list .data-row:has-text('RICE') >> text=Replay")
    page.click("button:has-text('Replay')")
    page.wait_for_selector("text=It is back in the queue")
    make.apply_all()
    assert Movement.objects.get().product.sku == "RICE"
    page.click("#result_list .data-row:has-text('SOAP') >> text=Dismiss")
    page.fill("[name=reason]", "training till")
    page.click("button:has-text('Dismiss')")
    page.wait_for_selector("text=It is dismissed and never counts")
    event = SaleEvent.objects.get()
    assert (event.status, event.dismiss_reason) == ("dismissed", "training till")


def test_a_key_is_issued_shown_once_and_revoked(office):
    make.make_store("LHR-01")
    page = office.page
    page.goto("/admin/stores/storekey/add/")
    page.fill("[name=name]", "Till 1")
    pick(page, "store", "LHR-01")
    page.click("[name=_save]")
    credential = page.inner_text("#credential")
    till = make.Api(credential)
    assert till.get("/api/stores/current/").status_code == 200
    page.click("text=I have copied it")
    page.click("#result_list >> text=Till 1")
    page.click("text=Revoke")
    page.click("button:has-text('Revoke')")
    page.wait_for_selector("text=is revoked")
    assert credential.partition(".")[2] not in page.content()
    assert StoreKey.objects.get().revoked_at is not None
    assert till.get("/api/stores/current/").status_code == 401


def test_the_audit_of_a_store_is_found_from_its_page_and_taken_away(office):
    store = make.make_store("LHR-01")
    make.make_store("KHI-02")
    registry.change_store(store, name="Renamed")
    page = office.page
    page.goto(f"/admin/stores/store/{store.pk}/change/")
    page.click("a[href$='/history/']")
    page.wait_for_url("**/auditentry/?object_type=store**")
    assert page.locator("#result_list .data-row").count() == 2
    with page.expect_download() as download:
        page.click("button:has-text('Export as CSV')")
    rows = list(csv.DictReader(download.value.path().open(encoding="utf-8-sig")))
    assert [row["action"] for row in rows] == ["store.changed", "store.registered"]
