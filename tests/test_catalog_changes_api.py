"""`/api/catalog/changes/`: every change in order, none skipped, none twice."""

import pytest

from tests import make

pytestmark = pytest.mark.django_db
CHANGES = "/api/catalog/changes/"


def test_every_change_stands_in_the_feed_in_order(head_office, till):
    head_office.post("/api/catalog/categories/", {"name": "Tea"})
    head_office.post("/api/catalog/products/", {"sku": "A", "name": "Tea", "price": "1.5"})
    head_office.patch("/api/catalog/products/A/", {"name": "Green tea", "category": "Tea"})
    head_office.patch("/api/catalog/products/A/", {"name": "Green tea"})  # changes nothing
    head_office.post("/api/catalog/products/A/retire/")
    feed = till.get(CHANGES).body
    told = [(c["version"], c["subject"], c["key"], c["action"]) for c in feed["results"]]
    assert told == [
        (1, "category", "Tea", "created"), (2, "product", "A", "created"),
        (3, "product", "A", "changed"), (4, "product", "A", "retired"),
    ]  # fmt: skip
    assert (feed["last_version"], feed["more"]) == (4, False)
    assert feed["results"][2]["after"] == {
        "sku": "A", "name": "Green tea", "category": "Tea", "unit": "each", "price": "1.50",
        "negative_stock": "", "barcodes": [], "retired_at": None,
    }  # fmt: skip


def test_follower_gets_each_change_once(till):
    for number in range(5):
        make.make_product(f"P{number}")
    seen, after, more = [], 0, True
    while more:
        page = till.get(CHANGES, after=after, limit=2).body
        seen += [change["key"] for change in page["results"]]
        after, more = page["last_version"], page["more"]
    assert seen == ["P0", "P1", "P2", "P3", "P4"]
    assert till.get(CHANGES, after=after).body == {
        "results": [], "last_version": 5, "more": False,
    }  # fmt: skip


def test_follower_ahead_of_the_catalogue_is_told_where_it_ends(till, tea):
    """After a restore a till may know more than we do: it shall come back, not wait for ever."""
    assert till.get(CHANGES, after=99).body["last_version"] == 1


def test_refused_change_takes_no_version(head_office, till, tea):
    head_office.post("/api/catalog/products/", {"sku": "TEA", "name": "Twin"})
    make.make_product("B")
    assert [c["version"] for c in till.get(CHANGES).body["results"]] == [1, 2]


@pytest.mark.parametrize("rows", [3, 30])
def test_feed_costs_the_same_queries_whatever_its_length(till, django_assert_num_queries, rows):
    for number in range(rows):
        make.make_product(f"P{number:02}")
    with django_assert_num_queries(2):
        assert len(till.get(CHANGES).body["results"]) == rows
