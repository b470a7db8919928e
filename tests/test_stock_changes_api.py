"""`/api/stock/changes/`: a store's movements in `seq` order; a follower misses none."""

import pytest

from tests import make
from tests.bad_input.doors import is_problem
from tests.make import apply_all, receive, sale

pytestmark = pytest.mark.django_db
CHANGES = "/api/stock/changes/"


def test_follower_gets_each_movement_once_in_order(till, lahore, karachi, tea):
    for units in (1, 2, 3, 4, 5):
        receive(lahore, "TEA", units)
        receive(karachi, "TEA", 100)
    seen, after, more = [], 0, True
    while more:
        page = till.get(CHANGES, after=after, limit=2).body
        seen += [(m["store"], m["seq"], m["balance_after"]) for m in page["results"]]
        after, more = page["last_seq"], page["more"]
    assert seen == [("LHR-01", n, sum(range(n + 1))) for n in range(1, 6)]
    assert till.get(CHANGES, after=after).body == {"results": [], "last_seq": 5, "more": False}


def test_late_sale_comes_last_in_the_feed(till, lahore, tea):
    receive(lahore, "TEA", 10)
    till.post("/api/orders/sales/", sale(occurred_at="2023-01-01T00:00:00Z"))
    apply_all()
    (late,) = till.get(CHANGES, after=1).body["results"]
    assert (late["seq"], late["kind"], late["quantity"], late["balance_after"]) == (
        2,
        "sale",
        -1,
        9,
    )


def test_follower_ahead_is_told_where_the_feed_ends(till, lahore, tea):
    assert till.get(CHANGES, after=7).body == {"results": [], "last_seq": 0, "more": False}
    receive(lahore, "TEA", 1)
    assert till.get(CHANGES, after=7).body["last_seq"] == 1


def test_head_office_says_which_store(head_office, lahore, tea):
    receive(lahore, "TEA", 1)
    is_problem(head_office.get(CHANGES), 400, "required")
    assert len(head_office.get(CHANGES, store="LHR-01").body["results"]) == 1


@pytest.mark.parametrize("rows", [3, 30])
def test_feed_costs_the_same_queries_whatever_its_length(
    till, lahore, django_assert_num_queries, rows
):
    for number in range(rows):
        make.make_product(f"P{number}")
        receive(lahore, f"P{number}", 1)
    with django_assert_num_queries(2):
        assert len(till.get(CHANGES).body["results"]) == rows
