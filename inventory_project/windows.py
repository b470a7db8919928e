"""Sliding windows: how many units somebody took in the last minute, and whether more fit.

With Redis all processes count together: one script, so atomic, and one round trip. It is made of
those of `limits`, whose strategies would ask a second time for what is left.

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
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

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


class Limit(NamedTuple):
    """So many units a window, of this kind, for this caller."""

    kind: str
    units: int
    who: str


class Ask(NamedTuple):
    """So many units of a limit, or none if they do not all fit.

    A refusal says when `wait_for` units fit, if that is more than was asked for.
    """

    limit: Limit
    cost: int = 1
    wait_for: int = 0

    @property
    def units_waited_for(self) -> int:
        return max(self.cost, self.wait_for)


class Standing(NamedTuple):
    """Where a caller stands after asking for units."""

    limit: Limit
    allowed: bool
    remaining: int
    # Refused: until what was asked for fits. Else until the first units come back.
    wait_s: float


def take(limit: Limit, cost: int, *, wait_for: int = 0) -> Standing:
    """Take so many units, or none if they do not all fit; see Ask."""
    return take_all([Ask(limit, cost, wait_for)])[0]


def take_all(asks: Sequence[Ask]) -> list[Standing]:
    """Take for several callers, each by itself; Redis is asked once for all of them."""
    if not settings.REDIS_URL:
        return [_local.take(ask) for ask in asks]
    own = [_local.look(ask) for ask in asks]
    fitting = [ask for ask, standing in zip(asks, own, strict=True) if standing.allowed]
    shared = _ask_shared(fitting) if fitting else []
    if shared is None:
        return [_local.take(ask) for ask in asks]
    told = iter(shared)
    return [
        _note(ask, next(told)) if standing.allowed else standing
        for ask, standing in zip(asks, own, strict=True)
    ]


def _note(ask: Ask, shared: Standing) -> Standing:
    if not shared.allowed:
        return shared
    return shared._replace(remaining=min(shared.remaining, _local.note(ask)))


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

    def look(self, ask: Ask) -> Standing:
        """How it would go; takes nothing."""
        with self._lock:
            taken = self._find(ask.limit)
            return self._stand(taken, ask.limit, ask.cost, ask.units_waited_for)

    def take(self, ask: Ask) -> Standing:
        with self._lock:
            taken = self._find(ask.limit)
            standing = self._stand(taken, ask.limit, ask.cost, ask.units_waited_for)
            if not standing.allowed:
                return standing
            self._add(taken, ask.limit, ask.cost)
            return self._stand(taken, ask.limit, 0, 1)

    def note(self, ask: Ask) -> int:
        """Count what Redis granted; returns what is left here."""
        with self._lock:
            taken = self._find(ask.limit)
            self._add(taken, ask.limit, ask.cost)
            return max(0, ask.limit.units - taken.units)

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


# Both scripts of `limits` in one, each with its own KEYS and ARGV: atomic together, and one answer.
_IN_ONE = """
local function acquire(KEYS, ARGV) {acquire} end
local function tell(KEYS, ARGV) {tell} end
"""
# The units are listed youngest first. While the last one told is in the window, nothing fits.
_EXACTLY = """
local now, units, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local allowed = acquire(KEYS, ARGV) and 1 or 0
return {allowed, tell(KEYS, {now - window, units}) or false,
        redis.call('lindex', KEYS[1], units - ARGV[5])}
"""
_BY_COUNT = """
local allowed = acquire(KEYS, ARGV) and 1 or 0
return {allowed, tell(KEYS, {ARGV[2]})}
"""


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
        storage = RedisStorage(url, **options)
        self._redis: Any = storage.storage
        self._exactly = self._join(
            storage.lua_acquire_moving_window, storage.lua_moving_window, _EXACTLY
        )
        self._by_count = self._join(
            storage.lua_acquire_sliding_window, storage.lua_sliding_window, _BY_COUNT
        )

    def _join(self, acquire: Any, tell: Any, both: str) -> Any:
        words = {"acquire": acquire.script.decode(), "tell": tell.script.decode()}
        return self._redis.register_script(_IN_ONE.format(**words) + both)

    def take_all(self, asks: Sequence[Ask]) -> list[Standing]:
        now = time.time()
        commands = [self._write_command(ask, now) for ask in asks]
        answers = self._send(commands)
        unheard = [n for n, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unheard:  # a Redis that was started since; nothing was counted
            self._load_scripts()
            again = self._send([commands[n] for n in unheard])
            for n, answer in zip(unheard, again, strict=True):
                answers[n] = answer
        return [self._read(ask, now, answer) for ask, answer in zip(asks, answers, strict=True)]

    def _send(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Ask for all at once; a script that Redis does not know is an answer here."""
        if len(commands) == 1:  # a pipeline costs as much again
            try:
                return [self._redis.execute_command(*commands[0])]
            except NoScriptError as error:
                return [error]
        pipe: Any = self._redis.pipeline(transaction=False)
        for command in commands:
            pipe.execute_command(*command)
        answers: list[Any] = pipe.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, Exception) and not isinstance(answer, NoScriptError):
                raise answer
        return answers

    def _write_command(self, ask: Ask, now: float) -> Sequence[Any]:
        name, units = _name(ask.limit), ask.limit.units
        if units <= EXACT_UNITS_MAX:
            return (
                "EVALSHA", self._exactly.sha, 1, name,
                now, units, WINDOW_S, ask.cost, ask.units_waited_for,
            )  # fmt: skip
        current = f"{{{name}}}"  # braces: a cluster keeps both on one node
        return (
            "EVALSHA", self._by_count.sha, 2, f"{current}/-1", current, units, WINDOW_S, ask.cost,
        )  # fmt: skip

    def _read(self, ask: Ask, now: float, answer: Any) -> Standing:
        if ask.limit.units <= EXACT_UNITS_MAX:
            return self._read_exactly(ask, now, *answer)
        return self._read_by_count(ask, *answer)

    def _read_exactly(
        self, ask: Ask, now: float, allowed: int, window: Any, in_the_way: Any
    ) -> Standing:
        oldest, count = window or (now, 0)
        age_s = now - float(oldest if allowed else in_the_way or now)
        # Not below 0: another process's clock may be ahead, and Lua rounds what it tells.
        wait_s = WINDOW_S - max(0.0, age_s)
        return Standing(ask.limit, bool(allowed), ask.limit.units - int(count), wait_s)

    def _read_by_count(self, ask: Ask, allowed: int, told: Any) -> Standing:
        units = ask.limit.units
        counts = _Counts(*(max(0, int(value or 0)) for value in told))
        remaining = max(0, units - counts.weighted)
        wait_s = counts.window_left_s if allowed else counts.wait_s(units, ask.units_waited_for)
        return Standing(ask.limit, bool(allowed), remaining, wait_s)

    def _load_scripts(self) -> None:
        for script in (self._exactly, self._by_count):
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


def _ask_shared(asks: Sequence[Ask]) -> list[Standing] | None:
    """What Redis says; None when it is away, and for some seconds after that without asking."""
    global _away_until
    now = time.monotonic()
    if now < _away_until:
        return None
    if _away_until:  # one request asks whether it is back; the others do not wait with it
        _away_until = now + SILENCE_AFTER_FAILURE_S
    try:
        standings = _shared(settings.REDIS_URL).take_all(asks)
    except (redis.RedisError, OSError) as error:
        _away_until = time.monotonic() + SILENCE_AFTER_FAILURE_S
        logger.warning("Redis is away, each process limits by itself: %s", error)
        return None
    if _away_until:
        _away_until = 0.0
        logger.warning("Redis is back, all processes limit together.")
    return standings


@cache
def _shared(url: str) -> SharedWindow:
    return SharedWindow(url)


def _name(limit: Limit) -> str:
    return f"{KEY_PREFIX}:{limit.kind}:{limit.who}"
