"""The back office's door: how often somebody may try a password.

The page is no view of the API, so `django-ratelimit` counts: tries of one account from one address
(LIMIT_LOG_IN), and of all accounts from one address (LIMIT_ANONYMOUS), a minute. Its minute begins
at a fixed second, so around that one twice as many may pass. Right passwords count as well.
"""

import fcntl
import logging
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.core.cache.backends.filebased import FileBasedCache
from django.http import HttpRequest, HttpResponseBase
from django.template.response import SimpleTemplateResponse
from django_ratelimit.core import get_usage

from inventory_project.limits import read_address

logger = logging.getLogger(__name__)

WAIT_WITHOUT_REDIS_S = 5
LogIn = Callable[..., HttpResponseBase]


def guard_log_in(log_in: LogIn) -> LogIn:
    """The page, but for who tried too often: told when to try again, no password looked at."""

    @wraps(log_in)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method != "POST":
            return log_in(request, *args, **kwargs)
        try:
            wait_s = _count_try(request)
        except redis.RedisError as error:
            # Without the common count every process would be one more set of tries.
            logger.warning("Nobody can log in, Redis is away: %s", error)
            return _refuse(503, WAIT_WITHOUT_REDIS_S)
        return _refuse(429, wait_s) if wait_s else log_in(request, *args, **kwargs)

    return guarded


def _count_try(request: HttpRequest) -> int:
    """Seconds to wait, 0 for none. The address first: it bounds how many accounts are counted."""
    limits = (
        ("log-in-address", _address_of, settings.LIMITS_A_MINUTE["anonymous"]),
        ("log-in", _account_and_address_of, settings.LIMIT_LOG_IN),
    )
    for group, key, count in limits:
        usage = get_usage(request, group=group, key=key, rate=f"{count}/m", increment=True)
        if usage["should_limit"]:
            return max(1, int(usage["time_left"]))
    return 0


def _address_of(group: str, request: HttpRequest) -> str:
    return read_address(request.META)


def _account_and_address_of(group: str, request: HttpRequest) -> str:
    name = unicodedata.normalize("NFKC", request.POST.get("username", "")).casefold().strip()
    return f"{read_address(request.META)} {name}"


def _refuse(status: int, wait_s: int) -> HttpResponseBase:
    facts = {"wait_s": wait_s, "too_often": status == 429}
    response = SimpleTemplateResponse("log_in_later.html", facts, status=status)
    response["Retry-After"] = str(wait_s)
    response["Cache-Control"] = "no-store"
    return response.render()


class CountingFileCache(FileBasedCache):
    """Files that count exactly, for all processes of one machine: Django's own read and write
    in two steps, and two tries at once count as one."""

    def add(self, *args: Any, **kwargs: Any) -> bool:
        with self._alone():
            return super().add(*args, **kwargs)

    def incr(self, *args: Any, **kwargs: Any) -> int:
        with self._alone():
            return super().incr(*args, **kwargs)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._createdir()  # type: ignore[attr-defined]
        with Path(self._dir, "lock").open("w") as lock:  # type: ignore[attr-defined]
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
