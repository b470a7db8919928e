"""Staff of one store sees that store only: in lists, pages, filters, type-ahead and numbers."""

import pytest

from stores.models import StoreMember
from tests import make, office

pytestmark = pytest.mark.django_db

LISTS = {
    "/admin/stores/store/": 1,
    "/admin/stores/storekey/": 1,
    "/admin/stock/leveltwin/": 1,
    "/admin/stock/movementtwin/": 1,
    "/admin/orders/saleeventtwin/": 1,
    "/admin/orders/parkedevent/": 1,
}


@pytest.fixture
def two_stores(lahore, karachi, tea):
    """The same things have happened in both."""
    for store in (lahore, karachi):
        make.receive(store, "TEA", 10)
        make.make_device(store).post("/api/orders/sales/", make.sale("NOPE"))
    make.apply_all()
    return lahore, karachi


@pytest.fixture
def staff(two_stores):
    return office.sign_in(office.make_staff(two_stores[0]))


def type_ahead(client, app, model, field, term=""):
    return client.get(
        "/admin/autocomplete/",
        {"app_label": app, "model_name": model, "field_name": field, "term": term},
    )


def test_every_list_shows_the_own_store_only(staff):
    for page, rows in LISTS.items():
        answer = staff.get(page)
        assert (page, len(office.rows_of(answer))) == (page, rows)
        assert "Kiryana Karachi" not in answer.content.decode()


def test_head_office_staff_sees_all_of_it(two_stores):
    user = office.make_staff(permissions=[*office.EVERYTHING, "work_chain_wide"])
    client = office.sign_in(user)
    for page, rows in LISTS.items():
        assert (page, len(office.rows_of(client.get(page)))) == (page, 2 * rows)


def test_staff_of_no_store_sees_nothing(two_stores):
    client = office.sign_in(office.make_staff())
    for page in LISTS:
        assert (page, office.rows_of(client.get(page))) == (page, [])


def test_pages_of_a_foreign_store_answer_like_missing_ones(staff, two_stores, tea):
    _, karachi = two_stores
    event = karachi_event(karachi)
    pages = {
        f"/admin/stores/store/{karachi.pk}/change/",
        f"/admin/stores/storekey/{karachi.keys.get().pk}/change/",
        f"/admin/stock/leveltwin/{karachi.pk}-{tea.pk}/change/",
        f"/admin/stock/movementtwin/{karachi.pk}-1/change/",
        f"/admin/orders/saleeventtwin/{karachi.pk}-{event}/change/",
        f"/admin/orders/parkedevent/{karachi.pk}-{event}/change/",
    }
    for page in pages:
        answer = staff.get(page)
        assert (page, answer.status_code, answer.url) == (page, 302, "/admin/")
        assert "Kiryana Karachi" not in staff.get("/admin/").content.decode()


def karachi_event(karachi):
    rows = office.head_of_chain().get(
        "/admin/orders/parkedevent/", {"store__id__exact": karachi.pk}
    )
    return rows.context["cl"].result_list[0].event_id


def test_asking_for_a_foreign_store_in_a_filter_shows_neither_rows_nor_its_name(staff, two_stores):
    _, karachi = two_stores
    for page in list(LISTS)[1:]:
        answer = staff.get(page, {"store__id__exact": karachi.pk})
        assert (page, office.rows_of(answer)) == (page, [])
        assert "Kiryana Karachi" not in answer.content.decode()


def test_the_search_does_not_reach_into_a_foreign_store(staff, two_stores):
    _, karachi = two_stores
    event_id = karachi_event(karachi)
    for term in ("KHI-02", "Karachi", str(event_id)):
        for page in LISTS:
            assert (page, office.rows_of(staff.get(page, {"q": term}))) == (page, [])


def test_typing_a_store_offers_the_own_ones(staff):
    for app, model in (("stock", "movementtwin"), ("stock", "leveltwin"), ("stores", "storekey")):
        found = type_ahead(staff, app, model, "store").json()["results"]
        assert [row["text"] for row in found] == ["LHR-01 Kiryana Lahore"]
    assert type_ahead(staff, "stock", "movementtwin", "store", "KHI").json()["results"] == []


def test_typing_a_product_offers_products_to_those_who_may_see_them(staff, lahore):
    found = type_ahead(staff, "stock", "movementtwin", "product", "te").json()["results"]
    assert [row["text"] for row in found] == ["TEA Tea 250 g"]
    blind = office.sign_in(office.make_staff(lahore, permissions=["view_movement"], username="b"))
    assert type_ahead(blind, "stock", "movementtwin", "product").status_code == 403


def test_each_page_needs_its_permission(two_stores):
    client = office.sign_in(office.make_staff(two_stores[0], permissions=[]))
    for page in [*LISTS, "/admin/catalog/product/", "/admin/catalog/productchange/",
                 "/admin/accounts/user/", "/admin/auth/group/"]:  # fmt: skip
        assert (page, client.get(page).status_code) == (page, 403)


def test_a_person_who_is_not_staff_is_sent_to_the_log_in(two_stores):
    user = office.make_staff(two_stores[0])
    user.is_staff = False
    user.save()
    answer = office.sign_in(user).get("/admin/stock/movementtwin/")
    assert (answer.status_code, answer.url.partition("?")[0]) == (302, "/admin/login/")


def test_losing_a_store_counts_from_the_next_page_on(staff, two_stores):
    assert office.rows_of(staff.get("/admin/stock/movementtwin/"))
    StoreMember.objects.all().delete()
    assert office.rows_of(staff.get("/admin/stock/movementtwin/")) == []
