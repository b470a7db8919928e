"""The back office's door: how often somebody may try a password or a code.

The pages are no views of the API, so `django-ratelimit` counts: tries of one account from one
address (LIMIT_LOG_IN), and of all accounts from one address (LIMIT_ANONYMOUS), a minute. Its minute
begins at a fixed second, so around that one twice as many may pass. Right passwords count as well.

Wrong ones are counted for a day besides: after as many as a minute may have, the next waits a
minute, after as many again two, and so on to an hour.
"""

import fcntl
import hashlib
import logging
import math
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import redis
from django.conf import settings
from django.core.cache import BaseCache, caches
from django.core.cache.backends.filebased import FileBasedCache
from django.http import HttpRequest, HttpResponseBase
from django.template.response import SimpleTemplateResponse
from django_ratelimit.core import get_usage

from inventory_project.limits import read_address

logger = logging.getLogger(__name__)

WAIT_WITHOUT_REDIS_S = 5
FIRST_WAIT_S, LONGEST_WAIT_S, DAY_S = 60, 3_600, 86_400


class Pace(NamedTuple):
    """Who may fail how often in a day before having to wait, and for how long the first time.

    Each further round of as many failures waits twice as long, up to LONGEST_WAIT_S at least.
    """

    who: str
    failures: int
    first_wait_s: int = FIRST_WAIT_S

    @property
    def until_key(self) -> str:
        return f"until-{self._hash}"

    @property
    def failures_key(self) -> str:
        return f"failures-{int(time.time() // DAY_S)}-{self._hash}"

    @property
    def _hash(self) -> str:
        return hashlib.sha256(self.who.encode()).hexdigest()


class Tries:
    """Tries of one account from one address to prove who it is, by a password or a code.

    An attacker waits longer and longer; the same person elsewhere does not. `more` are paces
    besides: one for an account wherever it is tried from only bounds what comes after the
    password, else anybody could lock anybody out.

    What is asked for (`of`) counts by itself: who has a password could else clear with it what
    they failed in guessing codes.
    """

    def __init__(self, request: HttpRequest, account: str, *more: Pace, of: str = "") -> None:
        self.request = request
        self.account = of + unicodedata.normalize("NFKC", account).casefold().strip()
        self.address = read_address(request.META)
        anonymous = settings.LIMITS_A_MINUTE["anonymous"]
        self.paces = [
            Pace(f"address {self.address}", anonymous),
            Pace(self._own, settings.LIMIT_LOG_IN),
            *more,
        ]

    @property
    def _own(self) -> str:
        return f"{self.address} {self.account}"

    def begin(self) -> int:
        """Count one more try; seconds to wait before it is looked at, 0 for none."""
        return max(self._count_try(), self._find_wait())

    def _count_try(self) -> int:
        """At most so many a minute, right or wrong: exact, however many come at once. The address
        first: it bounds how many accounts are counted."""
        limits = (
            ("log-in-address", self.address, settings.LIMITS_A_MINUTE["anonymous"]),
            ("log-in", self._own, settings.LIMIT_LOG_IN),
        )
        for group, who, count in limits:
            usage = get_usage(
                self.request, group=group, key=lambda *_, who=who: who, rate=f"{count}/m",
                increment=True,
            )  # fmt: skip
            if usage["should_limit"]:
                return max(1, int(usage["time_left"]))
        return 0

    def _find_wait(self) -> int:
        untils = _cache().get_many([pace.until_key for pace in self.paces])
        return max(0, math.ceil(max(untils.values(), default=0) - time.time()))

    def fail(self) -> None:
        """The try was wrong: after each round of them the next has to wait, longer each time."""
        for pace in self.paces:
            rounds, rest = divmod(_count_failure(pace), pace.failures)
            if not rest:
                longest_s = max(LONGEST_WAIT_S, pace.first_wait_s)
                wait_s = min(pace.first_wait_s * 2 ** min(rounds - 1, 20), longest_s)
                _cache().set(pace.until_key, time.time() + wait_s, timeout=wait_s)
                logger.warning("Wrong tries from %s: the next waits %s s.", self.address, wait_s)

    def succeed(self) -> None:
        """The try was right: what failed before from here is forgotten. Not what failed for other
        accounts: else an attacker's own account would clear the address."""
        _cache().delete(Pace(self._own, 1).failures_key)


def _count_failure(pace: Pace) -> int:
    key, cache = pace.failures_key, _cache()
    if cache.add(key, 1, timeout=DAY_S):
        return 1
    try:
        count = int(cache.incr(key))
    except ValueError:  # the cache made room for others since
        return 1
    cache.touch(key, DAY_S)  # in files, incr would keep it for five minutes
    return count


def _cache() -> BaseCache:
    return caches[settings.RATELIMIT_USE_CACHE]


class GuardedTries:
    """For a form's view: no try is looked at before its turn, and what came of it is counted."""

    request: HttpRequest
    tries: Tries

    def find_tries(self) -> Tries:
        """Whose tries these are."""
        raise NotImplementedError

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            self.tries = self.find_tries()
            wait_s = self.tries.begin()
            return refuse(429, wait_s) if wait_s else super().post(request, *args, **kwargs)  # type: ignore[misc]
        except redis.RedisError as error:
            # Without the common count every process would be one more set of tries.
            logger.warning("Nobody can log in, Redis is away: %s", error)
            return refuse(503, WAIT_WITHOUT_REDIS_S)

    def form_valid(self, form: Any) -> Any:
        self.tries.succeed()
        return super().form_valid(form)  # type: ignore[misc]

    def form_invalid(self, form: Any) -> Any:
        self.tries.fail()
        return super().form_invalid(form)  # type: ignore[misc]


def refuse(status: int, wait_s: int) -> HttpResponseBase:
    """The page that says when to try again."""
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

    def touch(self, *args: Any, **kwargs: Any) -> bool:
        with self._alone():
            return super().touch(*args, **kwargs)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._createdir()  # type: ignore[attr-defined]
        with Path(self._dir, "lock").open("w") as lock:  # type: ignore[attr-defined]
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
