"""What the sweep does each round, and how one sweeper keeps the others waiting.

The worker is woken by a message, and messages get lost. The sweep looks at the inbox itself: it
rings again when an event waits, and applies it when nobody answers.
"""

import fcntl
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TextIO

from django.conf import settings
from django.db import connection
from django.utils import timezone as clock

from inventory_project.heads import Heads, write_heads
from inventory_project.sealing import Keys
from orders import sales
from orders.draining import Round, drain
from orders.tasks import ring_doorbell
from stock import sealing

logger = logging.getLogger(__name__)

RING_AGAIN_AFTER = timedelta(seconds=1)
APPLY_AFTER = timedelta(seconds=3)
APPLY_S_MAX = 5
SEAL_EACH_S = 10
SEAL_S_MAX = 1
HEADS_EACH_S = 60
SWEEP_ADVISORY_LOCK = 0x6B69_7279_616E_61  # "kiryana"

_going = Round()


@dataclass(frozen=True, slots=True)
class Swept:
    """What one round did, and the oldest event it leaves; None when nothing waits."""

    freed: int
    oldest_due_at: datetime | None
    rang: bool = False
    applied: int = 0


def sweep_once(last: Swept | None = None, *, frees: bool = True) -> Swept:
    """Do one round; `last` is the round before it, None when there was none. `frees`: also look
    for parked sales whose product is known by now.

    While the oldest event changes from round to round, a worker is busy with the queue and needs
    no help: on SQLite it would only be kept from the write lock. A shop has no worker: there
    whatever waits is applied at once.
    """
    freed = sales.free_known_products() if frees else 0
    oldest = sales.oldest_due_at()
    if oldest is None and frees:
        freed += sales.recall_put_off()  # now few are left to be looked through
    if settings.SHOP and oldest is not None:
        applied = drain(seconds_max=APPLY_S_MAX, going=_going)
        return Swept(freed, sales.oldest_due_at(), applied=applied)
    if oldest is None or (last is not None and last.oldest_due_at != oldest):
        return Swept(freed, oldest)
    # How far apart, whichever way: a clock that was put back must not hold sales for as long.
    age = abs(clock.now() - oldest)
    applied = drain(seconds_max=APPLY_S_MAX, going=_going) if age > APPLY_AFTER else 0
    # What was applied needs no bell; what could not be (a frozen worker has its lane) does.
    rang = age > RING_AGAIN_AFTER and not applied and ring_doorbell(force=True)
    return Swept(freed, sales.oldest_due_at() if applied else oldest, rang, applied)


class Sealing:
    """What the sweep does for the audit, beside its work: seals, and tells the heads of the seals
    to a file outside the database."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._heads: Heads | None = None
        self._sealed_at = self._told_at = float("-inf")

    def take_turn(self, now: float) -> None:
        """Do what is due at this moment of a clock that never goes back."""
        if now - self._sealed_at < SEAL_EACH_S:
            return
        self._sealed_at = now
        if self._heads is None:
            self._heads = sealing.read_tips()  # one that died may not have told them
        self._heads |= sealing.seal_all(self._keys, seconds_max=SEAL_S_MAX, waits=True).heads
        if self._heads and now - self._told_at >= HEADS_EACH_S:
            self._tell(self._heads)
            self._told_at = now

    def _tell(self, heads: Heads) -> None:
        try:
            write_heads(settings.AUDIT_HEADS_FILE, heads, clock.now())
        except OSError as error:
            logger.error("The heads of the seals cannot be written: %s", error)
            return
        heads.clear()


class Turn:
    """The right to sweep, which one process of the chain has at a time.

    PostgreSQL: a lock of this session, gone with it. SQLite: a lock on a file beside the
    database, gone with this process.
    """

    def __init__(self) -> None:
        self._session: Any = None
        self._file: TextIO | None = None

    def take(self) -> bool:
        """Take the turn, or keep it; returns whether it is ours now."""
        if connection.vendor == "postgresql":
            return self._take_session_lock()
        return self._take_file_lock()

    def _take_session_lock(self) -> bool:
        # A connection that was lost and made anew is another session: the lock went with the old.
        if self._session is not None and self._session is connection.connection:
            return True
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [SWEEP_ADVISORY_LOCK])
            taken = bool(cursor.fetchone()[0])
        self._session = connection.connection if taken else None
        return taken

    def _take_file_lock(self) -> bool:
        if self._file is not None:
            return True
        file = (settings.LOCAL_DIR / "sweep.lock").open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        return True

    def give_back(self) -> None:
        """Let the next one sweep."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._session is not None and self._session is connection.connection:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [SWEEP_ADVISORY_LOCK])
        self._session = None
