"""The first page answers what head office asks in the morning, and asks nothing expensive."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests import make, office

pytestmark = pytest.mark.django_db


def cards_of(response):
    return {c["title"]: c["answer"] for c in response.context["cards"] if c["is_shown"]}


@pytest.fixture
def busy(lahore, karachi, tea):
    make.make_product("RICE")
    for store, sales in ((lahore, 2), (karachi, 1)):
        till = make.make_device(store)
        for _ in range(sales):
            till.post("/api/orders/sales/", make.sale("NOPE"))
    make.apply_all()
    make.make_device(karachi).post("/api/orders/sales/", make.sale("TEA"))


def test_the_cards_count_stores_products_and_what_is_parked(busy):
    answer = office.head_of_chain().get("/admin/")
    assert cards_of(answer) == {
        "Open stores": 2,
        "Products in use": 2,
        "Parked events": 3,
        "Oldest sale waiting": "0\xa0minutes",
    }
    assert "Unknown product 3" in office.text_of(answer)


def test_staff_of_a_store_is_told_of_that_store(busy, lahore):
    answer = office.sign_in(office.make_staff(lahore)).get("/admin/")
    cards = cards_of(answer)
    assert (cards["Open stores"], cards["Parked events"], cards["Oldest sale waiting"]) == (
        1, 2, "none",
    )  # fmt: skip


def test_somebody_without_permissions_is_told_nothing(busy, lahore):
    answer = office.sign_in(office.make_staff(lahore, permissions=[])).get("/admin/")
    assert cards_of(answer) == {}
    assert "Unknown product" not in office.text_of(answer)


def test_movements_and_levels_are_not_asked(busy):
    head = office.head_of_chain()
    with CaptureQueriesContext(connection) as queries:
        head.get("/admin/")
    asked = " ".join(q["sql"] for q in queries)
    assert "orders_saleevent" in asked
    assert "stock_movement" not in asked
    assert "stock_level" not in asked


def test_no_page_names_another_host(busy):
    head = office.head_of_chain()
    for page in ("/admin/", "/admin/catalog/product/add/", "/admin/stock/movementtwin/"):
        text = head.get(page).content.decode()
        assert not re.findall(r'(?:src|href|action)="(?:https?:)?//[^"]+"', text)


def test_a_wrong_turn_in_the_back_office_answers_with_a_page():
    head = office.head_of_chain()
    answer = head.get("/admin/catalog/nothing/")
    assert (answer.status_code, "There is no such page" in answer.content.decode()) == (404, True)
    staff = office.sign_in(office.make_staff(permissions=[]))
    answer = staff.get("/admin/catalog/product/")
    assert (answer.status_code, "not yours" in answer.content.decode()) == (403, True)
