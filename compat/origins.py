"""Web pages of other origins (CORS): those that the setting names, and only here."""

from collections.abc import Iterable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import patch_vary_headers

PREFLIGHT_S = 600


def is_preflight(request: HttpRequest) -> bool:
    """Whether a browser asks, for a page of a named origin, what it may send."""
    asks = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
    return asks and _is_named(request)


def answer_preflight(methods: Iterable[str]) -> HttpResponse:
    """What a page may send; the browser carries no key yet."""
    return HttpResponse(
        status=204,
        headers={
            "Access-Control-Allow-Methods": ", ".join(methods),
            "Access-Control-Allow-Headers": "Authorization, Content-Type, If-None-Match",
            "Access-Control-Max-Age": str(PREFLIGHT_S),
        },
    )


def allow_origin(request: HttpRequest, response: HttpResponseBase) -> None:
    """Let a page of a named origin read the answer. Never with cookies: a key comes in a header."""
    patch_vary_headers(response, ["Origin"])
    if _is_named(request):
        response["Access-Control-Allow-Origin"] = request.headers["Origin"]
        response["Access-Control-Expose-Headers"] = (
            "ETag, Link, RateLimit, RateLimit-Policy, Retry-After"
        )


def _is_named(request: HttpRequest) -> bool:
    return request.headers.get("Origin") in settings.CORS_ALLOWED_ORIGINS
