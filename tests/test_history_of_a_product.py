"""One product's history in one store: found segment by segment, through an index that stays small
at its growing end."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from stock import models
from stock.admin import MovementAdmin
from stock.models import SEGMENT_MOVEMENTS, Movement
from tests import office
from tests.rice import RARE, make_history

pytestmark = pytest.mark.django_db

PATH = "/api/stock/movements/"
MOVEMENTS = "/admin/stock/movementtwin/"


@pytest.fixture
def few_at_first(monkeypatch):
    """One segment in the first look, so that a short history already needs several."""
    monkeypatch.setattr(models, "SEGMENTS_READ_FIRST", 1)


@pytest.fixture
def rice(lahore, karachi, tea):
    return make_history(lahore, karachi)


def pages(till, **query):
    """The seqs of all pages, page by page."""
    seen, cursor = [], {}
    while cursor is not None:
        answer = till.get(PATH, **query, **cursor)
        assert answer.status_code == 200
        seen.append([m["seq"] for m in answer.body["results"]])
        cursor = {"cursor": answer.body["next"]} if answer.body["next"] else None
    return seen


@pytest.mark.usefixtures("few_at_first")
@pytest.mark.parametrize("limit", [1, 3, 4, 10, 1000])
def test_pages_go_through_all_segments_oldest_first(till, rice, limit):
    found = pages(till, product="RICE", limit=limit)
    assert [len(page) for page in found[:-1]] == [limit] * (len(found) - 1)
    assert [seq for page in found for seq in page] == RARE


@pytest.mark.usefixtures("few_at_first")
def test_other_filters_hold_within_the_history(till, rice):
    assert pages(till, product="RICE", kind="waste", limit=1) == [[512]]
    assert pages(till, product="RICE", kind="receipt", limit=5) == [
        [1, 2, 255, 256, 257], [700, 1023, 1024, 1400],
    ]  # fmt: skip
    assert pages(till, product="RICE", to="2020-01-01") == [[]]
    assert pages(till, product="SALT") == [[]]


def test_head_office_names_the_store(head_office, rice):
    assert pages(head_office, product="RICE", store="LHR-01") == [RARE]
    assert pages(head_office, product="RICE", store="KHI-02") == [[]]


@pytest.mark.usefixtures("few_at_first")
def test_the_back_office_shows_the_newest_first(monkeypatch, lahore, rice):
    monkeypatch.setattr(MovementAdmin, "list_per_page", 4)
    head = office.head_of_chain()
    query = {"store__id__exact": lahore.pk, "product__id__exact": rice.pk}
    shown = [
        [m.seq for m in head.get(MOVEMENTS, query | {"p": page}).context["cl"].result_list]
        for page in (1, 2, 3)
    ]
    assert shown == [[1400, 1024, 1023, 700], [512, 257, 256, 255], [2, 1]]


@pytest.mark.usefixtures("few_at_first")
def test_newest_and_oldest_rows_behind_a_seq(lahore, rice):
    def find(**wanted):
        found = Movement.objects.of_product(store_id=lahore.pk, product_id=rice.pk, **wanted)
        return sorted(found.values_list("seq", flat=True))

    assert find(rows=3) == [1, 2, 255]
    assert find(rows=3, after=255) == [256, 257, 512]
    assert find(rows=3, newest=True) == [1023, 1024, 1400]
    assert find(rows=9, newest=True, after=512) == [700, 1023, 1024, 1400]
    assert find(rows=3, after=1400) == find(rows=3, after=10**15) == []


def test_both_doors_look_there(till, lahore, rice):
    head = office.head_of_chain()
    query = {"store__id__exact": lahore.pk, "product__id__exact": rice.pk}
    for ask in (lambda: till.get(PATH, product="RICE"), lambda: head.get(MOVEMENTS, query)):
        with CaptureQueriesContext(connection) as queries:
            assert ask().status_code == 200
        read = [q["sql"] for q in queries if 'FROM "stock_movement"' in q["sql"]]
        assert len(read) == 2
        assert f"/ {SEGMENT_MOVEMENTS})" in read[0]
        assert '"seq" IN (' in read[1]


@pytest.mark.usefixtures("few_at_first")
def test_a_long_history_is_asked_for_in_ever_larger_parts(lahore, rice):
    """Six segments: the first alone, then the other five at once."""
    with CaptureQueriesContext(connection) as queries:
        list(Movement.objects.of_product(store_id=lahore.pk, product_id=rice.pk, rows=100))
    assert len(queries) == 1 + 2 + 1
