"""Sends sale events from several threads, in batches or one by one at a steady rate."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, wait
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from examples.iowa.api import Answer, Api
from examples.iowa.errors import CannotGoOnError
from examples.iowa.following import Follower
from examples.iowa.month import SaleLine
from examples.iowa.progress import Progress
from examples.iowa.threads import Threads

SALES = "/api/orders/sales/"
SINGLES_A_FOLLOWED_ONE = 10
SINGLES_A_SECOND_AND_SENDER = 10  # so a rate is kept while every answer takes up to 100 ms
REFUSALS_KEPT = 3
T = TypeVar("T")


@dataclass
class Tally:
    """What became of the events sent; times are `time.monotonic()` in seconds."""

    outcomes: Counter[str] = field(default_factory=Counter)
    answer_ms: list[float] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    started_at: float = 0.0
    last_answer_at: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, sent_at: float, answered_at: float, results: Sequence[dict[str, Any]]) -> None:
        """Note the answer to one request."""
        with self.lock:
            self.answer_ms.append(1000 * (answered_at - sent_at))
            self.last_answer_at = max(self.last_answer_at, answered_at)
            for result in results:
                self.outcomes[result["status"]] += 1
                if result.get("code") and len(self.refusals) < REFUSALS_KEPT:
                    told = f"{result['event_id']}: {result['code']}, {result['detail']}"
                    self.refusals.append(told)


def send_batches(
    api: Api, batches: Sequence[Sequence[SaleLine]], *, senders: int, follower: Follower
) -> Tally:
    """Send each batch in one request, as fast as the server takes them; returns the tally."""
    tally, queue = Tally(started_at=time.monotonic()), _Queue(batches, api.stopping)
    with Progress("Sending sales", sum(map(len, batches))) as progress:

        def run() -> None:
            for batch in queue.take():
                _send_batch(api, batch, tally, follower)
                progress.advance(len(batch))

        _run_senders(api, run, senders)
    return tally


def send_at_rate(
    api: Api, lines: Sequence[SaleLine], *, rate: int, senders: int, follower: Follower
) -> Tally:
    """Send each line in a request of its own, `rate` of them a second; returns the tally."""
    tally, queue = Tally(started_at=time.monotonic()), _Queue(list(enumerate(lines)), api.stopping)
    with Progress("Sending sales one by one", len(lines)) as progress:

        def run() -> None:
            for place, line in queue.take():
                due_in = tally.started_at + place / rate - time.monotonic()
                if due_in > 0 and api.stopping.wait(due_in):
                    return
                _send_one(
                    api, line, tally, follower if place % SINGLES_A_FOLLOWED_ONE == 0 else None
                )
                progress.advance(1)

        _run_senders(api, run, max(senders, rate // SINGLES_A_SECOND_AND_SENDER))
    return tally


def _send_batch(api: Api, batch: Sequence[SaleLine], tally: Tally, follower: Follower) -> None:
    body = b'{"events":[' + b",".join(line.body for line in batch) + b"]}"
    sent_at = time.monotonic()
    answer = api.post(SALES, body, allowed=(200, 202))
    answered_at = time.monotonic()
    results = answer.body["results"]
    if len(results) != len(batch):
        raise CannotGoOnError(f"A batch of {len(batch)} events got {len(results)} results.")
    tally.add(sent_at, answered_at, results)
    accepted = (line for line, r in zip(batch, results, strict=True) if r["status"] == "accepted")
    if answer.status == 202 and (followed := next(accepted, None)) is not None:
        follower.follow(followed, answered_at)


def _send_one(api: Api, line: SaleLine, tally: Tally, follower: Follower | None) -> None:
    sent_at = time.monotonic()
    answer = api.post(SALES, line.body, allowed=(200, 202, 400, 409))
    answered_at = time.monotonic()
    result = _read_single(line, answer)
    tally.add(sent_at, answered_at, [result])
    if follower is not None and result["status"] == "accepted":
        follower.follow(line, answered_at)


def _read_single(line: SaleLine, answer: Answer) -> dict[str, Any]:
    """A single event is refused with a problem; in a batch the same stands in its place."""
    if answer.status in (200, 202):
        result: dict[str, Any] = answer.body
        return result
    status = "conflict" if answer.status == 409 else "rejected"
    problem = answer.body
    return {"event_id": line.event_id, "status": status} | {
        name: problem[name] for name in ("code", "detail")
    }


class _Queue(Generic[T]):
    """Hands out items to several threads, each item once, in order."""

    def __init__(self, items: Sequence[T], stopping: threading.Event) -> None:
        self._items, self._stopping = items, stopping
        self._places = itertools.count()  # next() of it is one step that no thread can split

    def take(self) -> Iterator[T]:
        while not self._stopping.is_set() and (place := next(self._places)) < len(self._items):
            yield self._items[place]


def _run_senders(api: Api, run: Callable[[], None], senders: int) -> None:
    """Run in so many threads; when one fails the others stop, and its error is raised."""
    with Threads(api, senders) as threads:
        running = [threads.submit(run) for _ in range(senders)]
        done, _ = wait(running, return_when=FIRST_EXCEPTION)
        for sender in done:
            sender.result()
