"""Limits of the API: who pays, how much, and how it is told.

Every credential has its own window (windows.py): a key, a person signed in, and only who has
neither is known by the address. A request is 1 unit; a batch is 1 for each 50 events begun,
whose rest is taken when it has been read and before anything is stored. A batch never costs more
than the whole limit, else it could never pass.

`RateLimit-Policy` and `RateLimit` are those of draft-ietf-httpapi-ratelimit-headers-11; `t` is
when the first units come back (above windows.EXACT_UNITS_MAX: when this minute ends).

A view with `limit_kind = "earlier"` has a window of its own, beside the credential's.
"""

import ipaddress
import math
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from inventory_project.errors import RateLimited
from inventory_project.windows import WINDOW_S, Ask, Limit, Standing, take_all

# Raised before rest_framework comes to its throttles, so that nothing was taken yet.
_REFUSED_AT_THE_DOOR = (
    exceptions.NotAuthenticated,
    exceptions.AuthenticationFailed,
    exceptions.PermissionDenied,
    PermissionDenied,
)


class CredentialThrottle(BaseThrottle):
    """rest_framework's hook and nothing more: its own counting lets more through than it says."""

    def allow_request(self, request: Request, view: Any) -> bool:
        _take(request, Ask(find_limit(request, view)))
        return True


def charge_batch(request: Request, sent: Any, name: str) -> None:
    """Take what the batch under this name costs beyond the request itself. Raises RateLimited."""
    standing = standing_of(request._request)
    rest = standing and ask_for_rest(standing.limit, count_rows(sent, name))
    if rest:
        _take(request, rest)


def count_rows(sent: Any, name: str) -> int:
    """How many rows a body has under this name, 1 if there is no list."""
    rows = sent.get(name) if isinstance(sent, dict) else None
    return len(rows) if isinstance(rows, list) else 1


def ask_for_rest(limit: Limit, count: int) -> Ask | None:
    """What so many rows cost beyond the request itself, None for nothing."""
    cost = cost_of_batch(count, limit)
    return Ask(limit, cost - 1, wait_for=cost) if cost > 1 else None


def cost_of_batch(count: int, limit: Limit) -> int:
    count = min(count, settings.BATCH_EVENTS_MAX)  # more is refused, whatever it is
    return min(math.ceil(count / settings.LIMIT_EVENTS_A_UNIT), limit.units)


def charge_refusal(error: Exception, request: Request, view: Any) -> Exception:
    """What to answer for this error: itself, or RateLimited for who is refused too often."""
    if not isinstance(error, _REFUSED_AT_THE_DOOR) or standing_of(request._request):
        return error
    try:
        _take(request, Ask(find_limit(request, view)))
    except RateLimited as limited:
        return limited
    return error


def find_limit(request: Request, view: Any) -> Limit:
    """The caller's limit at this view."""
    kind, who = _identify(request)
    kind = getattr(view, "limit_kind", kind)
    return Limit(kind, settings.LIMITS_A_MINUTE[kind], who)


def describe(limit: Limit) -> dict[str, Any]:
    """The limit as the caller is told it."""
    return {
        "kind": limit.kind,
        "units": limit.units,
        "seconds": WINDOW_S,
        "events_a_unit": settings.LIMIT_EVENTS_A_UNIT,
    }


def _take(request: Request, ask: Ask) -> None:
    (standing,) = take_all([ask])
    request._request.limit_standing = standing  # type: ignore[attr-defined]
    refuse_if_spent(standing)


def refuse_if_spent(standing: Standing) -> None:
    """Raises RateLimited when the units were not given."""
    if not standing.allowed:
        raise RateLimited(standing.limit.units, round_up_wait(standing))


def round_up_wait(standing: Standing) -> int:
    """Whole seconds, never 0: who comes back at once is refused again."""
    return max(1, math.ceil(standing.wait_s))


def standing_of(request: HttpRequest) -> Standing | None:
    standing: Standing | None = getattr(request, "limit_standing", None)
    return standing


# --- who asks -------------------------------------------------------------------------------


def _identify(request: Request) -> tuple[str, str]:
    # Not `request.user`: after a refusal that would look the key up again.
    principal = getattr(request, "_user", None)
    key, user = getattr(principal, "key", None), getattr(principal, "user", None)
    if key is not None:
        return _identify_key(key)
    if user is not None:
        return "staff", f"user:{user.pk}"
    return "anonymous", f"address:{read_address(request.META)}"


def _identify_key(key: Any) -> tuple[str, str]:
    return "head_office" if key.store_id is None else "device", f"key:{key.prefix}"


def find_key_limit(key: Any) -> Limit:
    """The limit of a key, at every view that has none of its own."""
    kind, who = _identify_key(key)
    return Limit(kind, settings.LIMITS_A_MINUTE[kind], who)


def find_stranger_limit(meta: Mapping[str, Any]) -> Limit:
    """The limit of who has no key that opens anything: that of the address."""
    kind = "anonymous"
    return Limit(kind, settings.LIMITS_A_MINUTE[kind], f"address:{read_address(meta)}")


def read_address(meta: Mapping[str, Any]) -> str:
    """Where a request comes from: the peer, or the one that the gateway saw.

    Anybody can write X-Forwarded-For, so without BEHIND_TLS_GATEWAY it is not read, and with it
    only what stands last, which the gateway itself has added. Of IPv6 the network: one caller
    has 2^64 addresses.
    """
    candidates = [meta.get("REMOTE_ADDR", "")]
    if settings.BEHIND_TLS_GATEWAY:
        candidates.insert(0, meta.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2])
    return next(filter(None, map(_read_network, candidates)), "unknown")


def _read_network(text: str) -> str:
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), 64), strict=False))


# --- how it is told -------------------------------------------------------------------------


class TellLimits:
    """Middleware: writes where the caller stands into every answer that took units."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = self.get_response(request)
        standing = standing_of(request)
        if standing is not None:
            for name, value in tell(standing):
                response[name] = value
        return response


def tell(standing: Standing) -> list[tuple[str, str]]:
    """Where a caller stands, as headers."""
    limit, wait_s = standing.limit, round_up_wait(standing)
    return [
        ("RateLimit-Policy", f'"{limit.kind}";q={limit.units};w={WINDOW_S}'),
        ("RateLimit", f'"{limit.kind}";r={standing.remaining};t={wait_s}'),
    ]
