"""Emptying the inbox, store after store: what the worker, the sweep and the sample do."""

import logging
import time
from dataclasses import dataclass, field

from django.conf import settings
from django.db import transaction

from orders import sales
from orders.sales import LANE_EVENTS_MIN

logger = logging.getLogger(__name__)

SMALLER_AFTER_TIMEOUT = 4
LOOK_BACK_EVERY_S = 1
LOOK_BACK_SHARE = 10  # of the rounds' time at most one part in so many
SQLSTATE_QUERY_CANCELED = "57014"


@dataclass(slots=True)
class Round:
    """Where a process stands on its way round the stores, and how many events it dares to take.

    Kept from drain to drain: one that began at the first store each time would never get to
    the last, and one that forgot what was too much would try it again each time.
    """

    after_store_id: int = 0
    events_max: int = 0  # 0: SALES_APPLY_EVENTS_MAX
    # Whether this round also looks for sales older than the newest one taken of their store. The
    # first does, then one a second, and fewer where an old snapshot makes it slow.
    looks_back: bool = True
    _began: float = field(default_factory=time.monotonic)
    _looks_back_at: float = 0

    def begin(self) -> None:
        """Begin at the first store."""
        self._began = time.monotonic()
        self.looks_back = self._began >= self._looks_back_at

    def go_on(self, last_store_id: int) -> None:
        """Continue behind this store; 0 is the end of the round."""
        self.after_store_id = last_store_id
        if self.looks_back and last_store_id == 0:
            now = time.monotonic()
            pause = max(LOOK_BACK_EVERY_S, LOOK_BACK_SHARE * (now - self._began))
            self._looks_back_at = now + pause

    def narrow(self, error: Exception) -> None:
        """Take less next time: a part of it when time ran out, one store for anything else."""
        smaller = self.size // SMALLER_AFTER_TIMEOUT if _ran_out_of_time(error) else 0
        self.events_max = max(LANE_EVENTS_MIN, smaller)

    def widen(self) -> None:
        """Take more again."""
        self.events_max = 2 * self.size

    @property
    def size(self) -> int:
        most = int(settings.SALES_APPLY_EVENTS_MAX)
        return min(self.events_max or most, most)

    @property
    def is_one_store(self) -> bool:
        return self.size < 2 * LANE_EVENTS_MIN


def drain(*, seconds_max: float, going: Round | None = None) -> int:
    """Apply what is due until little is left or the time is over; returns events taken.

    Goes round the stores, each claim behind the last one, so that a store under steady load
    starves nobody. A store whose rows somebody holds, or which is too slow even alone, is left
    for the next round. Raises that store's error only when nothing could be applied at all.
    """
    going = going or Round()
    deadline = time.monotonic() + seconds_max
    total, fruitless = 0, 0
    left_out: dict[int, Exception] = {}
    while time.monotonic() < deadline and fruitless < 2:
        if going.after_store_id == 0:
            going.begin()
        try:
            applied = sales.apply_next(
                after_store_id=going.after_store_id,
                events_max=going.size,
                looks_back=going.looks_back,
            )
        except sales.NO_EVENTS_FAULT as error:
            if not going.is_one_store:
                going.narrow(error)
                continue
            store_id = _find_next_store(going)
            if store_id in left_out:
                break
            left_out[store_id] = error
            going.after_store_id = store_id
            continue
        going.widen()
        total += applied.taken
        # Nothing behind a store may only mean the end of the round; nothing from 0 on is the end.
        first = going.after_store_id == 0
        fruitless = 0 if applied.taken else fruitless + (2 if first else 1)
        going.go_on(applied.last_store_id)
        # So few from all stores were all there was. Going on would apply sales by twos and threes,
        # and a round costs what fifty cost: who came since has rung, or is found by the sweep.
        if first and applied.last_store_id == 0 and applied.taken < LANE_EVENTS_MIN:
            break
    _tell_left_out(left_out, total)
    return total


def _find_next_store(going: Round) -> int:
    """The store that one store's claim gets next; also the proof that the database answers."""
    with transaction.atomic():
        stores = sales.claim(going.after_store_id, 1, looks_back=going.looks_back)
        return (stores or [0])[0]


def _tell_left_out(left_out: dict[int, Exception], total: int) -> None:
    for store_id, error in left_out.items():
        if total == 0:
            raise error
        logger.warning("Store %s waits for the next round: %s", store_id, error)


def _ran_out_of_time(error: Exception) -> bool:
    return getattr(error.__cause__, "sqlstate", None) == SQLSTATE_QUERY_CANCELED
