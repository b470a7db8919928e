"""How long a session lasts: so long idle, and so long whatever happens in it."""

import time
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

STARTED_AT, SEEN_AT = "started_at", "seen_at"
SEEN_EVERY_S = 60  # no write to the database for each click


def begin_session(request: HttpRequest, **_: Any) -> None:
    """Django's `user_logged_in`: the session's time begins, whichever way it was made."""
    request.session[STARTED_AT] = request.session[SEEN_AT] = int(time.time())


def is_over(session: SessionBase) -> bool:
    """Whether it was idle for too long or began too long ago.

    Its use is noted once a minute, so an idle one ends up to a minute early, never late.
    """
    now = int(time.time())
    started_at, seen_at = session.get(STARTED_AT, now), session.get(SEEN_AT, now)
    idle_s, whole_s = 60 * settings.SESSION_IDLE_MIN, 60 * settings.SESSION_MIN_MAX
    return bool(idle_s and now - seen_at > idle_s) or bool(whole_s and now - started_at > whole_s)


def note_use(session: SessionBase) -> bool:
    """Note that it is in use; returns whether that was due."""
    now = int(time.time())
    session.setdefault(STARTED_AT, now)  # one that an earlier version made
    if now - session.get(SEEN_AT, 0) < SEEN_EVERY_S:
        return False
    session[SEEN_AT] = now
    return True
