"""The back office of the sales: the inbox, and the parked events that wait for a decision."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.timesince import timesince
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextInputWidget

from inventory_project.errors import DomainError
from inventory_project.fields import clean_text, to_comparable_barcode
from orders import sales
from orders.models import ParkedEvent, SaleEvent, SaleEventTwin
from orders.tasks import ring_doorbell
from stock.admin import find_stores, read_event_id
from stores.backoffice import (
    BrowsingAdmin,
    PickFilter,
    find_principal,
    show_money,
    show_quantity,
    show_store_time,
    taking,
)
from stores.models import Store

DISMISS_REASON_CHARACTERS_MAX = 250
STATUS_LABELS = {"Pending": "info", "Parked": "warning", "Dismissed": "danger"}


@admin.register(SaleEventTwin)
class SaleEventAdmin(BrowsingAdmin):
    """What is in the inbox. An applied event has left it and is a movement."""

    source = SaleEvent
    address_field = "event_id"
    list_display: tuple[str, ...] = (
        "show_received", "store", "kind", "show_code", "show_quantity", "show_amount", "receipt",
        "show_status",
    )  # fmt: skip
    list_display_links = ("show_received",)
    list_select_related = ("store",)
    list_filter: tuple[Any, ...] = (
        ("status", ChoicesDropdownFilter),
        ("store", PickFilter),
        ("park_reason", ChoicesDropdownFilter),
    )
    list_before_template = "admin/sale_event_hint.html"
    ordering: tuple[str, ...] = ("-received_at", "store_id", "event_id")
    search_fields = ("sku",)  # shows the box; get_search_results does the work
    search_help_text = "Search by SKU, barcode, store code, receipt or event id."
    fields = (
        "store", "event_id", "kind", "sku", "barcode", "show_quantity", "show_amount", "receipt",
        "show_occurred", "show_received", "business_date", "device", "show_status", "park_reason",
        "detail", "attempts", "next_try_at", "dismiss_reason", "dismissed_at", "dismissed_by",
    )  # fmt: skip
    readonly_fields = fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if event_id := read_event_id(term):
            stores = Store.objects.visible_to(find_principal(request)).values("pk")
            return queryset.filter(event_id=event_id, store_id__in=stores), False
        found = Q(sku=term) | Q(barcode=to_comparable_barcode(term)) | Q(receipt=term)
        return queryset.filter(found | Q(store_id__in=find_stores(request, term))), False

    @display(description="Received (store's time)")
    def show_received(self, event: SaleEventTwin) -> str:
        return show_store_time(event.received_at, event.store)

    @display(description="Occurred (store's time)")
    def show_occurred(self, event: SaleEventTwin) -> str:
        return show_store_time(event.occurred_at, event.store)

    @display(description="SKU or barcode")
    def show_code(self, event: SaleEventTwin) -> str:
        return event.sku or event.barcode

    @display(description="Quantity")
    def show_quantity(self, event: SaleEventTwin) -> str:
        return show_quantity(event.quantity)

    @display(description="Amount")
    def show_amount(self, event: SaleEventTwin) -> str:
        return show_money(event.amount)

    @display(description="Status", label=STATUS_LABELS)
    def show_status(self, event: SaleEventTwin) -> str:
        return str(event.get_status_display())


class DismissForm(forms.Form):
    reason = forms.CharField(
        label="Why it shall never count",
        max_length=DISMISS_REASON_CHARACTERS_MAX,
        widget=UnfoldAdminTextInputWidget,
        help_text="Kept with the event for ever, with your name.",
    )

    def clean_reason(self) -> str:
        reason = self.cleaned_data["reason"]
        return str(taking(clean_text, reason, characters_max=DISMISS_REASON_CHARACTERS_MAX))


@admin.register(ParkedEvent)
class ParkedEventAdmin(SaleEventAdmin):
    """Accepted, not lost, and not counted until somebody decides."""

    list_display = (
        "show_reason", "store", "show_code", "kind", "show_quantity", "show_amount", "show_age",
        "show_decisions",
    )  # fmt: skip
    list_display_links = ("show_code",)
    list_filter = (("park_reason", ChoicesDropdownFilter), ("store", PickFilter))
    list_before_template = "admin/parked_hint.html"
    # The order of the index on parked rows: what has one cause stands together, oldest first.
    ordering = ("park_reason", "store_id", "received_at", "event_id")
    actions_detail = ("replay", "dismiss")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).parked()

    def has_decide_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("orders.decide_parkedevent"))

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        if self.has_decide_permission(request):
            return self.list_display
        return self.list_display[:-1]

    @display(description="Reason", label=True)
    def show_reason(self, event: ParkedEvent) -> str:
        return str(event.get_park_reason_display())

    @display(description="Waiting for")
    def show_age(self, event: ParkedEvent) -> str:
        return timesince(event.received_at, depth=1)

    @display(description="Decide")
    def show_decisions(self, event: ParkedEvent) -> str:
        links = [
            (reverse(f"admin:orders_parkedevent_{name}", args=[event.address]), title)
            for name, title in (("replay", "Replay"), ("dismiss", "Dismiss"))
        ]
        link = '<a class="font-semibold text-primary-600 dark:text-primary-500" href="{}">{}</a>'
        return format_html('<div class="flex gap-3">{}</div>', format_html_join(" ", link, links))

    @action(description="Replay", permissions=["decide"], icon="replay")
    def replay(self, request: HttpRequest, object_id: str) -> HttpResponse:
        event = self.find_or_404(request, object_id)
        if request.method == "POST":
            return self._settle(
                request, event, sales.replay, "It is back in the queue and is tried again now."
            )
        return self.ask(
            request,
            title=f"Replay: {event}?",
            sentence=f"{event.get_park_reason_display()}. {event.detail} "
            "It goes back into the queue and is tried again. Do this once the cause is mended; "
            "otherwise it is parked again.",
            button="Replay",
            back=self.go_to_list(),
        )

    @action(description="Dismiss", permissions=["decide"], icon="delete_sweep")
    def dismiss(self, request: HttpRequest, object_id: str) -> HttpResponse:
        event = self.find_or_404(request, object_id)
        form = DismissForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            reason = form.cleaned_data["reason"]
            return self._settle(
                request, event, sales.dismiss, "It is dismissed and never counts.", reason=reason
            )
        return self.ask(
            request,
            title=f"Dismiss: {event}?",
            sentence="It will never count: the goods stay on the books. This cannot be undone.",
            form=form,
            button="Dismiss",
            is_danger=True,
            back=self.go_to_list(),
        )

    def _settle(
        self, request: HttpRequest, event: ParkedEvent, do: Any, done: str, **facts: Any
    ) -> HttpResponse:
        if not self.has_decide_permission(request):
            raise PermissionDenied
        try:
            do(
                principal=find_principal(request),
                event_id=event.event_id,
                store=event.store,
                **facts,
            )
        except DomainError as error:
            # Somebody else decided between the page and the click.
            self.message_user(request, error.detail, messages.ERROR)
        else:
            ring_doorbell()
            self.message_user(request, f"{event}: {done}", messages.SUCCESS)
        return HttpResponseRedirect(self.go_to_list())
