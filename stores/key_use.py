"""When a key was last used, to the minute, without a write in any request.

Who opens the door for a key says so by `note_use`, which only remembers. A thread of each web
process tells the database once a minute (KEY_USE_WRITE_S), in one transaction of its own. What a
process had not told when it died is lost: the time of a last use is for a person who asks whether
a till is still in use, and not for any decision.
"""

import logging
import threading

from django.conf import settings
from django.db import Error, connection, transaction
from django.utils import timezone as clock

from stores.models import StoreKey

logger = logging.getLogger(__name__)

_used: set[int] = set()


def note_use(key_id: int) -> None:
    """Remember that this key has opened a door."""
    _used.add(key_id)


def write_uses() -> int:
    """Tell the database of the keys that were used since the last time; returns how many."""
    global _used
    used, _used = _used, set()
    if not used:
        return 0
    with transaction.atomic():
        # Whoever is locked is being told of by another process, or revoked; two that each wait
        # for a key of the other would be a deadlock.
        lockable = StoreKey.objects.select_for_update(skip_locked=True).filter(pk__in=[*used])
        told = [*lockable.values_list("pk", flat=True)]
        return StoreKey.objects.filter(pk__in=told).update(last_used_at=clock.now())


def keep_writing() -> None:
    """Begin to tell the database each minute, in a thread that ends with the process."""
    threading.Thread(target=_write_for_ever, name="key-use", daemon=True).start()


def _write_for_ever() -> None:
    pause = threading.Event()
    while not pause.wait(settings.KEY_USE_WRITE_S):
        try:
            write_uses()
        except Error as error:
            logger.warning("The last uses of keys could not be noted: %s", error)
        finally:
            connection.close()
