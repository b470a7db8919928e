"""Sales that come at the same time share a commit: the door of accepting.py for both interfaces.

A commit waits for the disk, and a transaction costs as much for thirty sales as for one. So what
comes while one is under way is the next batch. Nobody waits for a batch to fill: a request that
finds nothing under way goes at once, and one that finds the others slow begins a second batch.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from inventory_project import doors
from inventory_project.doors import Answer, Sent
from inventory_project.errors import TooMany, TryLater
from orders import accepting

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# Two at once cost a quarter more of the processor than one; but one that waits for a lock, because
# a worker is just applying a sale that is told again, must not hold up everybody.
BATCHES_AT_ONCE = 2
SLOW_S = 0.1
# Half of a batch's cost is the same for one sale as for thirty, so in a crowd waiting gains time:
# with 64 tills on two cores a tenth more sales a second, each answered as soon.
CROWD_REQUESTS = 8
CROWD_WAITS_S = 0.002
BATCH_REQUESTS_MAX = 64
BATCH_BYTES_MAX = 131_072  # about a thousand events, as many as SQLite binds in one statement
# A larger request goes alone: a till would wait for its neighbour's thousand events.
SHARING_BYTES_MAX = 16_384
LARGE_AT_ONCE = 2
WAITING_MAX = 2_000
WAITING_BYTES_MAX = 64 * 2**20
# What Django is given for anything else, read into a file first; a catalogue is smaller.
OTHER_BYTES_MAX = 32 * 2**20

# Every header that anything behind the door looks at; the others are not copied.
_NAMES = {
    b"authorization": "HTTP_AUTHORIZATION", b"host": "HTTP_HOST", b"accept": "HTTP_ACCEPT",
    b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH",
    b"content-encoding": "HTTP_CONTENT_ENCODING", b"transfer-encoding": "HTTP_TRANSFER_ENCODING",
    b"x-forwarded-for": "HTTP_X_FORWARDED_FOR", b"x-forwarded-proto": "HTTP_X_FORWARDED_PROTO",
}  # fmt: skip


class _Request:
    """A sale that waits: a thread of WSGI by `wake`, a task of ASGI by `future`."""

    __slots__ = ("answer", "future", "sent", "size_bytes", "wake")

    def __init__(self, sent: Sent, size_bytes: int) -> None:
        self.sent, self.size_bytes = sent, size_bytes
        self.answer: Answer | None = None
        self.wake = threading.Lock()
        self.future: asyncio.Future[Answer] | None = None


class _Queue:
    """Who waits, first come first served, and how many batches are under way."""

    def __init__(self) -> None:
        self._requests: deque[_Request] = deque()
        self._bytes = 0
        self.large_bytes = 0
        self._under_way = 0
        self._begun_at = 0.0
        self._last_size = 0

    def has_room_for(self, request: _Request) -> bool:
        is_full = len(self._requests) >= WAITING_MAX
        in_hand = self._bytes + self.large_bytes + request.size_bytes
        return not is_full and in_hand <= WAITING_BYTES_MAX

    def add(self, request: _Request) -> None:
        self._requests.append(request)
        self._bytes += request.size_bytes

    @property
    def is_crowded(self) -> bool:
        return self._last_size >= CROWD_REQUESTS

    def begins_batch(self) -> bool:
        """Whether a batch begins now: somebody waits, and not for those that are under way."""
        if not self._requests or not self._may_begin():
            return False
        self._under_way += 1
        self._begun_at = time.monotonic()
        return True

    def take_batch(self) -> list[_Request]:
        """The batch that has begun; empty if another one took them all meanwhile."""
        batch: list[_Request] = []
        room_bytes = BATCH_BYTES_MAX
        while self._requests and len(batch) < BATCH_REQUESTS_MAX:
            room_bytes -= self._requests[0].size_bytes
            if batch and room_bytes < 0:
                break
            batch.append(self._requests.popleft())
            self._bytes -= batch[-1].size_bytes
        self._last_size = len(batch)
        return batch

    def end_batch(self) -> None:
        self._under_way -= 1

    def _may_begin(self) -> bool:
        is_slow = time.monotonic() - self._begun_at > SLOW_S
        return self._under_way == 0 or (self._under_way < BATCHES_AT_ONCE and is_slow)


def _answer_batch(batch: Sequence[_Request]) -> None:
    """Give each an answer, come what may: somebody waits for it."""
    try:
        answers = accepting.answer_all([request.sent for request in batch])
        for request, answer in zip(batch, answers, strict=True):
            request.answer = answer
    except BaseException as error:  # noqa: BLE001 - it is logged, and nobody knows what was stored
        known = error if isinstance(error, Exception) else TryLater("Send the same again.")
        for request in batch:
            request.answer = doors.answer_error(known, None)


class _Gatherer:
    """Answers requests in batches, in a few threads that stay: each has its own connection to the
    database, of which there would else be one for every thread of the web server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue = _Queue()
        self._threads = ThreadPoolExecutor(BATCHES_AT_ONCE, thread_name_prefix="accept")
        self._large = ThreadPoolExecutor(LARGE_AT_ONCE, thread_name_prefix="accept-large")

    def _add(self, request: _Request) -> None:
        """Let a request wait for its batch. Raises TryLater when too much waits already."""
        with self._lock:
            if not self._queue.has_room_for(request):
                raise TryLater("Too many sales wait. Send the same again.")
            if request.size_bytes > SHARING_BYTES_MAX:
                self._queue.large_bytes += request.size_bytes
                self._large.submit(self._answer_large, request)
                return
            self._queue.add(request)
            self._begin()

    def _begin(self) -> None:
        if self._queue.begins_batch():
            self._threads.submit(self._answer_next)

    def _answer_next(self) -> None:
        if self._queue.is_crowded:
            time.sleep(CROWD_WAITS_S)
        with self._lock:
            batch = self._queue.take_batch()
        _answer_batch(batch)
        with self._lock:
            self._queue.end_batch()
            self._begin()
        self._tell(batch)

    def _answer_large(self, request: _Request) -> None:
        _answer_batch([request])
        with self._lock:
            self._queue.large_bytes -= request.size_bytes
        self._tell([request])

    def _tell(self, batch: Sequence[_Request]) -> None:
        """Let those who wait for these have their answers."""
        raise NotImplementedError


class ThreadGatherer(_Gatherer):
    """Answers the requests of several threads, which sleep meanwhile: WSGI."""

    def answer(self, sent: Sent, size_bytes: int) -> Answer:
        """Answer one request; 503 when too much waits already."""
        request = _Request(sent, size_bytes)
        request.wake.acquire()
        try:
            self._add(request)
        except TryLater as error:
            return doors.answer_error(error, None)
        request.wake.acquire()
        assert request.answer
        return request.answer

    def _tell(self, batch: Sequence[_Request]) -> None:
        for request in batch:
            request.wake.release()


class LoopGatherer(_Gatherer):
    """Answers the requests of one event loop: ASGI."""

    async def answer(self, sent: Sent, size_bytes: int) -> Answer:
        """Answer one request; 503 when too much waits already."""
        request = _Request(sent, size_bytes)
        request.future = asyncio.get_running_loop().create_future()
        try:
            self._add(request)
        except TryLater as error:
            return doors.answer_error(error, None)
        return await request.future

    def _tell(self, batch: Sequence[_Request]) -> None:
        future = batch[0].future
        assert future
        future.get_loop().call_soon_threadsafe(self._tell_in_loop, batch)

    def _tell_in_loop(self, batch: Sequence[_Request]) -> None:
        for request in batch:
            # A till may have hung up meanwhile; its sale is told all the same.
            if request.future and request.answer and not request.future.done():
                request.future.set_result(request.answer)


class SalesDoor:
    """ASGI: sales by the door, anything else to the application behind it."""

    def __init__(self, behind: Application) -> None:
        self._behind = behind
        self._gatherer = LoopGatherer()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._behind(scope, receive, send)
        meta = _read_meta(scope)
        if meta is None or scope["path"] != accepting.PATH or not accepting.is_taken(meta):
            return await self._pass_on(scope, receive, send)
        body = await _receive_body(receive)
        if body is None:
            return None
        sent = Sent(meta, lambda: body)
        return await _send(send, await self._gatherer.answer(sent, len(body)))

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > OTHER_BYTES_MAX:
            error = TooMany(f"The body must have at most {OTHER_BYTES_MAX} bytes.")
            return await _send(send, doors.answer_error(error, None))
        return await self._behind(scope, receive, send)


def _read_meta(scope: Scope) -> dict[str, Any] | None:
    """The headers under the names of WSGI; None when one that counts is there twice."""
    meta: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "QUERY_STRING": scope["query_string"],
        "REMOTE_ADDR": (scope.get("client") or ("",))[0],
        "wsgi.url_scheme": scope["scheme"],
    }
    for name, value in _counting(scope["headers"]):
        if name in meta:
            return None
        meta[name] = value.decode("latin-1")
    return meta


def _counting(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[str, bytes]]:
    return ((_NAMES[name], value) for name, value in headers if name in _NAMES)


async def _receive_body(receive: Receive) -> bytes | None:
    """The body, which the server ends at its declared length; None when the sender is gone."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def _send(send: Send, answer: Answer) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
