"""Products from a file: first what would happen, then, if wanted, done; failed rows come back."""

import csv
import html
import io
import re

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.models import User
from catalog.models import Category, Product, ProductChange
from tests import make, office

pytestmark = pytest.mark.django_db

IMPORT = "/admin/catalog/product/import/"
HEADER = "sku,name,category,unit,price,barcodes\n"
MIXED = (
    HEADER + "TEA,Tea 500 g,,,130,\n" + "RICE,Basmati,Rice,kg,320.50,4006381333931 BAG*10\n"
    "BAD,=Bad price,Rice,kg,1x,\n"
).encode()


@pytest.fixture
def head():
    return office.head_of_chain()


def check(client, content, name="catalogue.csv"):
    return client.post(IMPORT, {"step": "check", "file": SimpleUploadedFile(name, content)})


def checked_of(response):
    found = re.search(r'name="checked" value="([^"]+)"', response.content.decode())
    return html.unescape(found.group(1))


def test_checking_tells_what_would_happen_and_changes_nothing(head, tea):
    before = ProductChange.objects.count()
    answer = check(head, MIXED)
    told = office.text_of(answer)
    assert "Would be created 1 Would be changed 1 Unchanged 0 Failed 1" in told
    assert "Nothing is changed yet" in told
    assert "4 price: must be a plain decimal number" in html.unescape(told)
    assert list(Product.objects.values_list("sku", "name")) == [("TEA", "Tea 250 g")]
    assert (ProductChange.objects.count(), Category.objects.count()) == (before, 0)


def test_confirming_imports_the_good_rows_in_the_name_of_the_person(head, tea):
    checked = checked_of(check(head, MIXED))
    answer = head.post(IMPORT, {"step": "import", "checked": checked})
    assert "Created 1 Changed 1 Unchanged 0 Failed 1" in office.text_of(answer)
    names = dict(Product.objects.values_list("sku", "name"))
    assert names == {"TEA": "Tea 500 g", "RICE": "Basmati"}
    rice = Product.objects.get(sku="RICE")
    assert [(b.code, b.units) for b in rice.barcodes.all()] == [("4006381333931", 1), ("BAG", 10)]
    noted = ProductChange.objects.filter(key__in=("TEA", "RICE"), actor__username="head")
    assert sorted(noted.values_list("key", "action")) == [("RICE", "created"), ("TEA", "changed")]


def test_confirming_twice_changes_nothing_more(head, tea):
    checked = checked_of(check(head, MIXED))
    head.post(IMPORT, {"step": "import", "checked": checked})
    before = ProductChange.objects.count()
    answer = head.post(IMPORT, {"step": "import", "checked": checked})
    assert "Created 0 Changed 0 Unchanged 2 Failed 1" in office.text_of(answer)
    assert ProductChange.objects.count() == before


def test_failed_rows_come_back_with_the_reason_and_without_formulas(head):
    checked = checked_of(check(head, MIXED))
    answer = head.post(IMPORT, {"step": "failed", "checked": checked})
    assert answer["Content-Disposition"] == 'attachment; filename="failed-rows.csv"'
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows[0] == ["reason", "sku", "name", "category", "unit", "price", "barcodes"]
    assert len(rows) == 2
    assert rows[1][0].startswith("line 4: price: must be a plain decimal number")
    assert rows[1][2] == "'=Bad price"
    assert not Product.objects.filter(sku="BAD").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "The submitted file is empty"),
        (b"sku,name\nA,B\n", "Column category is missing"),
        (HEADER.encode() + b"A,\xff,,,1,\n", "Line 2 is not UTF-8"),
        (HEADER.encode() + b"A,\x00,,,1,\n", "NUL character"),
        (b"x" * (5 * 1024 * 1024 + 1), "too large for the page"),
    ],
    ids=["empty", "columns", "utf8", "nul", "large"],
)
def test_a_file_that_is_none_is_answered_in_one_sentence(head, content, says):
    answer = check(head, content)
    assert (answer.status_code, says in office.text_of(answer)) == (200, True)
    assert not Product.objects.exists()


def test_only_what_this_person_had_checked_within_the_hour_is_imported(head):
    checked = checked_of(check(head, MIXED))
    other = office.head_of_chain("other")
    forged = ("", "x", checked[:-2] + "AA")
    for client, text in [*((head, text) for text in forged), (other, checked)]:
        answer = client.post(IMPORT, {"step": "import", "checked": text})
        assert "Choose the file again" in office.text_of(answer)
    with time_machine.travel("2199-01-01", tick=False):
        late = office.sign_in(User.objects.get(username="head"))
        answer = late.post(IMPORT, {"step": "import", "checked": checked})
    assert "Choose the file again" in office.text_of(answer)
    assert not Product.objects.exists()


def test_importing_is_for_head_office_with_the_permission():
    store = make.make_store()
    clerk = ["view_product", "add_product", "change_product"]
    for username, permissions, status in (
        ("store", clerk, 403),
        ("reader", ["view_product", "work_chain_wide"], 403),
        ("clerk", [*clerk, "work_chain_wide"], 200),
    ):
        user = office.make_staff(store, permissions=permissions, username=username)
        assert (username, check(office.sign_in(user), MIXED).status_code) == (username, status)
