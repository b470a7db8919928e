"""The back office of the stock: levels and movements, to look at and never to touch."""

import uuid
import zoneinfo
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.views.main import PAGE_VAR, SEARCH_VAR
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone as clock
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter, RangeDateFilter
from unfold.decorators import display

from catalog.models import Barcode, Product
from inventory_project.fields import to_comparable_barcode
from stock.models import Level, LevelTwin, Movement, MovementTwin
from stores.backoffice import (
    PAGES_MAX,
    AddressedChangeList,
    BrowsingAdmin,
    PickFilter,
    chosen_store,
    find_principal,
    read_day,
    show_money,
    show_quantity,
    show_store_time,
    until_end_of,
)
from stores.models import Store

DAYS_SHOWN = 7
DAYS_OF_ALL_STORES_MAX = 31
NEWEST_SPANS_HOURS = (1, 24)
FOUND_MAX = 200


def find_products(term: str) -> list[int]:
    """Ids of products by whole SKU or barcode, else by words of the name; at most FOUND_MAX.

    The big tables are then asked by id, which their indexes serve.
    """
    codes = Barcode.objects.filter(comparable=to_comparable_barcode(term))
    exact = Product.objects.filter(Q(sku=term) | Q(pk__in=codes.values("product_id")))
    if ids := list(exact.values_list("pk", flat=True)[:FOUND_MAX]):
        return ids
    named = Q(sku__istartswith=term)
    words = Q()
    for word in term.split():
        words &= Q(name__icontains=word)
    return list(Product.objects.filter(named | words).values_list("pk", flat=True)[:FOUND_MAX])


def find_stores(request: HttpRequest, term: str) -> list[int]:
    """Ids of the stores with this code that the person may see."""
    stores = Store.objects.visible_to(find_principal(request))
    return list(stores.filter(code__iexact=term).values_list("pk", flat=True))


def read_event_id(term: str) -> uuid.UUID | None:
    """The event id somebody pasted into the search, or None for anything else."""
    try:
        return uuid.UUID(term) if len(term) in (32, 36) else None
    except ValueError:
        return None


class SignFilter(DropdownFilter):  # type: ignore[misc]
    """Within one store only: no index serves it, on purpose."""

    title = "what is on hand"
    parameter_name = "on_hand"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        if not chosen_store(request):
            return []
        return [("below", "Below zero"), ("none", "Nothing"), ("some", "Something")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        lookup = {"below": "quantity__lt", "none": "quantity", "some": "quantity__gt"}
        if not chosen_store(request) or self.value() not in lookup:
            return queryset
        return queryset.filter(**{lookup[self.value()]: 0})


@admin.register(LevelTwin)
class LevelAdmin(BrowsingAdmin):
    source = Level
    address_field = "product_id"
    list_display = ("store", "product", "show_on_hand", "show_category", "updated_seq")
    list_display_links = ("product",)
    list_select_related = ("store", "product", "product__category")
    list_filter = (
        ("store", PickFilter),
        ("product", PickFilter),
        ("product__category", PickFilter),
        SignFilter,
    )
    list_before_template = "admin/level_hint.html"
    search_fields = ("product__sku",)  # shows the box; get_search_results does the work
    search_help_text = "Search by SKU, barcode, product name or store code."
    # The primary key's order, so that a page is read and not sorted.
    ordering = ("store_id", "product_id")
    fields = ("store", "product", "show_on_hand", "updated_seq", "show_movements")
    readonly_fields = fields

    @display(description="On hand")
    def show_on_hand(self, level: LevelTwin) -> str:
        return f"{show_quantity(level.quantity)} {level.product.get_unit_display().lower()}"

    @display(description="Category")
    def show_category(self, level: LevelTwin) -> str:
        return str(level.product.category or "")

    @display(description="Movements")
    def show_movements(self, level: LevelTwin) -> str:
        query = {"store__id__exact": level.store_id, "product__id__exact": level.product_id}
        address = reverse("admin:stock_movementtwin_changelist", query=query)
        return format_html(
            '<a class="text-primary-600 dark:text-primary-500" href="{}">{}</a>',
            address,
            "How it came to this",
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(product_id__in=find_products(term)) | Q(store_id__in=find_stores(request, term))
        return queryset.filter(found), False


class RecordedFilter(RangeDateFilter):  # type: ignore[misc]
    """Days of the chain's clock, both ends included; without a store never more than a month."""

    def __init__(self, field: Any, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(field, request, *args, **kwargs)
        request.window = describe_window(  # type: ignore[attr-defined]
            *self.read_window(request), request
        )

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        since, until = self.read_window(request)
        if since:
            queryset = queryset.filter(recorded_at__gte=since)
        if until:
            queryset = queryset.filter(recorded_at__lt=until)
        return queryset

    def read_window(self, request: HttpRequest) -> tuple[datetime | None, datetime | None]:
        """From when (included) until when (excluded); None is open."""
        since = read_day(self.used_parameters.get("recorded_at_from"))
        until = until_end_of(self.used_parameters.get("recorded_at_to"))
        if chosen_store(request) or read_event_id(request.GET.get(SEARCH_VAR, "").strip()):
            return since, until  # an index serves the whole history
        end = until or clock.now()
        if since is None:
            return end - timedelta(days=DAYS_SHOWN), until
        return since, min(end, since + timedelta(days=DAYS_OF_ALL_STORES_MAX))


def describe_window(since: datetime | None, until: datetime | None, request: HttpRequest) -> str:
    """The sentence above the list that says what it shows and how to see more."""
    whose = "of the chosen store" if chosen_store(request) else "of all stores"
    zone = zoneinfo.ZoneInfo(settings.STORE_TIMEZONE)
    if since is None and until is None:
        return f"All movements {whose}, newest first." if chosen_store(request) else "One event."
    span = f"from {since.astimezone(zone):%d %b %Y %H:%M}" if since else "from the beginning"
    span += f" until {until.astimezone(zone):%d %b %Y %H:%M}" if until else " until now"
    hint = (
        ""
        if chosen_store(request)
        else f" Choose a store in Filters for its whole history, or other days: at most "
        f"{DAYS_OF_ALL_STORES_MAX} at once for all stores."
    )
    return f"Movements {whose} {span} ({settings.STORE_TIMEZONE}), newest first.{hint}"


class MovementChangeList(AddressedChangeList):
    """Sorts the newest hour or day alone when that fills the page, and not a week of the chain;
    finds one product in one store by the index made for it."""

    queryset: Any

    def get_results(self, request: HttpRequest) -> None:
        wanted = self.list_per_page * self.page_num
        if self._shows_all_of_the_chain(request):
            self.queryset = self._narrow(self.queryset, wanted)
        elif self._shows_one_product_of_a_store(request) and self._has_page():
            self.queryset = self.queryset.of_product(
                store_id=int(chosen_store(request)),
                product_id=int(request.GET["product__id__exact"]),
                rows=wanted + 1,
                newest=True,
            )
        super().get_results(request)

    def _shows_one_product_of_a_store(self, request: HttpRequest) -> bool:
        return bool(chosen_store(request) and request.GET.get("product__id__exact"))

    def _has_page(self) -> bool:
        """The paginator says so when there is none, and perhaps no such OFFSET."""
        return bool(0 < self.page_num <= PAGES_MAX)

    def _shows_all_of_the_chain(self, request: HttpRequest) -> bool:
        """Anything searched or filtered is rarer, and other indexes may find it sooner."""
        chosen = {name for name in request.GET if any(request.GET.getlist(name))}
        return chosen <= {PAGE_VAR, "recorded_at_from", "recorded_at_to"}

    def _narrow(self, rows: QuerySet[Any], wanted: int) -> QuerySet[Any]:
        """The same first `wanted` rows, from a shorter span where one holds as many."""
        if not self._has_page():
            return rows
        newest = self._find_end()
        for hours in NEWEST_SPANS_HOURS:
            recent = rows.filter(recorded_at__gte=newest - timedelta(hours=hours))
            # Asked in order: without one the planner hopes to meet such rows early and reads the
            # table from its oldest end.
            if recent.values_list("seq")[wanted - 1 : wanted]:
                return recent
        return rows

    def _find_end(self) -> datetime:
        for spec in self.filter_specs:
            if isinstance(spec, RecordedFilter):
                return spec.read_window(spec.request)[1] or clock.now()
        return clock.now()


@admin.register(MovementTwin)
class MovementAdmin(BrowsingAdmin):
    source = Movement
    address_field = "seq"
    list_display = (
        "show_recorded", "store", "seq", "product", "kind", "show_quantity", "show_balance",
        "show_amount", "receipt",
    )  # fmt: skip
    list_display_links = ("show_recorded", "seq")
    list_filter = (
        ("store", PickFilter),
        ("product", PickFilter),
        ("kind", ChoicesDropdownFilter),
        ("recorded_at", RecordedFilter),
    )
    list_before_template = "admin/movement_window.html"
    search_fields = ("product__sku",)  # shows the box; get_search_results does the work
    search_help_text = "Search by SKU, barcode, product name, store code, receipt or event id."
    fields = (
        "store", "seq", "product", "kind", "reason", "show_quantity", "show_balance",
        "show_amount", "show_occurred", "show_recorded", "business_date", "receipt", "event_id",
        "actor", "device", "reverses_seq",
    )  # fmt: skip
    readonly_fields = fields

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return MovementChangeList

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        # Within a store its own numbers are the order of truth, and they are indexed.
        return ("-seq",) if chosen_store(request) else ("-recorded_at", "store_id", "-seq")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if event_id := read_event_id(term):
            return queryset.filter(
                event_id=event_id,
                store_id__in=Store.objects.visible_to(find_principal(request)).values("pk"),
            ), False
        found = Q(product_id__in=find_products(term)) | Q(store_id__in=find_stores(request, term))
        return queryset.filter(found | Q(receipt=term)), False

    @display(description="Recorded (store's time)")
    def show_recorded(self, movement: MovementTwin) -> str:
        return show_store_time(movement.recorded_at, movement.store)

    @display(description="Occurred (store's time)")
    def show_occurred(self, movement: MovementTwin) -> str:
        return show_store_time(movement.occurred_at, movement.store)

    @display(description="Quantity")
    def show_quantity(self, movement: MovementTwin) -> str:
        sign = "+" if movement.quantity > 0 else ""
        return sign + show_quantity(movement.quantity)

    @display(description="On hand after")
    def show_balance(self, movement: MovementTwin) -> str:
        return show_quantity(movement.balance_after)

    @display(description="Amount")
    def show_amount(self, movement: MovementTwin) -> str:
        return show_money(movement.amount)
