"""What the pages of the back office share: who asks, what is never done, lists without counts.

The admin is one more door: it parses, authorises, calls one function of a write module and
presents. Nothing here is ever deleted; rows are retired, revoked or dismissed.
"""

import zoneinfo
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from decimal import Decimal
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin import ShowFacets
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import AutocompleteSelectFilter, DropdownFilter
from unfold.contrib.filters.forms import AutocompleteDropdownForm
from unfold.decorators import action, display
from unfold.paginator import InfinitePaginator
from unfold.views import ChangeList

from accounts.proofs import ask_again, is_proof_recent
from inventory_project.errors import DomainError, InvalidValue
from inventory_project.fields import MONEY_PLACES, QUANTITY_PLACES, format_money, format_quantity
from stores.models import Store
from stores.principals import Principal

ROWS_PER_PAGE = 50
BULK_ROWS_MAX = 100
FIRST_YEAR, LAST_YEAR = 1970, 2199
PAGES_MAX = 200  # an OFFSET reads what it skips; further back, a filter is the way
NEGATIVE_STOCK_HELP = (
    "What happens when a removal would take a balance below zero. "
    "Allow and flag: it is booked and shown as below zero. Refuse: a removal by hand is "
    "refused, a sale is parked until somebody decides. Allow: it is booked. "
)


def find_principal(request: HttpRequest) -> Principal:
    """The person at the keyboard; one a request, so that its stores are read once."""
    if not hasattr(request, "principal"):
        request.principal = Principal(user=request.user)  # type: ignore[attr-defined,arg-type]
    return request.principal  # type: ignore[no-any-return,attr-defined]


def may_see_audit(request: HttpRequest) -> bool:
    """Whether this person may see the audit, which is of the whole chain: entries know no store."""
    principal = find_principal(request)
    return principal.reads_chain_wide and principal.may("accounts.view_auditentry")


def is_row_id(text: str) -> bool:
    """Whether this is a number that fits the keys of both databases."""
    return text.isascii() and text.isdecimal() and len(text) < 19


def taking(clean: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a reader of inventory_project.fields; what it refuses, the form shows."""
    try:
        return clean(*args, **kwargs)
    except InvalidValue as error:
        raise ValidationError(f"This {error.detail}.", code=error.code) from error


def show_quantity(quantity: Decimal) -> str:
    return str(format_quantity(int(quantity.scaleb(QUANTITY_PLACES))))


def show_money(amount: Decimal | None) -> str:
    return "" if amount is None else format_money(int(amount.scaleb(MONEY_PLACES)))


def show_store_time(instant: datetime | None, store: Store) -> str:
    """The clock on that store's wall."""
    if instant is None:
        return ""
    return instant.astimezone(zoneinfo.ZoneInfo(store.timezone)).strftime("%d %b %Y %H:%M")


def read_day(text: Any) -> datetime | None:
    """Midnight of a day on the chain's clock; None for what is no day, or none of our times."""
    try:
        day = date.fromisoformat(str(text))
    except ValueError:
        return None
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        return None
    zone = zoneinfo.ZoneInfo(settings.STORE_TIMEZONE)
    return datetime.combine(day, time_of_day(), zone).astimezone(UTC)


def until_end_of(text: Any) -> datetime | None:
    """When a day has ended on the chain's clock, likewise."""
    begin = read_day(text)
    return begin + timedelta(days=1) if begin else None


class PagesWithoutCount(InfinitePaginator):  # type: ignore[misc]
    """Newer and older; nobody counts millions of rows to print a number."""

    template_name = "admin/pages_without_count.html"

    @property
    def count(self) -> int:
        return int(self.per_page) * PAGES_MAX


class RetiredFilter(DropdownFilter):  # type: ignore[misc]
    title = "whether it is in use"
    parameter_name = "retired"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", "In use"), ("yes", "Retired")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(retired_at__isnull=self.value() == "no")


class ScopedAutocompleteForm(AutocompleteDropdownForm):  # type: ignore[misc]
    """Shows the name of what is chosen only to those who may see it."""

    def __init__(self, request: HttpRequest, name: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, name, *args, **kwargs)
        field = self.fields[name]
        registered = kwargs["model_admin"].admin_site._registry[field.queryset.model]
        field.queryset = registered.get_queryset(request)


class PickFilter(AutocompleteSelectFilter):  # type: ignore[misc]
    """A related row found by typing, never a list of fifty thousand options."""

    form_class = ScopedAutocompleteForm

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value()
        if value and not is_row_id(value):
            raise IncorrectLookupParameters
        return super().queryset(request, queryset)


class ChangeListWithoutTotal(ChangeList):  # type: ignore[misc]
    """Prints no number of rows in the title: of the big tables nobody counted them."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.full_result_count = self.result_count


class BackOfficeAdmin(ModelAdmin):  # type: ignore[misc]
    """A page for head office and for staff of single stores, each in their scope."""

    list_per_page = ROWS_PER_PAGE
    show_full_result_count = False
    list_disable_select_all = True
    list_filter_submit = True
    list_filter_sheet = True
    show_facets = ShowFacets.NEVER  # each number beside a filter would be a COUNT
    # Master data of the whole chain: staff of a store reads it, head office writes it.
    is_written_by_head_office = False
    # Keys, and who may do what: whoever writes them has proven a little while ago who they are.
    asks_again = False
    # What the audit calls such a row; its history is what the audit has of it.
    audited_as = ""

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request)
        visible_to = getattr(rows, "visible_to", None)
        return visible_to(find_principal(request)) if visible_to else rows

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return ChangeListWithoutTotal

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may_write(request) and bool(super().has_add_permission(request))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may_write(request) and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def _may_write(self, request: HttpRequest) -> bool:
        return not self.is_written_by_head_office or find_principal(request).works_chain_wide

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.related_model is Store:
            kwargs["queryset"] = Store.objects.writable_by(find_principal(request)).active()
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        writes = object_id is None or self.has_change_permission(request)
        if writes and self.asks_again and not is_proof_recent(request):
            return ask_again(request)
        try:
            return super().changeform_view(request, object_id, *args, **kwargs)
        except DomainError as error:
            # Raised past the transaction, so nothing of the form is stored.
            self.message_user(request, error.detail, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        # Django looks for the row first, and so tells everybody whether there is one.
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        if not (self.audited_as and may_see_audit(request)):
            return super().history_view(request, object_id, extra_context)
        row = self.find_or_404(request, object_id)
        query = {"object_type": self.audited_as, "object_id": row.pk}
        return HttpResponseRedirect(reverse("admin:accounts_auditentry_changelist", query=query))

    def find_or_404(self, request: HttpRequest, object_id: str) -> Any:
        """The row of an address, if this person may see it."""
        found = self.get_object(request, object_id)
        if found is None:
            raise Http404
        return found

    def ask(self, request: HttpRequest, **context: Any) -> HttpResponse:
        """A page with one question: title, sentence, button, back, and perhaps a form."""
        page = {**self.admin_site.each_context(request), "opts": self.opts, **context}
        return TemplateResponse(request, "admin/ask.html", page)

    def go_to_list(self, **query: Any) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"
        return reverse(name, query=query or None)

    def go_to(self, address: Any) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
        return reverse(name, args=[address])

    def decide(
        self, request: HttpRequest, row: Any, *, do: Any, title: str, sentence: str, done: str
    ) -> HttpResponse:
        """Ask first, then do `do(row)` on POST and go back to the row; note it in the log."""
        back = self.go_to(row.pk)
        if request.method != "POST":
            return self.ask(
                request, title=f"{title} {row}?", sentence=sentence, button=title, back=back
            )
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        do(row)
        self.log_change(request, row, done)
        self.message_user(request, f"{row}: {done.lower()}", messages.SUCCESS)
        return HttpResponseRedirect(back)

    def change_each(self, request: HttpRequest, rows: Any, do: Any, done: str) -> None:
        """Call `do` for each selected row; more than a screenful is refused, so that a slip of
        the mouse does not retire the chain."""
        selected = list(rows[: BULK_ROWS_MAX + 1])
        if len(selected) > BULK_ROWS_MAX:
            sentence = f"Select at most {BULK_ROWS_MAX} at a time."
            self.message_user(request, sentence, messages.ERROR)
            return
        for row in selected:
            do(row)
            self.log_change(request, row, done)
        self.message_user(request, f"{len(selected)} changed: {done.lower()}", messages.SUCCESS)


class RetirableAdmin(BackOfficeAdmin):
    """Rows that are retired and restored, never deleted; each after a question."""

    retire_sentence: str
    restore_sentence: str
    actions = ("retire_selected", "restore_selected")
    actions_row = ("retire", "restore")
    actions_detail = ("retire", "restore")

    def retire_row(self, request: HttpRequest, row: Any) -> Any:
        """Retire by the write module of the row's app."""
        raise NotImplementedError

    def restore_row(self, request: HttpRequest, row: Any) -> Any:
        """Restore by the write module of the row's app."""
        raise NotImplementedError

    @display(
        description="State",
        ordering="retired_at",
        label={"In use": "success", "Retired": "warning"},
    )
    def show_state(self, row: Any) -> str:
        return "Retired" if row.retired_at else "In use"

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        row = self.get_object(request, object_id)
        left_out = "_retire" if row is None or row.retired_at else "_restore"
        found = super().get_actions_detail(request, object_id)
        return [a for a in found if not a.action_name.endswith(left_out)]

    @action(description="Retire", permissions=["change"], icon="block")
    def retire(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.decide(
            request,
            self.find_or_404(request, object_id),
            do=partial(self.retire_row, request),
            title="Retire",
            sentence=self.retire_sentence,
            done="Retired.",
        )

    @action(description="Restore", permissions=["change"], icon="restart_alt")
    def restore(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.decide(
            request,
            self.find_or_404(request, object_id),
            do=partial(self.restore_row, request),
            title="Restore",
            sentence=self.restore_sentence,
            done="Restored.",
        )

    @admin.action(description="Retire the selected", permissions=["change"])
    def retire_selected(self, request: HttpRequest, queryset: Any) -> None:
        self.change_each(request, queryset, partial(self.retire_row, request), "Retired.")

    @admin.action(description="Restore the selected", permissions=["change"])
    def restore_selected(self, request: HttpRequest, queryset: Any) -> None:
        self.change_each(request, queryset, partial(self.restore_row, request), "Restored.")


class AddressedChangeList(ChangeListWithoutTotal):
    """Links rows by their address, because their declared key is not the whole key."""

    def url_for_result(self, result: Any) -> str:
        return str(self.model_admin.go_to(result.address))


class _Addressed:
    """A twin's row for the links of its own page: the templates make them of `pk`."""

    def __init__(self, row: Any) -> None:
        self.row, self.pk, self._meta = row, row.address, row._meta

    def __str__(self) -> str:
        return str(self.row)


class BrowsingAdmin(BackOfficeAdmin):
    """Rows of a twin model: to look at, never to touch, not even for a superuser.

    The admin cannot show a model with a composite key. Its twin is unmanaged, on the same
    table, and declares one column as key; so rows are found by `<store_id>-<the rest>`.
    """

    source: type[models.Model]
    address_field: str
    paginator = PagesWithoutCount
    actions = None
    sortable_by = ()
    list_select_related: tuple[str, ...] = ("store", "product")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        meta = self.source._meta
        return bool(request.user.has_perm(f"{meta.app_label}.view_{meta.model_name}"))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return AddressedChangeList

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        store_id, _, rest = object_id.partition("-")
        if not is_row_id(store_id):
            return None
        rows = self.get_queryset(request).select_related(*self.list_select_related)
        try:
            return rows.filter(store_id=int(store_id), **{self.address_field: rest}).first()
        except (ValueError, ValidationError, OverflowError):
            return None

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> Any:
        # Django's log knows nothing of these rows: they are themselves the history.
        context = {"show_history": False, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        context["original"] = _Addressed(context["original"])
        return super().render_change_form(request, context, *args, **kwargs)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        raise Http404


def chosen_store(request: HttpRequest) -> str:
    """The store picked in the filters, as text; empty for all."""
    return request.GET.get("store__id__exact", "")
