"""The doorbell and who answers it. A message carries nothing: the inbox row is the queue."""

import logging
import threading
import time
from typing import Any

from celery import shared_task
from celery.signals import task_prerun
from django.conf import settings
from django.core.cache import caches
from django.db import close_old_connections

from inventory_project.failpoints import reach
from orders import sales
from orders.draining import Round, drain

logger = logging.getLogger(__name__)

RUNG_KEY = "rung"
RUNG_S_MAX = 2  # a lost message keeps the bell silent no longer than this
DRAIN_S_MAX = 8
# A round costs about the same for one event as for fifty: those that come close together go into
# one, and the workers leave the processor to the tills.
GATHER_S = 0.03
SILENCE_AFTER_FAILURE_S = 5

# While sales come in, one process asks for the mark so often and not once for each of them.
PAUSE_S = 0.01

_silent_until = 0.0
_going = Round()


@task_prerun.connect
def drop_dead_connections(**_: Any) -> None:
    """Begin a task as Django begins a request: a connection that died outside a transaction
    would stay, and fail each task that finds it."""
    close_old_connections()


@shared_task(name="orders.apply_sales")
def apply_sales() -> int:
    """Apply what is due; returns the number of events taken.

    The mark is cleared before draining, never after: a sale committed while we drain rings
    again, and at worst the second ring finds nothing.
    """
    time.sleep(GATHER_S)
    _clear_mark()
    taken = drain(seconds_max=DRAIN_S_MAX, going=_going)
    reach("after_apply_commit_before_ack")
    # Without progress somebody else holds the lanes that are left; ringing would spin until then.
    if taken and sales.oldest_due_at() is not None:
        ring_doorbell()
    return taken


class _Pause:
    """Lets a process ring once in PAUSE_S: at once, and once more at the end of it for all who
    came meanwhile. So each of them is followed by a ring, which is what counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0
        self._is_owed = threading.Event()
        self._thread: threading.Thread | None = None

    def begins(self) -> bool:
        """Whether to ring now; if not, it is rung when the pause is over."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._until = time.monotonic() + PAUSE_S
                return True
            self._is_owed.set()
            # Not before somebody needs it, and anew in a forked process: threads are not inherited.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._ring_when_over, daemon=True)
                self._thread.start()
            return False

    def _ring_when_over(self) -> None:
        while self._is_owed.wait():
            time.sleep(max(0.0, self._until - time.monotonic()))
            with self._lock:
                # Before ringing: who comes from now on is owed a ring of its own.
                self._is_owed.clear()
                self._until = time.monotonic() + PAUSE_S
            _ring()


_pause = _Pause()


def ring_doorbell(*, force: bool = False) -> bool:
    """Tell the workers that something waits; returns whether a message was sent.

    Call after the commit. One message at a time is enough: while the mark is set, one is under
    way. Whatever fails here is no loss, the sweep finds the row; so a till never waits for it:
    after a failure the bell stays silent for some seconds. `force` rings past the mark.
    """
    if settings.SHOP:
        return False
    if force:
        return _ring(force=True)
    if time.monotonic() < _silent_until:
        return False
    return _pause.begins() and _ring()


def _ring(*, force: bool = False) -> bool:
    global _silent_until
    try:
        if not caches["doorbell"].add(RUNG_KEY, 1, timeout=RUNG_S_MAX) and not force:
            return False
        apply_sales.apply_async(queue=settings.INVENTORY_EVENTS_QUEUE, expires=60)
    except Exception as error:  # noqa: BLE001 - redis, kombu, files: no base class in common
        _silent_until = time.monotonic() + SILENCE_AFTER_FAILURE_S
        logger.warning("The doorbell is out of order, the sweep takes over: %s", error)
        return False
    return True


def _clear_mark() -> None:
    try:
        caches["doorbell"].delete(RUNG_KEY)
    except Exception as error:  # noqa: BLE001 - as above
        logger.warning("The doorbell's mark could not be cleared, it ends by itself: %s", error)
