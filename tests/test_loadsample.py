"""The sample chain: what it promises to hold, and that it never touches a database in use."""

import io
from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from django.core.management import call_command
from django.db.models import Count, Max, Min, Sum
from stdnum import ean

from catalog.models import Barcode, Category, Product
from inventory_project import failpoints
from orders import sampling
from orders.models import SaleEvent
from orders.sample_chain import STORES
from stock.models import Kind, Level, Movement
from stores.models import Store
from tests import make

NOW = datetime(2026, 3, 22, 15, 30, tzinfo=UTC)
UNCHANGED = "There are stores or products already; nothing was changed.\n"
PICTURE = (Store, Product, Category, Barcode, Level, Movement, SaleEvent)


def load_sample():
    out = io.StringIO()
    call_command("loadsample", stdout=out)
    return out.getvalue()


def count_rows():
    return [model.objects.count() for model in PICTURE]


def test_it_is_three_weeks_of_a_chain(committed):
    """One test: loading takes seconds."""
    with time_machine.travel(NOW, tick=True):
        loaded = sampling.load()
    assert (loaded.stores, loaded.products, loaded.parked) == (25, 400, 1)
    assert Category.objects.count() == 12
    _check_catalogue()
    _check_sales()
    _check_sums(loaded)
    out_of_stock = Level.objects.filter(quantity__lte=0).count()
    assert 0 < out_of_stock < Level.objects.count() / 50
    before = count_rows()
    assert load_sample() == UNCHANGED
    assert count_rows() == before


def test_load_that_was_cut_off_is_finished_and_nothing_counts_twice(committed, monkeypatch):
    monkeypatch.setattr(sampling, "STORES", STORES[:2])  # a smaller chain will do
    remaining = iter(range(3))

    def cut_off_at_fourth():
        if next(remaining, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setitem(failpoints.armed, "after_commit_before_answer", cut_off_at_fourth)
    with pytest.raises(KeyboardInterrupt), time_machine.travel(NOW, tick=True):
        sampling.load()
    monkeypatch.delitem(failpoints.armed, "after_commit_before_answer")
    assert SaleEvent.objects.count() > 100
    with time_machine.travel(NOW + timedelta(days=1), tick=True):
        assert sampling.can_load()
        loaded = sampling.load()
        assert not sampling.can_load()
    sales_made = make_sales_of(STORES[:2])
    assert Movement.objects.filter(kind__in=[Kind.SALE, Kind.RETURN]).count() == sales_made
    assert (loaded.parked, SaleEvent.objects.count()) == (1, 1)
    _check_sums(loaded)


def make_sales_of(stores):
    """How many events of these stores can be applied: all but the unknown article."""
    until = min(Store.objects.values_list("created_at", flat=True))
    chain = sampling.make_history(sampling.make_items(), until)
    return sum(len(week.sales) for code, _, _ in stores for week in chain[code]) - 1


def _check_catalogue():
    codes = list(Barcode.objects.values_list("code", "units"))
    assert all(20 <= int(code[:2]) <= 29 and ean.is_valid(code) for code, _ in codes)
    assert {units for _, units in codes} == {1, 6, 12}
    shared = Barcode.objects.values("comparable").annotate(n=Count("id")).filter(n__gt=1)
    assert [row["n"] for row in shared] == [2]
    retired = Product.objects.get(retired_at__isnull=False)
    assert Movement.objects.filter(product=retired, kind=Kind.SALE).exists()


def _check_sales():
    sold = Movement.objects.filter(kind=Kind.SALE)
    assert 27_000 < sold.count() < 33_000
    assert sold.aggregate(first=Min("business_date"), last=Max("business_date")) == {
        "first": date(2026, 3, 2),
        "last": date(2026, 3, 22),
    }
    assert sold.filter(occurred_at__gt=NOW + timedelta(minutes=1)).count() == 0
    weighed = sold.filter(product__unit="kg")
    assert {str(-q) for q in weighed.values_list("quantity", flat=True)} >= {"0.250", "1.500"}
    hours = {at.astimezone(sampling.ZONE).hour for at in sold.values_list("occurred_at", flat=True)}
    assert hours == set(range(8, 22))
    parked = SaleEvent.objects.get()
    assert (parked.status, parked.park_reason) == ("parked", "unknown_product")


def _check_sums(loaded):
    assert Movement.objects.count() == loaded.movements
    sums = Movement.objects.values_list("store_id", "product_id").annotate(Sum("quantity"))
    assert set(sums) == set(Level.objects.values_list("store_id", "product_id", "quantity"))


@pytest.mark.django_db
def test_history_is_the_same_each_time():
    items = sampling.make_items()
    assert sampling.make_history(items, NOW) == sampling.make_history(items, NOW)


@pytest.mark.django_db
@pytest.mark.parametrize("what", [make.make_store, make.make_product])
def test_database_in_use_is_left_alone(what):
    what()
    before = count_rows()
    assert load_sample() == UNCHANGED
    assert count_rows() == before


@pytest.mark.django_db
def test_own_store_that_has_a_code_of_the_sample_is_left_alone():
    make.make_store("LHR-01", name="Somebody's real shop")
    assert not sampling.can_load()
