"""Who may come in while it is crowded: refused at the door, before anything was asked of anybody.

A web process does a handful of requests well at a time; beyond that everybody waits for everybody,
and a till that waited too long sends again what is still being worked on. So who would make it too
many is told 503 with Retry-After at once, which costs nearly nothing, and the ones inside are
served as ever. What is told (sales, movements) may fill the house; what is only read gets an eighth
of it, and a single place as long as sales are refused: a report costs ten sales and can wait, a
sale cannot. Nobody may have the last quarter as well who has three already, and in a crowd nobody
may have more than a quarter: one store's storm is refused, and the others are served.

The caller is the store of the key in the request, if a process has let that key in before; else the
key as it stands there: to look it up would ask the database.
Probes and metrics always come in. Over WSGI there is nothing to do: a process has as many inside as
it has threads, and what waits, waits in the server.
"""

import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from inventory_project.api import PROBLEM_CONTENT_TYPE, make_problem
from inventory_project.errors import TryLater
from inventory_project.headers import API_HEADERS

ALWAYS_IN = ("/health/", "/metrics")
# Nothing of a key but its beginning, which is its public name: who asks is no secret, the key is.
CALLER_CHARACTERS = 20
READERS_WAIT_S = 1.0  # after the last sale that was refused
RETRY_AFTER_S = TryLater.retry_after_s
_BODY = orjson.dumps(
    make_problem(503, "busy", "Too many requests at once. Send the same request again.")
)
_HEADERS = [
    ("Content-Type", PROBLEM_CONTENT_TYPE),
    ("Content-Length", str(len(_BODY))),
    ("Retry-After", str(RETRY_AFTER_S)),
    *API_HEADERS,
]
_HEADERS_ASGI = [(name.lower().encode(), value.encode()) for name, value in _HEADERS]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Admission:
    """Counts who is inside this process; at most `places` at a time. Safe between threads."""

    def __init__(self, places: int) -> None:
        self.places = places
        self._quarter = max(1, places // 4)
        self._eighth = max(1, places // 8)
        self._inside = 0
        self._reading = 0
        self._readers_wait_until = 0.0
        self._callers: Counter[str] = Counter()
        self._lock = threading.Lock()

    def enter(self, caller: str, *, reads: bool) -> bool:
        """Take a place; False when there is none for this caller. Who came in must `leave`."""
        with self._lock:
            if not self._has_place(reads=reads) or not self._is_fair(self._callers[caller]):
                if not reads:
                    self._readers_wait_until = time.monotonic() + READERS_WAIT_S
                return False
            self._inside += 1
            self._reading += reads
            self._callers[caller] += 1
            return True

    def _has_place(self, *, reads: bool) -> bool:
        if self._inside >= self.places:
            return False
        if not reads or not self._reading:
            return True
        return self._reading < self._eighth and time.monotonic() >= self._readers_wait_until

    def _is_fair(self, has: int) -> bool:
        """Whether who has so many places may have one more."""
        if has < self._quarter or self._inside < 2 * self._quarter:
            return True
        alone = has == self._inside
        return alone and self._inside < self.places - self._quarter

    def leave(self, caller: str, *, reads: bool) -> None:
        """Give the place back."""
        with self._lock:
            self._inside -= 1
            self._reading -= reads
            self._callers[caller] -= 1
            if not self._callers[caller]:
                del self._callers[caller]


class AdmittedASGI:
    """An ASGI application behind an Admission."""

    def __init__(
        self,
        application: Callable[[Scope, Receive, Send], Awaitable[None]],
        places: int,
        find_store: Callable[[str], object | None],
    ) -> None:
        self._application = application
        self._admission = Admission(places)
        self._find_store = find_store

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(ALWAYS_IN):
            return await self._application(scope, receive, send)
        key = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        prefix = _read_prefix(key.decode("latin-1"))
        store = self._find_store(prefix)
        caller = prefix or (scope.get("client") or ("",))[0] if store is None else f"store {store}"
        reads = scope["method"] in ("GET", "HEAD")
        if not self._admission.enter(caller, reads=reads):
            await send({"type": "http.response.start", "status": 503, "headers": _HEADERS_ASGI})
            return await send({"type": "http.response.body", "body": _BODY})
        try:
            return await self._application(scope, receive, send)
        finally:
            self._admission.leave(caller, reads=reads)


def _read_prefix(authorization: str) -> str:
    return authorization.partition(".")[0].rpartition(" ")[2][:CALLER_CHARACTERS]
