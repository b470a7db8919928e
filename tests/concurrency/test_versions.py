"""Versions of catalogue and stores: one head row, locked, so no number is missing or twice."""

from functools import partial

import pytest
from django.db import IntegrityError
from django.db.models import QuerySet

from catalog import editing
from catalog.models import CatalogHead, Product, ProductChange
from stores import registry
from stores.models import Store, StoresHead
from tests.concurrency.threads import Meeting, errors, together
from tests.make import make_product, make_store

pytestmark = [pytest.mark.postgresql, pytest.mark.usefixtures("committed")]

THREADS = 8


@pytest.fixture
def no_lock(monkeypatch):
    monkeypatch.setattr(QuerySet, "select_for_update", lambda self, **_: self.all())


def test_race_without_the_lock_two_stores_get_one_version(no_lock):
    make_store("FIRST")
    meeting = Meeting().before('UPDATE "stores_storeshead"')
    together(partial(make_store, "A"), partial(make_store, "B"), wrapper=meeting)
    assert sorted(Store.objects.values_list("version", flat=True)) == [1, 2, 2]


def test_race_without_the_lock_two_changes_want_one_version(no_lock):
    make_product("FIRST")
    meeting = Meeting().before('UPDATE "catalog_cataloghead"')
    results = together(partial(make_product, "A"), partial(make_product, "B"), wrapper=meeting)
    (collided,) = errors(results)
    assert isinstance(collided, IntegrityError)


def test_versions_of_stores_have_no_gap_under_eight_threads():
    def work(number):
        store = make_store(f"S-{number}")
        for turn in range(4):
            registry.change_store(store, name=f"Name {turn}")
        if number % 2:
            make_taken()

    def make_taken():
        with pytest.raises(registry.StoreCodeTaken):
            make_store("TAKEN")

    make_store("TAKEN")
    assert errors(together(*(partial(work, n) for n in range(THREADS)))) == []
    versions = sorted(Store.objects.values_list("version", flat=True))
    assert len(set(versions)) == THREADS + 1
    assert StoresHead.objects.get().version == 1 + THREADS * 5


def test_versions_of_the_catalogue_have_no_gap_under_eight_threads():
    """First makings, changes, changes of nothing and refused ones, of own and shared products."""
    shared = make_product("SHARED")

    def work(number):
        product = make_product(f"P-{number}", barcodes=[f"CODE-{number}"])
        for turn in range(3):
            editing.change_product(product, name=f"Name {turn}")
            editing.change_product(product, name=f"Name {turn}")
            editing.change_product(shared, name=f"Shared {number}-{turn}")
        with pytest.raises(editing.SkuTaken):
            make_product("SHARED")
        editing.create_category(name=f"Shelf {number}")

    assert errors(together(*(partial(work, n) for n in range(THREADS)))) == []
    versions = list(ProductChange.objects.order_by("version").values_list("version", flat=True))
    assert versions == list(range(1, 1 + 1 + THREADS * (1 + 3 + 3 + 1)))
    assert CatalogHead.objects.get().version == versions[-1]
    newest = ProductChange.objects.filter(key="SHARED").order_by("version").last()
    assert newest.after["name"] == Product.objects.get(sku="SHARED").name
