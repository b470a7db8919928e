"""How long after its answer a sale is in the ledger: some events are followed until they are.

The senders do not wait for this, and asking must stay light, or it would slow down what it
measures: the first question comes shortly before the answer is expected to be yes, the later
ones ever further apart.
"""

import heapq
import threading
import time
from dataclasses import dataclass, field
from typing import Self

from examples.iowa.api import Api
from examples.iowa.month import SaleLine

THREADS = 2
ASK_SECONDS_MIN = 0.02
ASK_SHARE_OF_AGE = 0.2  # the lag is known to this share of itself, rounded up
FIRST_SHARE_OF_RECENT_LAG = 0.7
FOLLOW_SECONDS_MAX = 60.0


@dataclass(order=True, slots=True)
class _Followed:
    ask_at: float
    answered_at: float
    line: SaleLine = field(compare=False)


class Follower:
    """Follows events in threads of its own.

    After the `with` block, `lags_ms` has one lag an event that was applied (or
    FOLLOW_SECONDS_MAX for one that was not seen applied by then), and `last_seen_at` when the
    last one was seen (`time.monotonic()`).
    """

    def __init__(self, api: Api) -> None:
        self.lags_ms: list[float] = []
        self.last_seen_at = 0.0
        self._api = api
        self._changed = threading.Condition()
        self._waiting: list[_Followed] = []
        self._asking = 0
        self._ending = False
        self._recent_lag_seconds = 0.0
        self._error: BaseException | None = None
        self._threads = [threading.Thread(target=self._run) for _ in range(THREADS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, error_type: object, error: object, traceback: object) -> None:
        """Wait until all are seen applied; at once when the run has failed."""
        with self._changed:
            self._ending = True
            if error_type is not None:
                self._waiting.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        if self._error is not None and error_type is None:
            raise self._error

    def follow(self, line: SaleLine, answered_at: float) -> None:
        """Follow an event that was accepted at this `time.monotonic()`."""
        with self._changed:
            first = max(ASK_SECONDS_MIN, FIRST_SHARE_OF_RECENT_LAG * self._recent_lag_seconds)
            heapq.heappush(self._waiting, _Followed(answered_at + first, answered_at, line))
            self._changed.notify()

    def _run(self) -> None:
        try:
            while (followed := self._take()) is not None:
                self._ask(followed)
        except BaseException as error:  # noqa: BLE001 - raised where the followers are joined
            with self._changed:
                self._error, self._ending, self._asking = error, True, 0
                self._waiting.clear()
                self._changed.notify_all()

    def _take(self) -> _Followed | None:
        """The next event that is due; None when all is done."""
        with self._changed:
            while True:
                if self._waiting:
                    wait = self._waiting[0].ask_at - time.monotonic()
                    if wait <= 0:
                        self._asking += 1
                        return heapq.heappop(self._waiting)
                    self._changed.wait(wait)
                elif self._ending and not self._asking:
                    return None
                else:
                    self._changed.wait()

    def _ask(self, followed: _Followed) -> None:
        path = f"/api/orders/sales/{followed.line.event_id}/"
        answer = self._api.get(path, store=followed.line.store, allowed=(200, 404))
        status = answer.body["status"] if answer.status == 200 else "unknown"
        now = time.monotonic()
        age = now - followed.answered_at
        with self._changed:
            self._asking -= 1
            if status == "applied" or age >= FOLLOW_SECONDS_MAX:
                self.lags_ms.append(1000 * age)
                self.last_seen_at = max(self.last_seen_at, now)
                self._recent_lag_seconds += (age - self._recent_lag_seconds) / 4
            elif status not in ("parked", "dismissed"):  # those are counted when all is over
                followed.ask_at = now + max(ASK_SECONDS_MIN, ASK_SHARE_OF_AGE * age)
                heapq.heappush(self._waiting, followed)
            self._changed.notify_all()
