"""Sliding windows: how many units somebody took in the last minute, and whether more fit.

With Redis all processes count together: one script, so atomic, and one round trip. The scripts
and their storage are those of `limits`; its strategies would ask a second time for what is left.

- Up to EXACT_UNITS_MAX units the window is exact: Redis keeps the time of every unit (by the
  clock of the process that took it).
- Above, it is the count of this minute and a share of the last one, as if that had been spent
  evenly. Who spends a whole limit at the very end of one minute may spend nearly a second one,
  little by little, in the next 60 seconds; who spent it at the start waits up to a minute more
  than needed. Over whole minutes nobody gets more than the limit.

Each process keeps a window of its own beside it. It is all there is without Redis, and what
holds while Redis is away: each process then grants up to the whole limit. It is not divided,
because nobody knows how many processes there are and a till talks to any of them. As it also
counts while Redis is there, a Redis that comes back empty does not open a process again.
"""

import logging
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import redis
from django.conf import settings
from limits.storage import RedisStorage
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry

logger = logging.getLogger(__name__)

WINDOW_S = 60
EXACT_UNITS_MAX = 1_000
KEY_PREFIX = "limits"
# The local window forgets who has not asked for longest; a caller is at most some 100 kB.
LOCAL_CALLERS_MAX = 10_000
# Above EXACT_UNITS_MAX the local window joins what comes within this; it is given back up to so
# much later, never sooner.
LOCAL_SLOT_S = WINDOW_S / 100
SILENCE_AFTER_FAILURE_S = 5


@dataclass(frozen=True)
class Limit:
    """So many units a window, of this kind, for this caller."""

    kind: str
    units: int
    who: str


@dataclass(frozen=True)
class Standing:
    """Where a caller stands after asking for units."""

    limit: Limit
    allowed: bool
    remaining: int
    # Refused: until what was asked for fits. Else until the first units come back.
    wait_s: float


def take(limit: Limit, cost: int, *, wait_for: int = 0) -> Standing:
    """Take so many units, or none if they do not all fit.

    A refusal says when `wait_for` units fit, if that is more than was asked for.
    """
    wait_for = max(cost, wait_for)
    if not settings.REDIS_URL:
        return _local.take(limit, cost, wait_for)
    own = _local.look(limit, cost, wait_for)
    if not own.allowed:
        return own
    shared = _ask_shared(limit, cost, wait_for)
    if shared is None:
        return _local.take(limit, cost, wait_for)
    if not shared.allowed:
        return shared
    remaining = _local.note(limit, cost)
    return replace(shared, remaining=min(shared.remaining, remaining))


# --- in this process ------------------------------------------------------------------------


class _Taken:
    """What one caller took: [time of the first, time of the last, units], oldest first."""

    def __init__(self) -> None:
        self.slots: deque[list[float]] = deque()
        self.units = 0

    def forget_before(self, start: float) -> None:
        while self.slots and self.slots[0][1] <= start:
            self.units -= int(self.slots.popleft()[2])

    def add(self, cost: int, now: float, slot_s: float) -> None:
        self.units += cost
        if self.slots and now - self.slots[-1][0] < slot_s:
            self.slots[-1][1:] = [now, self.slots[-1][2] + cost]
        else:
            self.slots.append([now, now, cost])

    def seconds_until_free(self, units: int, now: float) -> float:
        """When so many units have come back; a window when there are not so many."""
        for _, last, count in self.slots:
            units -= int(count)
            if units <= 0:
                return last + WINDOW_S - now
        return WINDOW_S


class LocalWindow:
    """Counts in this process. The storage in memory of `limits` starts a thread for nearly every
    hit (0.5 ms) and keeps every caller for ever; here it is 3 µs, and LOCAL_CALLERS_MAX."""

    def __init__(self) -> None:
        self._callers: OrderedDict[str, _Taken] = OrderedDict()
        self._lock = threading.Lock()

    def look(self, limit: Limit, cost: int, wait_for: int) -> Standing:
        """How it would go; takes nothing."""
        with self._lock:
            return self._stand(self._find(limit), limit, cost, wait_for)

    def take(self, limit: Limit, cost: int, wait_for: int) -> Standing:
        with self._lock:
            taken = self._find(limit)
            standing = self._stand(taken, limit, cost, wait_for)
            if not standing.allowed:
                return standing
            self._add(taken, limit, cost)
            return self._stand(taken, limit, 0, 1)

    def note(self, limit: Limit, cost: int) -> int:
        """Count what Redis granted; returns what is left here."""
        with self._lock:
            taken = self._find(limit)
            self._add(taken, limit, cost)
            return max(0, limit.units - taken.units)

    def _find(self, limit: Limit) -> _Taken:
        name = _name(limit)
        if name not in self._callers:
            self._callers[name] = _Taken()
            if len(self._callers) > LOCAL_CALLERS_MAX:
                self._callers.popitem(last=False)
        self._callers.move_to_end(name)
        self._callers[name].forget_before(time.monotonic() - WINDOW_S)
        return self._callers[name]

    def _add(self, taken: _Taken, limit: Limit, cost: int) -> None:
        taken.add(cost, time.monotonic(), LOCAL_SLOT_S if limit.units > EXACT_UNITS_MAX else 0)

    def _stand(self, taken: _Taken, limit: Limit, cost: int, wait_for: int) -> Standing:
        allowed = taken.units + cost <= limit.units
        free = 1 if allowed else taken.units + wait_for - limit.units
        wait_s = taken.seconds_until_free(free, time.monotonic())
        return Standing(limit, allowed, max(0, limit.units - taken.units), wait_s)


_local = LocalWindow()


# --- in Redis -------------------------------------------------------------------------------


class SharedWindow:
    """Counts in Redis. Raises redis.RedisError when that is away."""

    def __init__(self, url: str) -> None:
        # One more try, for a connection that a restart of Redis has cut. Not after a timeout:
        # a till would wait for it twice.
        once = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
        options: dict[str, Any] = {
            "socket_timeout": settings.REDIS_TIMEOUT_S,
            "socket_connect_timeout": settings.REDIS_TIMEOUT_S,
            "retry": once,
        }
        self._scripts = RedisStorage(url, **options)
        self._redis: redis.Redis = self._scripts.storage

    def take(self, limit: Limit, cost: int, wait_for: int) -> Standing:
        ask = self._ask_exactly if limit.units <= EXACT_UNITS_MAX else self._ask_by_count
        try:
            return ask(limit, cost, wait_for)
        except NoScriptError:  # a Redis that was started since; nothing was counted
            self._load_scripts()
            return ask(limit, cost, wait_for)

    def _ask_exactly(self, limit: Limit, cost: int, wait_for: int) -> Standing:
        key, now, script = _name(limit), time.time(), self._scripts
        pipe: Any = self._redis.pipeline(transaction=False)
        pipe.evalsha(script.lua_acquire_moving_window.sha, 1, key, now, limit.units, WINDOW_S, cost)
        pipe.evalsha(script.lua_moving_window.sha, 1, key, now - WINDOW_S, limit.units)
        # The units are listed youngest first. While this one is in the window, nothing fits.
        pipe.lindex(key, limit.units - wait_for)
        allowed, window, in_the_way = pipe.execute()
        oldest, count = window or (now, 0)
        age_s = now - float(oldest if allowed else in_the_way or now)
        # Not below 0: another process's clock may be ahead, and Lua rounds what it tells.
        wait_s = WINDOW_S - max(0.0, age_s)
        return Standing(limit, bool(allowed), limit.units - int(count), wait_s)

    def _ask_by_count(self, limit: Limit, cost: int, wait_for: int) -> Standing:
        current = f"{{{_name(limit)}}}"  # braces: a cluster keeps both on one node
        previous, script = f"{current}/-1", self._scripts
        pipe: Any = self._redis.pipeline(transaction=False)
        pipe.evalsha(
            script.lua_acquire_sliding_window.sha, 2, previous, current, limit.units, WINDOW_S, cost
        )
        pipe.evalsha(script.lua_sliding_window.sha, 2, previous, current, WINDOW_S)
        allowed, told = pipe.execute()
        counts = _Counts(*(max(0, int(value or 0)) for value in told))
        remaining = max(0, limit.units - counts.weighted)
        wait_s = counts.window_left_s if allowed else counts.wait_s(limit.units, wait_for)
        return Standing(limit, bool(allowed), remaining, wait_s)

    def _load_scripts(self) -> None:
        # Those that take come last: another process that finds one of them must find the one
        # that tells, too, or it would take again.
        for script in (
            self._scripts.lua_moving_window,
            self._scripts.lua_sliding_window,
            self._scripts.lua_acquire_moving_window,
            self._scripts.lua_acquire_sliding_window,
        ):
            self._redis.script_load(script.script)


@dataclass(frozen=True)
class _Counts:
    """What the counter knows: the last window and this one, and how long each is kept."""

    previous: int
    previous_left_ms: int
    current: int
    current_left_ms: int

    @property
    def weighted(self) -> int:
        return self.previous * self.previous_left_ms // (WINDOW_S * 1000) + self.current

    @property
    def window_left_s(self) -> float:
        return max(0.0, self.current_left_ms / 1000 - WINDOW_S)  # kept for one window more

    def wait_s(self, units: int, cost: int) -> float:
        """When so many units fit, if nobody takes any until then."""
        room = units - cost
        if self.current <= room and self.previous:
            return self.previous_left_ms / 1000 - (room - self.current) * WINDOW_S / self.previous
        share = room / self.current if self.current else 1
        return self.window_left_s + WINDOW_S * (1 - share)


_away_until = 0.0


def _ask_shared(limit: Limit, cost: int, wait_for: int) -> Standing | None:
    """What Redis says; None when it is away, and for some seconds after that without asking."""
    global _away_until
    now = time.monotonic()
    if now < _away_until:
        return None
    if _away_until:  # one request asks whether it is back; the others do not wait with it
        _away_until = now + SILENCE_AFTER_FAILURE_S
    try:
        standing = _shared(settings.REDIS_URL).take(limit, cost, wait_for)
    except (redis.RedisError, OSError) as error:
        _away_until = time.monotonic() + SILENCE_AFTER_FAILURE_S
        logger.warning("Redis is away, each process limits by itself: %s", error)
        return None
    if _away_until:
        _away_until = 0.0
        logger.warning("Redis is back, all processes limit together.")
    return standing


@cache
def _shared(url: str) -> SharedWindow:
    return SharedWindow(url)


def _name(limit: Limit) -> str:
    return f"{KEY_PREFIX}:{limit.kind}:{limit.who}"
