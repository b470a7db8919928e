"""Every address of the API with its methods, as the URL resolver knows them."""

import re
from collections.abc import Iterator

from django.urls import URLPattern, get_resolver

METHODS = ("get", "post", "put", "patch", "delete")


def api_routes() -> list[tuple[str, str]]:
    """(method, route) of everything under /api/, such as ("GET", "/api/stores/<code>/")."""
    return sorted(
        (method.upper(), "/" + re.sub(r"<\w+:", "<", str(pattern.pattern)))
        for pattern in get_resolver().url_patterns
        if isinstance(pattern, URLPattern) and str(pattern.pattern).startswith("api/")
        for method in _methods_of(pattern)
    )


def _methods_of(pattern: URLPattern) -> Iterator[str]:
    actions = getattr(pattern.callback, "actions", None)
    view = getattr(pattern.callback, "view_class", None) or pattern.callback.cls
    for method in METHODS:
        if (actions and method in actions) or (not actions and hasattr(view, method)):
            yield method


def fill_in(route: str, **values: str) -> str:
    """The address of a route."""
    return re.sub(r"<(\w+)>", lambda match: values[match.group(1)], route)
