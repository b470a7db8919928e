"""The doorbell and who answers it. A message carries nothing: the inbox row is the queue."""

import logging
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


def ring_doorbell(*, force: bool = False) -> bool:
    """Tell the workers that something waits; returns whether a message was sent.

    Call after the commit. One message at a time is enough: while the mark is set, one is under
    way. Whatever fails here is no loss, the sweep finds the row; so a till never waits for it:
    after a failure the bell stays silent for some seconds. `force` rings past the mark.
    """
    global _silent_until
    if settings.SHOP:
        return False
    if not force and time.monotonic() < _silent_until:
        return False
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
