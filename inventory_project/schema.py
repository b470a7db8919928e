"""OpenAPI: every operation also answers with problems; they are declared once, here."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from inventory_project.api import PROBLEM_CONTENT_TYPE, TITLES

# Of an answer that is kept by version, see caching.py.
KNOWN_ETAG = OpenApiParameter(
    "If-None-Match",
    str,
    OpenApiParameter.HEADER,
    description="The ETag of the answer you have: 304 without a body when it still holds.",
)

_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "For programs; stable."},
        "detail": {"type": "string", "description": "For people."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "pointer": {"type": "string", "description": "JSON pointer into the body."},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}
_ALWAYS = (400, 401, 403, 404, 405, 406, 414, 429, 503)
_WITH_BODY = (409, 411, 413, 415)


class ProblemAutoSchema(AutoSchema):
    """Adds the problems of the conventions to each operation."""

    def _is_list_view(self, serializer: Any = None) -> bool:
        # A plain view with pages, whose GET has no name that would say so.
        action = getattr(self.view, "action", None)
        paged = getattr(self.view, "pagination_class", None) is not None
        if self.method == "GET" and action is None and paged:
            return True
        return bool(super()._is_list_view(serializer))

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        statuses = _ALWAYS + (_WITH_BODY if self.method not in ("GET", "HEAD") else (409,))
        for status in statuses:
            operation["responses"].setdefault(str(status), _describe(status))
        if any(found.get("name") == KNOWN_ETAG.name for found in operation.get("parameters", ())):
            operation["responses"]["304"] = {"description": "As you have it."}
        return operation


def _describe(status: int) -> dict[str, Any]:
    return {
        "description": TITLES[status],
        "content": {PROBLEM_CONTENT_TYPE: {"schema": _PROBLEM}},
    }
