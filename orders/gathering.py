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
from functools import partial
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
BATCH_REQUESTS_MAX = 64
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
    """A sale that waits: the thread of WSGI for its turn, the task of ASGI for its answer."""

    __slots__ = ("answer", "batch", "future", "sent", "size_bytes", "wake")

    def __init__(self, sent: Sent, size_bytes: int) -> None:
        self.sent, self.size_bytes = sent, size_bytes
        self.answer: Answer | None = None
        self.batch: list[_Request] | None = None
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

    def has_room_for(self, request: _Request) -> bool:
        is_full = len(self._requests) >= WAITING_MAX
        in_hand = self._bytes + self.large_bytes + request.size_bytes
        return not is_full and in_hand <= WAITING_BYTES_MAX

    def add(self, request: _Request) -> None:
        self._requests.append(request)
        self._bytes += request.size_bytes

    def begin_batch(self) -> list[_Request]:
        """The next batch, empty when nobody waits or those under way shall be waited for."""
        if not self._requests or not self._may_begin():
            return []
        self._under_way += 1
        self._begun_at = time.monotonic()
        size = min(BATCH_REQUESTS_MAX, len(self._requests))
        batch = [self._requests.popleft() for _ in range(size)]
        self._bytes -= sum(request.size_bytes for request in batch)
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
    except Exception as error:  # noqa: BLE001 - it is logged, and nobody knows what was stored
        for request in batch:
            request.answer = doors.answer_error(error, None)


# --- threads: WSGI ------------------------------------------------------------------------------


class ThreadGatherer:
    """Answers requests of several threads in batches: one of them works, the others sleep.

    The first request of a batch is given all of it; the rest have their answers when they wake.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue = _Queue()

    def answer(self, sent: Sent, size_bytes: int) -> Answer:
        """Answer one request."""
        request = _Request(sent, size_bytes)
        if size_bytes > SHARING_BYTES_MAX:
            _answer_batch([request])
        else:
            self._wait_and_work(request)
        # None only if the thread that had our batch was ended in the middle of it.
        return request.answer or doors.answer_error(TryLater("Send the same again."), None)

    def _wait_and_work(self, request: _Request) -> None:
        request.wake.acquire()
        with self._lock:
            self._queue.add(request)
            self._begin()
        request.wake.acquire()
        if not request.batch:
            return
        try:
            _answer_batch(request.batch)
        finally:
            with self._lock:
                self._queue.end_batch()
                self._begin()
            for other in request.batch[1:]:
                other.wake.release()

    def _begin(self) -> None:
        batch = self._queue.begin_batch()
        if batch:
            batch[0].batch = batch
            batch[0].wake.release()


# --- an event loop: ASGI ------------------------------------------------------------------------


class LoopGatherer:
    """Answers requests of one event loop in batches."""

    def __init__(self) -> None:
        self._queue = _Queue()
        # Threads that stay, each with its own connection to the database.
        self._threads = ThreadPoolExecutor(BATCHES_AT_ONCE, thread_name_prefix="accept")
        self._large = ThreadPoolExecutor(LARGE_AT_ONCE, thread_name_prefix="accept-large")

    async def answer(self, sent: Sent, size_bytes: int) -> Answer:
        """Answer one request; 503 when too much waits already."""
        request = _Request(sent, size_bytes)
        if not self._queue.has_room_for(request):
            return doors.answer_error(TryLater("Too many sales wait. Send the same again."), None)
        if size_bytes > SHARING_BYTES_MAX:
            return await self._answer_alone(request)
        request.future = asyncio.get_running_loop().create_future()
        self._queue.add(request)
        self._begin()
        return await request.future

    async def _answer_alone(self, request: _Request) -> Answer:
        self._queue.large_bytes += request.size_bytes
        try:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._large, _answer_batch, [request])
        finally:
            self._queue.large_bytes -= request.size_bytes
        assert request.answer
        return request.answer

    def _begin(self) -> None:
        batch = self._queue.begin_batch()
        if batch:
            work = asyncio.get_running_loop().run_in_executor(self._threads, _answer_batch, batch)
            work.add_done_callback(partial(self._end, batch))

    def _end(self, batch: list[_Request], _: object) -> None:
        self._queue.end_batch()
        self._begin()
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
