"""Statements that are planned once and committed together: all of them, or none."""

import pytest
from django.db import DatabaseError, connection

from inventory_project.rows import commit_planned, run_planned
from stores.models import StoresHead

ADD = (
    "INSERT INTO stores_storeshead (id, version, stamp) VALUES (%s, %s, %s) RETURNING id",
    [1, 7, 7],
)
# What each database, and what the driver itself, refuses.
WRONG = [
    ("SELECT no_such_column FROM stores_storeshead WHERE id = %s", [1]),
    (
        "INSERT INTO stores_storeshead (id, version, stamp) VALUES (%s, %s, %s) RETURNING id",
        [1, 8, 8],
    ),
    ("SELECT id FROM stores_storeshead WHERE id = %s", [object()]),
    ("SELECT id FROM stores_storeshead WHERE id = %s AND version = %s", [1]),
]


@pytest.mark.parametrize("wrong", WRONG, ids=["column", "key", "no value", "too few"])
@pytest.mark.parametrize("is_first", [True, False])
def test_one_that_fails_leaves_nothing_of_the_others(committed, wrong, is_first):
    statements = [wrong, ADD] if is_first else [ADD, wrong]
    with pytest.raises((DatabaseError, TypeError, ValueError)):
        commit_planned(connection, *statements)
    # The session is as good as before: its next statement is run, and committed.
    assert run_planned(connection, "SELECT count(*) FROM stores_storeshead", []) == [(0,)]
    commit_planned(connection, ADD, ("SELECT version FROM stores_storeshead", []))
    assert StoresHead.objects.get().version == 7
