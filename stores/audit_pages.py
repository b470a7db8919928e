"""The back office of the audit: to look at and to take away, never to touch.

It stands here and not in accounts/ for the same reason as people.py.
"""

import csv
import json
from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.urls import URLPattern, path
from django.utils import timezone as clock
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter, RangeDateFilter
from unfold.decorators import display

from accounts import audit
from accounts.audit import Action
from accounts.audit_tables import AuditEntry
from inventory_project.spreadsheets import neutralise
from stores.backoffice import (
    BackOfficeAdmin,
    PagesWithoutCount,
    may_see_audit,
    read_day,
    until_end_of,
)

EXPORT_ROWS_MAX = 50_000
ROWS_READ_AT_ONCE = 1_000
COLUMNS = (
    "id", "at", "action", "actor_kind", "actor_id", "actor", "address", "request_id",
    "object_type", "object_id", "object_name", "before", "after", "count",
)  # fmt: skip
_ACTIONS = dict(Action.choices)


class ActionFilter(DropdownFilter):  # type: ignore[misc]
    title = "what"
    parameter_name = "what"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, str(label)) for value, label in Action.choices]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(action=self.value()) if self.value() else queryset


class TypeFilter(DropdownFilter):  # type: ignore[misc]
    title = "of what kind"
    parameter_name = "of"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        kinds = ("product", "category", "store", "key", "person", "role", "sale")
        return [(kind, kind.capitalize()) for kind in kinds]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(object_type=self.value()) if self.value() else queryset


class DayFilter(RangeDateFilter):  # type: ignore[misc]
    """Whole days of the chain's clock; what is no day is passed over."""

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        since = read_day(self.used_parameters.get("at_from"))
        until = until_end_of(self.used_parameters.get("at_to"))
        queryset = queryset.filter(at__gte=since) if since else queryset
        return queryset.filter(at__lt=until) if until else queryset


class AuditEntryAdmin(BackOfficeAdmin):
    """Who did what, from where, when."""

    paginator = PagesWithoutCount
    actions = None
    sortable_by = ()
    list_display = (
        "show_at", "show_action", "show_object", "show_what", "show_actor", "address", "count",
    )  # fmt: skip
    list_display_links = ("show_at", "show_action")
    list_filter = (
        ActionFilter,
        TypeFilter,
        ("actor_kind", ChoicesDropdownFilter),
        ("at", DayFilter),
    )
    list_before_template = "admin/audit_export.html"
    search_fields = ("=object_name",)  # shows the box; get_search_results does the work
    search_help_text = (
        "Search by a whole SKU, store code, key, username, object id, address or request id."
    )
    fields = (
        "id", "show_at", "show_action", "show_object", "show_actor", "address", "request_id",
        "count", "show_before", "show_after",
    )  # fmt: skip
    readonly_fields = fields

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_see_audit(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        term = audit.escape(search_term.strip())
        if not term:
            return queryset, False
        found = Q()
        for name in ("object_name", "object_id", "actor", "request_id", "address"):
            found |= Q(**{name: term})
        return queryset.filter(found), False

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.export)
        name = "accounts_auditentry_export"
        return [path("export/", page, name=name), *super().get_urls()]

    def export(self, request: HttpRequest) -> Any:
        """What the list shows, as CSV; that somebody took it away is an entry itself."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseRedirect(self.go_to_list())
        entries = self.get_changelist_instance(request).get_queryset(request)
        rows = min(entries.count(), EXPORT_ROWS_MAX)
        asked = {name: request.GET.getlist(name) for name in sorted(request.GET)}
        facts = {"what": "audit", "rows": rows, "filters": asked}
        audit.record(Action.EXPORTED, after=facts)
        return _answer_csv(entries)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        """All there is of what an entry is about."""
        if not self.has_view_permission(request):  # first: else it tells whether there is an entry
            raise PermissionDenied
        entry = self.find_or_404(request, object_id)
        query = {"object_type": entry.object_type, "object_id": entry.object_id}
        return HttpResponseRedirect(self.go_to_list(**query))

    @display(description="When (UTC)", ordering="id")
    def show_at(self, entry: AuditEntry) -> str:
        return f"{entry.at:%d %b %Y %H:%M:%S}"

    @display(description="What")
    def show_action(self, entry: AuditEntry) -> str:
        return str(_ACTIONS.get(entry.action, entry.action))

    @display(description="Of")
    def show_object(self, entry: AuditEntry) -> str:
        return f"{entry.object_type} {entry.object_name or entry.object_id}".strip()

    @display(description="Which")
    def show_what(self, entry: AuditEntry) -> str:
        told = json.loads(entry.after) if entry.after else {}
        if entry.action == Action.REFUSED:
            return f"{told['method']} {told['path']} ({told['status']})"
        names = told if entry.before else ()  # of what is new, all of it
        return ", ".join(name.removesuffix("_id").replace("_", " ") for name in names)

    @display(description="Who")
    def show_actor(self, entry: AuditEntry) -> str:
        kind = entry.get_actor_kind_display()
        return f"{kind.lower()} {entry.actor}" if entry.actor else kind

    @display(description="Before")
    def show_before(self, entry: AuditEntry) -> str:
        return _show_json(entry.before)

    @display(description="After")
    def show_after(self, entry: AuditEntry) -> str:
        return _show_json(entry.after)


def _show_json(text: str) -> str:
    shown = json.dumps(json.loads(text), indent=2, ensure_ascii=False) if text else "nothing"
    return format_html('<pre class="whitespace-pre-wrap">{}</pre>', shown)


# --- taking it away ---------------------------------------------------------------------------


class _Line:
    """A file of which each line is handed on at once."""

    def write(self, text: str) -> str:
        return text


def _answer_csv(entries: QuerySet[AuditEntry]) -> HttpResponse | StreamingHttpResponse:
    # The mark in front tells spreadsheets that this is UTF-8.
    lines = map(csv.writer(_Line()).writerow, _read_cells(entries))  # type: ignore[arg-type]
    return StreamingHttpResponse(
        _prepend("\ufeff", lines),
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="audit-{clock.now():%Y%m%dT%H%M%S}.csv"',
            "Cache-Control": "no-store",
        },
    )


def _prepend(first: str, lines: Iterable[Any]) -> Iterator[Any]:
    yield first
    yield from lines


def _read_cells(entries: QuerySet[AuditEntry]) -> Iterator[list[str]]:
    """Newest first, a thousand at a time: no cursor is held while somebody's line is slow."""
    yield list(COLUMNS)
    left, rest = EXPORT_ROWS_MAX, entries.order_by("-id")
    while rows := list(rest.values_list(*COLUMNS)[: min(left, ROWS_READ_AT_ONCE)]):
        for row in rows:
            yield [neutralise("" if cell is None else str(cell)) for cell in row]
        left, rest = left - len(rows), rest.filter(pk__lt=rows[-1][0])
        if not left:
            return


def register(site: AdminSite) -> None:
    """Put the audit on this site."""
    site.register(AuditEntry, AuditEntryAdmin)
