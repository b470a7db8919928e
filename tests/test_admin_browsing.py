"""Levels, movements and sale events: found by what people know, never touched, never counted."""

import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders.models import SaleEvent, SaleEventTwin
from stock import ledger
from stock.models import Level, LevelTwin, Movement, MovementTwin
from tests import make, office

pytestmark = pytest.mark.django_db

LEVELS = "/admin/stock/leveltwin/"
MOVEMENTS = "/admin/stock/movementtwin/"
EVENTS = "/admin/orders/saleeventtwin/"
PARKED = "/admin/orders/parkedevent/"
PAGES = (LEVELS, MOVEMENTS, EVENTS, PARKED)


@pytest.fixture
def head():
    return office.head_of_chain()


@pytest.fixture
def chain(lahore, karachi, tea):
    """Two stores with the same product, the same numbers and the same event ids."""
    make.make_product("RICE", name="Basmati", barcodes=["4006381333931"])
    for store, units in ((lahore, 10), (karachi, 20)):
        lines = [
            ledger.Line(
                event_id=uuid.UUID(int=number), kind="receipt", sku=sku, quantity=units * 1000,
                occurred_at=datetime(2026, 3, 1, 6, tzinfo=UTC), receipt=f"GRN-{store.code}",
            )
            for number, sku in enumerate(("TEA", "RICE"), 1)
        ]  # fmt: skip
        ledger.move_by_hand(store=store, lines=lines, actor_id=None, device_id=None)
    return lahore, karachi


def tell(client, **fields):
    event = make.sale("NOPE", **fields)
    assert client.post("/api/orders/sales/", event).status_code == 202
    return event["event_id"]


def addresses_of(response):
    return set(re.findall(r'href="[^"]*/(\d+-[0-9a-f-]+)/change/', response.content.decode()))


@pytest.mark.parametrize(
    ("twin", "source"),
    [(LevelTwin, Level), (MovementTwin, Movement), (SaleEventTwin, SaleEvent)],
)
def test_a_twin_is_its_table_and_can_never_be_written_by_migrations(twin, source):
    columns = {f.column: f.db_type(connection) for f in source._meta.local_concrete_fields}
    assert (twin._meta.db_table, twin._meta.managed) == (source._meta.db_table, False)
    for field in twin._meta.local_concrete_fields:
        assert field.db_type(connection) == columns[field.column], field.name


def test_twins_bring_no_permission_to_write():
    for label in ("stock.LevelTwin", "stock.MovementTwin", "orders.SaleEventTwin"):
        meta = apps.get_model(label)._meta
        assert (tuple(meta.default_permissions), tuple(meta.permissions)) == ((), ())


def test_equal_numbers_in_two_stores_are_two_movements(head, chain):
    lahore, karachi = chain
    assert addresses_of(head.get(MOVEMENTS)) == {
        f"{store.pk}-{seq}" for store in chain for seq in (1, 2)
    }
    for store, units in ((lahore, "+10"), (karachi, "+20")):
        page = office.text_of(head.get(f"{MOVEMENTS}{store.pk}-1/change/"))
        assert f"Movement 1 of {store}" in page
        assert f"Quantity {units} On hand after {units[1:]}" in page


def test_the_same_product_in_two_stores_is_two_levels(head, chain, tea):
    lahore, karachi = chain
    assert {f"{store.pk}-{tea.pk}" for store in chain} <= addresses_of(head.get(LEVELS))
    for store, units in ((lahore, 10), (karachi, 20)):
        page = office.text_of(head.get(f"{LEVELS}{store.pk}-{tea.pk}/change/"))
        assert f"{tea} in {store}" in page
        assert f"On hand {units} each" in page


def test_equal_event_ids_in_two_stores_are_two_events(head, chain):
    event_id = make.new_id()
    for store, quantity in zip(chain, (3, 4), strict=True):
        tell(make.make_device(store), event_id=event_id, quantity=quantity)
    assert addresses_of(head.get(EVENTS)) == {f"{store.pk}-{event_id}" for store in chain}
    for store, quantity in zip(chain, (3, 4), strict=True):
        page = office.text_of(head.get(f"{EVENTS}{store.pk}-{event_id}/change/"))
        assert f"Sale of NOPE in {store}" in page
        assert f"Quantity {quantity} " in page


@pytest.mark.parametrize("page", PAGES)
def test_an_address_of_nothing_is_answered_like_a_missing_row(head, page):
    long = "9" * 20
    for address in ("1", "1-", "-1", "x-1", "1-x", f"1-{long}", f"{long}-1", "٣-1", "1-1"):
        answer = head.get(f"{page}{address}/change/")
        assert (address, answer.status_code, answer.url) == (address, 302, "/admin/")


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_added_changed_or_deleted_not_even_by_a_superuser(head, chain, page):
    event_id = tell(make.make_device(chain[0]))
    make.apply_all()  # parks it
    store = chain[0].pk
    rest = {LEVELS: Level.objects.filter(store=store).first().product_id, MOVEMENTS: 1}
    address = f"{page}{store}-{rest.get(page, event_id)}"
    before = everything_stored()
    forged = {"quantity": "999", "store": store, "seq": 1, "event_id": event_id, "sku": "X"}
    assert head.get(f"{address}/change/").status_code == 200
    assert head.post(f"{address}/change/", forged).status_code == 403
    assert head.post(f"{address}/delete/", {"post": "yes"}).status_code == 403
    assert head.post(f"{page}add/", forged).status_code == 403
    selected = {"action": "delete_selected", "_selected_action": [1, event_id], "post": "yes"}
    head.post(page, selected)
    assert everything_stored() == before


def everything_stored():
    return [sorted(map(str, model.objects.values_list())) for model in (Level, Movement, SaleEvent)]


@pytest.mark.parametrize("page", PAGES)
def test_no_list_counts_its_table(head, chain, page):
    tell(make.make_device(chain[0]))
    make.apply_all()
    with CaptureQueriesContext(connection) as queries:
        for query in ({}, {"q": "tea"}, {"q": "LHR-01"}, {"p": "2"}):
            head.get(page, query)
    asked = [q["sql"] for q in queries if "stock_" in q["sql"] or "orders_" in q["sql"]]
    assert asked
    assert not [sql for sql in asked if "COUNT(" in sql.upper()]


@pytest.mark.parametrize("page", PAGES)
def test_a_list_asks_the_same_number_of_questions_however_long_it_is(head, chain, page):
    till = make.make_device(chain[0])

    def count_queries():
        with CaptureQueriesContext(connection) as queries:
            assert office.rows_of(head.get(page))
        return len(queries)

    tell(till)
    make.apply_all()
    head.get(page)
    few = count_queries()
    for number in range(20):
        make.make_product(f"P{number}", category=make.make_category(f"C{number}"))
        make.receive(chain[0], f"P{number}", 1)
        tell(till)
    make.apply_all()
    assert count_queries() == few


def test_a_long_list_is_turned_page_by_page(head, chain):
    for _ in range(60):
        make.receive(chain[0], "TEA", 1)
    first, second = head.get(MOVEMENTS), head.get(MOVEMENTS, {"p": 2})
    assert (len(office.rows_of(first)), len(office.rows_of(second))) == (50, 14)
    assert not addresses_of(first) & addresses_of(second)
    assert "Next page" in office.text_of(first)
    assert "Next page" not in office.text_of(second)
    assert head.get(MOVEMENTS, {"p": 9_999}).status_code == 302


def test_pages_go_on_over_hours_and_days_without_a_gap_or_a_repeat(head, lahore, tea):
    for hours in (100, 50, 20, 10, 0.7, 0.2):
        with time_machine.travel(datetime.now(UTC) - timedelta(hours=hours), tick=False):
            for _ in range(22):
                make.receive(lahore, "TEA", 1)
    seen = []
    for page in (1, 2, 3):
        found = head.get(MOVEMENTS, {"p": page}).context["cl"].result_list
        seen += [movement.seq for movement in found]
    assert seen == list(range(132, 0, -1))


def test_movements_of_the_last_week_are_shown_and_more_on_request(head, chain):
    lahore, _ = chain
    with time_machine.travel(datetime.now(UTC) - timedelta(days=20), tick=False):
        make.receive(lahore, "TEA", 5)
    numbers = lambda **query: sorted(addresses_of(head.get(MOVEMENTS, query)))  # noqa: E731
    assert f"{lahore.pk}-3" not in numbers()
    assert f"{lahore.pk}-3" in numbers(store__id__exact=lahore.pk)
    day = (datetime.now(UTC) - timedelta(days=22)).date()
    assert numbers(recorded_at_from=day, recorded_at_to=day + timedelta(days=4)) == [
        f"{lahore.pk}-3"
    ]
    assert "Choose a store in Filters for its whole history" in office.text_of(head.get(MOVEMENTS))


def test_all_stores_together_are_shown_for_a_month_at_most(head, chain):
    lahore, _ = chain
    for days in (60, 40):
        with time_machine.travel(datetime.now(UTC) - timedelta(days=days), tick=False):
            make.receive(lahore, "TEA", 5)
    since = (datetime.now(UTC) - timedelta(days=62)).date()
    rows = addresses_of(head.get(MOVEMENTS, {"recorded_at_from": since}))
    assert rows == {f"{lahore.pk}-3", f"{lahore.pk}-4"}
    since = (datetime.now(UTC) - timedelta(days=99)).date()
    assert addresses_of(head.get(MOVEMENTS, {"recorded_at_from": since})) == set()


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("TEA", {"L1", "K1"}),
        ("tea 250", {"L1", "K1"}),
        ("4006381333931", {"L2", "K2"}),
        ("LHR-01", {"L1", "L2"}),
        ("GRN-KHI-02", {"K1", "K2"}),
        ("00000000-0000-0000-0000-000000000002", {"L2", "K2"}),
        ("nothing like it", set()),
        ("%", set()),
    ],
)
def test_a_movement_is_found_by_what_people_know_of_it(head, chain, term, found):
    lahore, karachi = chain
    expected = {f"{lahore.pk if f[0] == 'L' else karachi.pk}-{f[1]}" for f in found}
    assert addresses_of(head.get(MOVEMENTS, {"q": term})) == expected


def test_an_event_id_is_found_however_old_it_is(head, chain):
    with time_machine.travel(datetime.now(UTC) - timedelta(days=400), tick=False):
        make.receive(chain[0], "TEA", 5)
    event_id = Movement.objects.get(store=chain[0], seq=3).event_id
    assert addresses_of(head.get(MOVEMENTS, {"q": str(event_id)})) == {f"{chain[0].pk}-3"}


def test_levels_are_filtered_by_store_product_category_and_what_is_on_hand(head, lahore, tea):
    spice = make.make_category("Spice")
    salt = make.make_product("SALT", category=spice)
    make.receive(lahore, "TEA", 1)
    till = make.make_device(lahore)
    till.post("/api/orders/sales/", make.sale("SALT", 2))
    make.apply_all()
    rows = lambda **query: addresses_of(head.get(LEVELS, query))  # noqa: E731
    both = {f"{lahore.pk}-{tea.pk}", f"{lahore.pk}-{salt.pk}"}
    assert rows() == both
    assert rows(product__id__exact=tea.pk) == {f"{lahore.pk}-{tea.pk}"}
    assert rows(product__category__id__exact=spice.pk) == {f"{lahore.pk}-{salt.pk}"}
    assert rows(store__id__exact=lahore.pk, on_hand="below") == {f"{lahore.pk}-{salt.pk}"}
    assert rows(on_hand="below") == both  # of all stores no index answers that
    assert rows(q="salt") == {f"{lahore.pk}-{salt.pk}"}


def test_a_sale_event_is_found_by_sku_receipt_store_and_id(head, chain):
    lahore, karachi = chain
    one = tell(make.make_device(lahore), receipt="R-1")
    two = tell(make.make_device(karachi), receipt="R-2")
    rows = lambda term: addresses_of(head.get(EVENTS, {"q": term}))  # noqa: E731
    assert rows("NOPE") == {f"{lahore.pk}-{one}", f"{karachi.pk}-{two}"}
    assert rows("R-2") == {f"{karachi.pk}-{two}"}
    assert rows("lhr-01") == {f"{lahore.pk}-{one}"}
    assert rows(two) == {f"{karachi.pk}-{two}"}


ODD_QUESTIONS = [
    {"store__id__exact": "abc"}, {"store__id__exact": ""}, {"recorded_at_from": "yesterday"},
    {"recorded_at_to": "9999-12-31"}, {"recorded_at_from": "0001-01-01"}, {"q": "\x00"},
    {"q": "x" * 500}, {"o": "1.2"}, {"p": "-1"}, {"p": str(2**63 - 1)}, {"p": "9" * 30},
    {"all": ""}, {"product__id__exact": "9" * 30},
    {"quantity__nope": "1"}, {"status__exact": "nope"},
]  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_odd_questions_break_no_list(head, chain, page):
    for query in ODD_QUESTIONS:
        assert head.get(page, query).status_code in (200, 302, 400), query


def test_a_nul_in_any_parameter_is_refused_before_a_database_is_asked(
    head, django_assert_num_queries
):
    for path in (
        *(f"{page}?kind__exact=%00" for page in PAGES), f"{MOVEMENTS}?q=a%00b", f"{LEVELS}?%00=1",
        "/admin/autocomplete/?app_label=stores&model_name=storekey&field_name=store&term=%00",
        "/admin/catalog/product/?q=%00", "/admin/login/?next=%00", "/health/ready?%00",
        "/api/stores/?search=%00",
    ):  # fmt: skip
        with django_assert_num_queries(0):
            answer = head.get(path)
        assert (path, answer.status_code) == (path, 400)
        assert answer.json()["code"] == "control_character"
    assert head.get(f"{MOVEMENTS}?q=%2500").status_code == 200


def test_filters_let_people_type_instead_of_listing_all_products(head, chain):
    for page in (LEVELS, MOVEMENTS):
        text = head.get(page).content.decode()
        assert 'data-ajax--url="/admin/autocomplete/"' in text
        assert "Basmati</option>" not in text
