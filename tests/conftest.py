"""Fixtures. `db` rolls back at the end; `committed` really commits and is emptied by the owner."""

import pytest
from django.db import connection, connections

from accounts import access
from tests import databases, make


def pytest_collection_modifyitems(config, items):
    """Promises about one engine are not collected on the other (they are not skipped tests)."""
    other = {"sqlite": "postgresql", "postgresql": "sqlite"}[connection.vendor]
    left_out = [item for item in items if item.get_closest_marker(other)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter):
    """How much of the matrix of tests/security was asked, and how much was as declared."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    called = [report for report in reports if getattr(report, "when", "") == "call"]
    cells = [told for report in called for name, told in report.user_properties if name == "cells"]
    if cells:
        right, asked = (sum(numbers) for numbers in zip(*cells, strict=True))
        terminalreporter.write_line(f"matrix: {right:,}/{asked:,} cells")


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker):
    with django_db_blocker.unblock():
        databases.migrate()
        yield
        connections.close_all()


@pytest.fixture
def committed(django_db_setup, django_db_blocker):
    """A database whose commits are real, so that other connections and processes see them."""
    with django_db_blocker.unblock():
        yield
        connections.close_all()
        databases.empty_tables()


@pytest.fixture(autouse=True)
def refusals_of_no_one():
    """No test finds a caller whose refusal of this minute was noted in another one."""
    access.bounded.windows.clear()


@pytest.fixture
def lahore(request):
    return make.make_store("LHR-01", name="Kiryana Lahore")


@pytest.fixture
def karachi(request):
    return make.make_store("KHI-02", name="Kiryana Karachi")


@pytest.fixture
def tea(request):
    return make.make_product("TEA", name="Tea 250 g")


@pytest.fixture
def till(lahore):
    """A device of the Lahore store."""
    return make.make_device(lahore)


@pytest.fixture
def head_office():
    return make.make_head_office()


@pytest.fixture(params=["door", "view"])
def each_door(request, monkeypatch):
    """A sale comes by the door in front of Django, then by the view behind it."""
    monkeypatch.setattr(make.WebHandler, "has_door", request.param == "door")
