"""A load generator that costs little and is the same for everybody who is measured.

Requests are bytes made beforehand; one process, non-blocking sockets and epoll; of an answer only
the status and the length are read. A connection stays open and sends its next request when the
last one is answered (a closed loop), or when its time has come (`per_second`).
"""

import select
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from benchmarks.findings import CannotMeasureError, percentile
from script.server_process import LOOPBACK

RECEIVE_BYTES = 1 << 18
SEND_BUFFER_BYTES = 1 << 20
ANSWER_SECONDS_MAX = 60.0
SHOWN_CHARACTERS = 300
GOOD = frozenset((b"200", b"201", b"202", b"304"))


@dataclass
class Loaded:
    """What was answered, and how soon; `cpu_share` is what the generator took of one core."""

    requests: int = 0
    seconds: float = 0.0
    cpu_share: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    def percentile_ms(self, share: float) -> float:
        return percentile(self.latencies_ms, share)


class _Line:
    """One connection and where it stands in its request and answer."""

    __slots__ = ("began", "head", "left", "socket", "wanted")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((LOOPBACK, port), timeout=ANSWER_SECONDS_MAX)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self.socket.setblocking(False)
        self.left = memoryview(b"")
        self.head = b""
        self.wanted = -1  # bytes of the answer still to come; -1: its head is not complete
        self.began = 0.0

    def begin(self, request: bytes, began: float) -> bool:
        """Send; returns whether all of it went out."""
        self.left, self.head, self.wanted, self.began = memoryview(request), b"", -1, began
        return self.go_on()

    def go_on(self) -> bool:
        try:
            self.left = self.left[self.socket.send(self.left) :]
        except BlockingIOError:
            return False
        return not self.left

    def receive(self) -> bool:
        """Read what has come; returns whether the answer is complete."""
        data = self.socket.recv(RECEIVE_BYTES)
        if not data:
            raise CannotMeasureError("The server closed a connection.")
        if self.wanted >= 0:
            self.wanted -= len(data)
            return self.wanted <= 0
        self.head += data
        end = self.head.find(b"\r\n\r\n")
        if end < 0:
            return False
        if self.head[9:12] not in GOOD:
            shown = self.head[:SHOWN_CHARACTERS].decode(errors="replace")
            raise CannotMeasureError(f"A request was not answered as it should be:\n{shown}")
        self.wanted = _read_length(self.head[:end].lower()) - (len(self.head) - end - 4)
        return self.wanted <= 0


def _read_length(head: bytes) -> int:
    at = head.find(b"\r\ncontent-length:")
    if at < 0:
        if head[9:12] == b"304":
            return 0
        raise CannotMeasureError("An answer has no Content-Length.")
    return int(head[at + 17 :].split(b"\r\n", 1)[0])


def send(
    port: int,
    requests: Iterable[bytes],
    *,
    connections: int,
    seconds: float,
    per_second: float | None = None,
) -> Loaded:
    """Send until the time is over or the requests are; waits for what is under way.

    Raises CannotMeasureError for an answer that is not 2xx.
    """
    lines = [_Line(port) for _ in range(connections)]
    try:
        return _Run(lines, requests, seconds, per_second).go()
    finally:
        for line in lines:
            line.socket.close()


class _Run:
    def __init__(
        self, lines: list[_Line], requests: Iterable[bytes], seconds: float, rate: float | None
    ) -> None:
        self.source = iter(requests)
        self.seconds, self.rate = seconds, rate
        self.poll = select.epoll()
        self.by_number = {line.socket.fileno(): line for line in lines}
        for number in self.by_number:
            self.poll.register(number, select.EPOLLIN)
        self.idle = list(lines)
        self.busy = 0
        self.sent = 0
        self.over = False
        self.loaded = Loaded()

    def go(self) -> Loaded:
        cpu, self.start = time.process_time(), time.perf_counter()
        self.end = self.start + self.seconds
        last = self.start
        while True:
            wait = self._send_due()
            if self.over and not self.busy:
                break
            events = self.poll.poll(wait)
            if not events and wait == ANSWER_SECONDS_MAX:
                raise CannotMeasureError(f"No answer within {ANSWER_SECONDS_MAX:.0f} s.")
            for number, event in events:
                last = self._serve(self.by_number[number], event) or last
        self.poll.close()
        self.loaded.seconds = last - self.start
        self.loaded.cpu_share = (time.process_time() - cpu) / (time.perf_counter() - self.start)
        return self.loaded

    def _send_due(self) -> float:
        """Send on every idle connection what is due; returns how long to wait for the next."""
        while self.idle and not self.over:
            now = time.perf_counter()
            due = now if self.rate is None else self.start + self.sent / self.rate
            if now >= self.end:
                self.over = True
            elif due > now:
                return min(due - now, self.end - now)
            else:
                self._send_next(due)
        return ANSWER_SECONDS_MAX

    def _send_next(self, due: float) -> None:
        request = next(self.source, None)
        if request is None:
            self.over = True
            return
        line = self.idle.pop()
        self.busy += 1
        self.sent += 1
        if not line.begin(request, due):
            self.poll.modify(line.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def _serve(self, line: _Line, event: int) -> float | None:
        if event & select.EPOLLOUT and line.go_on():
            self.poll.modify(line.socket.fileno(), select.EPOLLIN)
        if not event & ~select.EPOLLOUT or not line.receive():
            return None
        now = time.perf_counter()
        self.loaded.requests += 1
        self.loaded.latencies_ms.append((now - line.began) * 1000)
        self.busy -= 1
        self.idle.append(line)
        return now
