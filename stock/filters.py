"""Query parameters of the stock lists. A foreign store answers like a missing one."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import django_filters

from catalog.filters import find_category
from catalog.models import Product
from inventory_project.errors import Invalid, InvalidValue, NotFound
from inventory_project.fields import clean_sku, parse_day, parse_instant
from stock.models import Kind, Level, Movement
from stores.models import Store
from stores.permissions import principal_of

CHAIN_RANGE_MAX = timedelta(days=31)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def find_product(sku: str) -> Product:
    """The product of this SKU. Raises NotFound."""
    try:
        product = Product.objects.filter(sku=clean_sku(sku)).first()
    except InvalidValue:
        product = None
    if product is None:
        raise NotFound("There is no such product.")
    return product


class LevelFilter(django_filters.FilterSet):
    store = django_filters.CharFilter(method="of_store", label="Code of a store.")
    product = django_filters.CharFilter(method="of_product", label="SKU.")
    category = django_filters.CharFilter(method="of_category", label="Name of a category.")

    class Meta:
        model = Level
        fields: list[str] = []

    def of_store(self, queryset: Any, name: str, code: str) -> Any:
        return queryset.filter(store=principal_of(self.request).get_store(code))

    def of_product(self, queryset: Any, name: str, sku: str) -> Any:
        return queryset.filter(product=find_product(sku))

    def of_category(self, queryset: Any, name: str, category: str) -> Any:
        return queryset.filter(product__category=find_category(category))


class MovementFilter(django_filters.FilterSet):
    """One store's history by when it happened; or the chain's by when it was recorded.

    The chain-wide range is on `recorded_at`, which has an index made for it, and short.
    """

    store = django_filters.CharFilter(method="of_store", label="Code of a store.")
    product = django_filters.CharFilter(method="of_product", label="SKU.")
    kind = django_filters.ChoiceFilter(choices=Kind.choices)
    # `from` is a word of Python, so these are added by name below.
    recorded_from = django_filters.CharFilter(
        method="in_no_way",
        label="Without a store: recorded at or after; a day begins at midnight UTC.",
    )
    recorded_to = django_filters.CharFilter(
        method="in_no_way",
        label="Without a store: recorded before; at most 31 days later, days as above.",
    )

    class Meta:
        model = Movement
        fields: list[str] = []

    def of_store(self, queryset: Any, name: str, code: str) -> Any:
        return queryset

    def of_product(self, queryset: Any, name: str, sku: str) -> Any:
        return queryset.filter(product=find_product(sku))

    def in_no_way(self, queryset: Any, name: str, value: str) -> Any:
        """Read together in `filter_queryset`, because a range is judged as a whole."""
        return queryset

    def filter_queryset(self, queryset: Any) -> Any:
        queryset = super().filter_queryset(queryset)
        store = find_store_of_query(self.request)
        if store is not None:
            self._refuse("recorded_from", "recorded_to", because="only without a store")
            low, high = read_range(self.data, "from", "to", ZoneInfo(store.timezone))
            return between(queryset.filter(store=store), "occurred_at", low, high)
        self._refuse("from", "to", because="only with a store")
        low, high = read_range(self.data, "recorded_from", "recorded_to", ZoneInfo("UTC"))
        if low is None or high is None or high - low > CHAIN_RANGE_MAX:
            detail = "without a store, give recorded_from and recorded_to, at most 31 days apart"
            raise Invalid([("?recorded_from", "range_needed", detail)])
        return between(queryset, "recorded_at", low, high)

    def _refuse(self, *names: str, because: str) -> None:
        errors = [(f"?{n}", "not_here", f"is taken {because}") for n in names if self.data.get(n)]
        if errors:
            raise Invalid(errors)


for _name, _label in (("from", "Happened at or after."), ("to", "Happened before.")):
    MovementFilter.base_filters[_name] = django_filters.CharFilter(method="in_no_way", label=_label)


def find_store_of_query(request: Any) -> Store | None:
    """The store a list is about: the one named, or the device's own; None for the chain."""
    principal = principal_of(request)
    code = request.query_params.get("store")
    if code is None and principal.store is None:
        return None
    return principal.get_store(code)


def read_range(
    data: Mapping[str, str], low_name: str, high_name: str, zone: ZoneInfo
) -> tuple[datetime | None, datetime | None]:
    """The two ends of a half-open range, each None where it is not given. Raises Invalid."""
    low, high = _read_instant(data, low_name, zone), _read_instant(data, high_name, zone)
    if low is not None and high is not None and low >= high:
        raise Invalid([(f"?{low_name}", "empty_range", f"must be before {high_name}")])
    return low, high


def _read_instant(data: Mapping[str, str], name: str, zone: ZoneInfo) -> datetime | None:
    """An instant with its offset, or a day, which begins at midnight in that zone."""
    raw = data.get(name)
    if raw is None:
        return None
    try:
        return parse_day(raw, zone) if _DAY.fullmatch(raw) else parse_instant(raw)
    except InvalidValue as error:
        raise Invalid([(f"?{name}", error.code, error.detail)]) from error


def between(queryset: Any, field: str, low: datetime | None, high: datetime | None) -> Any:
    """Keep what lies in the half-open range."""
    if low is not None:
        queryset = queryset.filter(**{f"{field}__gte": low})
    if high is not None:
        queryset = queryset.filter(**{f"{field}__lt": high})
    return queryset
