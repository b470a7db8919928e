"""A request and its answer without a framework, for the door that thousands pass each second.

Such a door takes only what is sent as nearly everybody sends it; anything else is left to Django
before anything of it was read or counted. So what is refused for its form is refused in one place.
"""

import logging
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from django.conf import settings
from django.http.request import split_domain_port, validate_host
from rest_framework.exceptions import ParseError

from inventory_project.api import PROBLEM_CONTENT_TYPE, describe_problem, make_problem
from inventory_project.headers import API_HEADERS
from inventory_project.limits import tell
from inventory_project.windows import Standing

logger = logging.getLogger(__name__)

_JSON_TYPES = frozenset(("application/json", "application/json; charset=utf-8"))
_ACCEPTS = frozenset(("", "*/*", "application/json", "application/json, */*;q=0.5"))
_BROKEN = make_problem(500, "broken", "Something went wrong here. It has been noted.")
HOSTS_KNOWN_MAX = 1_000


class Sent(NamedTuple):
    """A request: its headers under the names of WSGI, and its body, read when it is wanted."""

    meta: Mapping[str, Any]
    read: Callable[[], bytes]


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes


def is_plain(meta: Mapping[str, Any]) -> bool:
    """Whether a request has the form that nearly all have: JSON of a known length, to a host of
    ours, over TLS where that is asked for, whose sender takes JSON."""
    return (
        meta.get("CONTENT_TYPE", "").lower() in _JSON_TYPES
        and "HTTP_CONTENT_ENCODING" not in meta
        and "HTTP_TRANSFER_ENCODING" not in meta
        and meta.get("HTTP_ACCEPT", "") in _ACCEPTS
        and _is_length_taken(meta.get("CONTENT_LENGTH") or "")
        and _is_host_ours(_host_of(meta), tuple(settings.ALLOWED_HOSTS))
        and (not settings.PRODUCTION or _is_secure(meta))
    )


def _is_length_taken(text: str) -> bool:
    known = text.isascii() and text.isdecimal() and len(text) < 20
    return known and 0 < int(text) <= settings.REQUEST_BYTES_MAX


def _host_of(meta: Mapping[str, Any]) -> str:
    host: str = meta["HTTP_HOST"] if "HTTP_HOST" in meta else meta.get("SERVER_NAME", "")
    return host


@lru_cache(HOSTS_KNOWN_MAX)
def _is_host_ours(host: str, allowed: tuple[str, ...]) -> bool:
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, allowed)


def _is_secure(meta: Mapping[str, Any]) -> bool:
    """As Django's `is_secure`: what the gateway says counts, where there is one."""
    if settings.SECURE_PROXY_SSL_HEADER:
        name, secure = settings.SECURE_PROXY_SSL_HEADER
        if name in meta:
            return bool(meta[name].split(",", 1)[0].strip() == secure)
    return bool(meta.get("wsgi.url_scheme") == "https")


def read_body(sent: Sent) -> bytes:
    """The whole body. Raises rest_framework's ParseError when it ended early."""
    try:
        body = sent.read()
    except OSError as error:
        raise ParseError("The body ended early.") from error
    if len(body) < int(sent.meta["CONTENT_LENGTH"]):
        raise ParseError("The body ended early.")
    return body


def answer(status: int, document: Any, standing: Standing | None) -> Answer:
    """An answer in JSON, which tells the caller where it stands with its limit."""
    return _write(status, "application/json", document, standing, [])


def answer_error(error: Exception, standing: Standing | None) -> Answer:
    """The problem document of an error, as the views would answer it; 500 for what they know
    nothing of."""
    problem, extra = describe_problem(error)
    if problem is None:
        logger.error("A request could not be answered.", exc_info=error)
        problem = _BROKEN
    return _write(problem["status"], PROBLEM_CONTENT_TYPE, problem, standing, [*extra.items()])


def _write(
    status: int,
    content_type: str,
    document: Any,
    standing: Standing | None,
    extra: list[tuple[str, str]],
) -> Answer:
    body = orjson.dumps(document, option=orjson.OPT_UTC_Z)
    headers = [
        ("Content-Type", content_type), ("Content-Length", str(len(body))), *API_HEADERS, *extra
    ]  # fmt: skip
    if settings.PRODUCTION:
        headers.append(("Strict-Transport-Security", _write_hsts()))
    if standing is not None:
        headers.extend(tell(standing))
    return Answer(status, headers, body)


def _write_hsts() -> str:
    domains = "; includeSubDomains" if settings.SECURE_HSTS_INCLUDE_SUBDOMAINS else ""
    preload = "; preload" if settings.SECURE_HSTS_PRELOAD else ""
    return f"max-age={settings.SECURE_HSTS_SECONDS}{domains}{preload}"
