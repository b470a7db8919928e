"""`/api/stock/levels/`: what stores have; a product that is not listed has none."""

import pytest

from tests import make
from tests.bad_input.doors import is_problem
from tests.make import apply_all, receive, sale

pytestmark = pytest.mark.django_db
LEVELS = "/api/stock/levels/"


@pytest.fixture
def shelves(lahore, karachi):
    drinks = make.make_category("Drinks")
    make.make_product("TEA", name="Tea 250 g", category=drinks)
    make.make_product("RICE", unit="kg")
    receive(lahore, "TEA", 10)
    receive(lahore, "RICE", 20)
    receive(karachi, "TEA", 30)


def told(answer):
    return [(r["store"], r["product"], r["quantity"]) for r in answer.body["results"]]


def test_level_tells_store_product_unit_and_quantity(till, shelves):
    assert till.get(LEVELS, product="TEA").body == {
        "results": [{
            "store": "LHR-01", "product": "TEA", "name": "Tea 250 g", "unit": "each",
            "quantity": 10, "updated_seq": 1,
        }],
        "next": None,
    }  # fmt: skip


def test_levels_are_filtered_by_store_product_and_category(head_office, shelves):
    everything = [("LHR-01", "TEA", 10), ("LHR-01", "RICE", 20), ("KHI-02", "TEA", 30)]
    for query, wanted in (
        ({}, everything), ({"store": "KHI-02"}, everything[2:]),
        ({"product": "TEA"}, [everything[0], everything[2]]),
        ({"category": "Drinks"}, [everything[0], everything[2]]),
        ({"store": "LHR-01", "category": "Drinks"}, everything[:1]),
        ({"store": "KHI-02", "product": "RICE"}, []),
    ):  # fmt: skip
        assert told(head_office.get(LEVELS, **query)) == wanted


def test_till_sees_its_own_store(till, shelves):
    assert told(till.get(LEVELS)) == [("LHR-01", "TEA", 10), ("LHR-01", "RICE", 20)]
    is_problem(till.get(LEVELS, store="KHI-02"), 404, "not_found")


def test_weighed_and_negative_levels_are_exact(till, shelves):
    till.post("/api/orders/sales/", sale("RICE", "20.750"))
    apply_all()
    assert told(till.get(LEVELS, product="RICE")) == [("LHR-01", "RICE", "-0.750")]


def test_levels_are_paged_and_the_cursor_keeps_its_filters(head_office, shelves):
    first = head_office.get(LEVELS, limit=2)
    cursor = first.body["next"]
    assert told(first)[-1] == ("LHR-01", "RICE", 20)
    assert told(head_office.get(LEVELS, limit=2, cursor=cursor)) == [("KHI-02", "TEA", 30)]
    is_problem(head_office.get(LEVELS, cursor=cursor, store="KHI-02"), 400, "bad_cursor")


@pytest.mark.parametrize("rows", [3, 30])
def test_list_costs_the_same_queries_whatever_its_length(
    till, lahore, django_assert_num_queries, rows
):
    for number in range(rows):
        make.make_product(f"P{number}")
        receive(lahore, f"P{number}", 1)
    with django_assert_num_queries(2):
        assert len(till.get(LEVELS).body["results"]) == rows
