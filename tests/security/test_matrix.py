"""Every caller at every address and method, about what is theirs, somebody else's, or missing.

What each shall be answered stands in table.py. Refusals change nothing, and what is refused as
somebody else's is told byte for byte like what is not there.
"""

import re

import pytest
from django.db import transaction

from tests import databases
from tests.security import cast, table

CALLERS, ROWS = table.read_table()
ROUTES = cast.all_routes()
# The back office and two probes are Django's plain functions, which take any method like a GET.
API_ROUTES = [r for r in ROUTES if not r.startswith(("/admin/", "/health/"))]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
OPEN = ("/api/schema/", "/api/docs/")


def rows_of(route):
    return [row for row in ROWS if row.route == route]


def test_every_address_and_method_has_a_declared_row_and_no_other_has():
    declared = sorted((row.route, row.method) for row in ROWS)
    known = sorted((route, method) for route in ROUTES for method in cast.methods_of(route))
    assert declared == known


def test_every_row_has_a_cell_for_each_target_there_is():
    for row in ROWS:
        assert tuple(row.cells) == cast.targets_of(row.method, row.route), row


def test_the_cast_is_that_of_the_table(stage):
    assert list(stage.callers) == CALLERS
    assert len(CALLERS) >= 9


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.usefixtures("pages_unwritten", "stage")
def test_each_caller_is_answered_as_declared(stage, route, record_property):
    cells = [
        (row, caller, target)
        for row in rows_of(route) for target in row.cells for caller in CALLERS
    ]  # fmt: skip
    wrong, refusals = [], {}
    is_written = any(row.method != "GET" for row in rows_of(route))
    before = databases.hash_tables() if is_written else None
    # First what is refused, for all of which together the tables must be as they were.
    for row, caller, target in sorted(cells, key=lambda cell: cell[0].expect(*cell[1:]) < 300):
        expected = row.expect(caller, target)
        if expected < 300 and before:
            assert databases.hash_tables() == before, "a refusal changed something"
            before = None
        savepoint = transaction.savepoint()
        answer = cast.ask(stage, caller, row.method, route, target)
        if expected >= 400:
            transaction.savepoint_commit(savepoint)
        else:
            transaction.savepoint_rollback(savepoint)
        if answer.status_code != expected:
            wrong.append((row.method, caller, target, answer.status_code, expected))
        if answer.status_code >= 300:
            refusals[row.method, caller, target] = read(stage, answer)
    record_property("cells", (len(cells) - len(wrong), len(cells)))
    assert wrong == []
    assert find_differences(refusals) == []


def read(stage, answer):
    """What a refusal tells, without the ids that its caller sent."""
    told = f"{answer.status_code} {answer.get('Location', '')} {answer.content.decode()}"
    for place in stage.places.values():
        told = told.replace(place.event, "ID").replace(place.code, "CODE")
    return re.sub(r"/\d+(?=[/-])|(?<=object_id=)\d+", "/ID", told)


def find_differences(refusals):
    """Of the same caller and method: refusals with the same status must be the same."""
    told = {}
    for (method, caller, _), text in refusals.items():
        told.setdefault((method, caller, text[:3]), set()).add(text)
    return [(who, texts) for who, texts in told.items() if len(texts) > 1]


@pytest.mark.parametrize("route", API_ROUTES)
def test_what_an_address_does_not_take_is_taken_from_nobody(stage, route, record_property):
    wrong, asked = [], 0
    for method in set(METHODS) - set(cast.methods_of(route)):
        for caller in CALLERS:
            expected = table.UNKNOWN.get(caller, table.NOT_TAKEN)
            if route in OPEN and caller == "nobody":
                expected = table.NOT_TAKEN
            answer = cast.ask(stage, caller, method, route, cast.OWN)
            asked += 1
            if answer.status_code != expected:
                wrong.append((method, caller, answer.status_code, expected))
    record_property("cells", (asked - len(wrong), asked))
    assert wrong == []


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.usefixtures("pages_unwritten")
def test_the_back_office_does_nothing_by_other_methods(stage, method):
    """Django's pages take any of these like a GET, or like none."""
    client = stage.callers["head"].client
    pages = [r for r in ROUTES if r.startswith("/admin/") and "logout" not in r]
    with databases.unchanged():
        for route in pages:
            client.generic(method, cast.fill_in(stage, route, cast.OWN))
