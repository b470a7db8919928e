"""The policies of headers.py in a real browser: everything works and nothing foreign runs. The
fixture `office` fails for whatever the console says."""

import pytest

from tests import make

pytestmark = pytest.mark.browser
GOODS = b"""sku,name,category,unit,price,barcodes
TEA,Tea 250 g,,each,120,
BAD,Bad price,,each,1x,
"""
INJECTED = """() => new Promise(resolve => {
    document.addEventListener("securitypolicyviolation", e => resolve(e.violatedDirective));
    const script = document.createElement("script");
    script.textContent = "document.title = 'taken over'";
    document.head.append(script);
    setTimeout(() => resolve("it ran"), 2000);
})"""


def test_catalogue_is_imported_and_a_dialogue_opened(office):
    page = office.page
    page.goto("/admin/catalog/product/import/")
    page.set_input_files(
        "[type=file]", {"name": "goods.csv", "mimeType": "text/csv", "buffer": GOODS}
    )
    page.click("button:has-text('Check the file')")
    page.click("button:has-text('Import the good rows')")
    page.wait_for_selector("text=The good rows are in the catalogue")
    page.goto("/admin/stores/store/")
    page.click("a:has-text('Filters')")
    page.wait_for_selector("text=Apply Filters")


def test_description_of_the_api_is_opened_and_tried(office):
    make.make_store("LHR-01")
    page = office.page
    page.goto("/api/docs/")
    page.click("text=One store")
    page.click("button:has-text('Try it out')")
    page.fill("input[placeholder=code]", "LHR-01")
    page.click("button:has-text('Execute')")
    page.wait_for_selector("td.response-col_status:has-text('200')")


@pytest.mark.parametrize("path", ["/admin/", "/api/docs/"])
def test_script_that_somebody_got_into_the_page_does_not_run(office, path):
    page = office.page
    page.goto(path)
    assert page.evaluate(INJECTED) == "script-src-elem"
    assert page.title() != "taken over"
    assert len(office.wrong) == 1 and "Content Security Policy" in office.wrong.pop()
