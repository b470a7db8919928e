"""A process dies at a named place, with real commits: nothing half, nothing twice, no lie."""

import pytest
from django.db import connection

from inventory_project import failpoints
from orders.models import SaleEvent
from tests.journal import accept, history, incoherences, levels, line, waiting
from tests.make import apply_all, receive


def test_death_before_the_insert_stores_nothing(committed, monkeypatch, lahore):
    def die():
        raise KeyboardInterrupt

    monkeypatch.setitem(failpoints.armed, "before_insert", die)
    sold = line()
    with pytest.raises(KeyboardInterrupt):
        accept(lahore, sold)
    assert waiting(lahore) == {}
    monkeypatch.delitem(failpoints.armed, "before_insert")
    assert accept(lahore, sold) == ["accepted"]


def test_death_after_the_commit_is_answered_by_the_retry(committed, monkeypatch, lahore, tea):
    def die():
        raise KeyboardInterrupt

    monkeypatch.setitem(failpoints.armed, "after_commit_before_answer", die)
    sold = line(units=2)
    with pytest.raises(KeyboardInterrupt):
        accept(lahore, sold)
    monkeypatch.delitem(failpoints.armed, "after_commit_before_answer")
    assert accept(lahore, sold) == ["duplicate"]
    apply_all()
    assert history(lahore) == [(1, "sale", "TEA", -2, -2)]


def test_nothing_is_answered_accepted_that_another_connection_cannot_see(committed, lahore):
    """The answer leaves after the commit: at the place between them the row is there."""
    sold, seen = line(), []
    connection.close()

    def look():
        other = connection.copy()
        with other.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM orders_saleevent")
            seen.append(cursor.fetchone()[0])
        other.close()

    failpoints.armed["after_commit_before_answer"] = look
    try:
        assert accept(lahore, sold) == ["accepted"]
    finally:
        del failpoints.armed["after_commit_before_answer"]
    assert seen == [1]


@pytest.mark.parametrize(
    "place", ["after_claim", "after_balance_row", "after_ledger_row", "before_apply_commit"]
)
def test_death_in_the_middle_is_as_if_nothing_had_happened(
    committed, monkeypatch, lahore, tea, place
):
    def die():
        raise KeyboardInterrupt

    receive(lahore, "TEA", 10)
    accept(lahore, line(units=3), line(units=4))
    monkeypatch.setitem(failpoints.armed, place, die)
    with pytest.raises(KeyboardInterrupt):
        apply_all()
    assert history(lahore) == [(1, "receipt", "TEA", 10, 10)]
    assert levels(lahore) == {"TEA": 10}
    assert [status for status, _ in waiting(lahore).values()] == ["pending", "pending"]
    assert set(SaleEvent.objects.values_list("attempts", flat=True)) == {0}
    monkeypatch.delitem(failpoints.armed, place)
    assert apply_all() == 2
    assert [row[4] for row in history(lahore)] == [10, 7, 3]
    assert incoherences() == []
