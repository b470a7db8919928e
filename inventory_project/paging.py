"""Keyset paging: a cursor says where the last page ended, never how many rows to pass over.

Constant cost on any page of any table, nothing skipped or shown twice while rows are added.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import DateTimeField, Model, Q, QuerySet
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from inventory_project.errors import Invalid
from inventory_project.fields import parse_instant

PAGE_ROWS_DEFAULT = 100
PAGE_ROWS_MAX = 1_000
CURSOR_CHARACTERS_MAX = 1_000
FEED_POSITION_MAX = 2**63 - 1


class KeysetPagination(BasePagination):
    """Pages `?limit=&cursor=`; the view says its unique, stable order in `page_order`.

    The answer is `{"results": [...], "next": cursor or null}`. A cursor belongs to the filters
    it was made with; with others it is refused, because the page would make no sense. A view
    whose page the database cannot find by itself has `narrow_page(queryset, rows=, behind=)`.
    """

    def paginate_queryset(  # type: ignore[override]
        self, queryset: QuerySet[Any], request: Request, view: Any = None
    ) -> list[Any]:
        self._order: Sequence[str] = view.page_order
        self._filters = _digest_filters(request)
        limit = read_limit(request)
        cursor = request.query_params.get("cursor")
        behind = [] if cursor is None else _open(cursor, self._filters)
        if cursor is not None:
            queryset = queryset.filter(self._behind(queryset.model, behind))
        if narrow := getattr(view, "narrow_page", None):
            queryset = narrow(queryset, rows=limit + 1, behind=behind)
        rows = list(queryset.order_by(*self._order)[: limit + 1])
        self._last = rows[limit - 1] if len(rows) > limit else None
        return rows[:limit]

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"results": data, "next": self._make_cursor()})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["results", "next"],
            "properties": {
                "results": schema,
                "next": {
                    "type": ["string", "null"],
                    "description": "The `cursor` of the next page; null on the last.",
                },
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return [
            {
                "name": "limit",
                "in": "query",
                "required": False,
                "description": f"Rows a page, {PAGE_ROWS_DEFAULT} if not given.",
                "schema": {"type": "integer", "minimum": 1, "maximum": PAGE_ROWS_MAX},
            },
            {
                "name": "cursor",
                "in": "query",
                "required": False,
                "description": "`next` of the page before, with the same filters.",
                "schema": {"type": "string", "maxLength": CURSOR_CHARACTERS_MAX},
            },
        ]

    def _make_cursor(self) -> str | None:
        if self._last is None:
            return None
        values = [_read_path(self._last, name.lstrip("-")) for name in self._order]
        text = json.dumps([self._filters, *values], default=str)
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def _behind(self, model: type[Model], values: list[Any]) -> Q:
        """Rows behind the last one: (a, b) > (x, y) as a > x or (a = x and b > y)."""
        if len(values) != len(self._order):
            raise _bad_cursor()
        behind, equal = Q(), Q()
        for name, raw in zip(self._order, values, strict=True):
            path = name.lstrip("-")
            value = _clean(model, path, raw)
            way = "lt" if name.startswith("-") else "gt"
            behind |= equal & Q(**{f"{path}__{way}": value})
            equal &= Q(**{path: value})
        return behind


def read_limit(request: Request, *, rows_max: int = PAGE_ROWS_MAX) -> int:
    """The `limit` parameter. Raises Invalid when it is not 1 to `rows_max`."""
    raw = request.query_params.get("limit")
    if raw is None:
        return min(PAGE_ROWS_DEFAULT, rows_max)
    if not (raw.isascii() and raw.isdecimal() and len(raw) <= 9 and 1 <= int(raw) <= rows_max):
        raise Invalid([("?limit", "out_of_range", f"must be 1 to {rows_max}")])
    return int(raw)


def read_after(request: Request) -> int:
    """The `after` parameter of a feed, 0 if not given. Raises Invalid."""
    raw = request.query_params.get("after", "0")
    if not (raw.isascii() and raw.isdecimal() and len(raw) <= 19 and int(raw) <= FEED_POSITION_MAX):
        raise Invalid([("?after", "not_a_number", "must be a whole number of 0 or more")])
    return int(raw)


def _digest_filters(request: Request) -> str:
    filters = sorted(
        (n, v) for n, v in request.query_params.items() if n not in ("cursor", "limit")
    )
    return hashlib.blake2b(repr((request.path, filters)).encode(), digest_size=6).hexdigest()


def _open(cursor: str, filters: str) -> list[Any]:
    if len(cursor) > CURSOR_CHARACTERS_MAX or not cursor.isascii():
        raise _bad_cursor()
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        content = json.loads(base64.urlsafe_b64decode(padded))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise _bad_cursor() from error
    if not isinstance(content, list) or not content or content[0] != filters:
        raise _bad_cursor()
    return content[1:]


def _clean(model: type[Model], path: str, raw: Any) -> Any:
    field: Any = next(f for f in model._meta.concrete_fields if f.attname == path)
    target = getattr(field, "target_field", field)
    if isinstance(raw, bool | float) or (isinstance(raw, str) and not _is_storable(raw)):
        raise _bad_cursor()
    try:
        value = parse_instant(raw) if isinstance(target, DateTimeField) else target.to_python(raw)
        target.run_validators(value)
    except (ValidationError, TypeError, ValueError, OverflowError) as error:
        raise _bad_cursor() from error
    if value is None:
        raise _bad_cursor()
    return value


def _is_storable(text: str) -> bool:
    return "\x00" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def _read_path(row: Any, path: str) -> Any:
    value = getattr(row, path)
    return value.isoformat() if hasattr(value, "isoformat") else value


def _bad_cursor() -> Invalid:
    return Invalid([("?cursor", "bad_cursor", "is not a cursor of this list and these filters")])
