"""Who sits before the browser: nobody, until everything that is asked was proven."""

import time

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts import people
from accounts.models import User
from accounts.proofs import is_second_factor_given

STARTED_AT, SEEN_AT = "started_at", "seen_at"
SEEN_EVERY_S = 60  # no write to the database for each click


class StaffAuthenticationMiddleware(AuthenticationMiddleware):
    """`request.user`, for every page and for the API: a person whose session is young enough and
    has the second factor that is asked of them; anybody else is AnonymousUser.

    A page that forgot to check would still meet nobody.
    """

    def process_request(self, request: HttpRequest) -> None:
        request.user = SimpleLazyObject(lambda: _find_once(request))  # type: ignore[assignment]


def _find_once(request: HttpRequest) -> User | AnonymousUser:
    if not hasattr(request, "_cached_user"):
        # Where Django keeps it, so that a log-in or log-out in this request is seen.
        request._cached_user = find_person(request)  # type: ignore[attr-defined]
    return request._cached_user  # type: ignore[attr-defined,no-any-return]


def find_person(request: HttpRequest) -> User | AnonymousUser:
    """The person of this session. Ends a session that is too old; notes that one is in use."""
    user = auth.get_user(request)
    if not isinstance(user, User):
        return AnonymousUser()
    now = int(time.time())
    if _is_over(request, now):
        request.session.flush()
        return AnonymousUser()
    if not is_second_factor_given(request, user):
        return AnonymousUser()
    _note_use(request, now)
    return user


def _is_over(request: HttpRequest, now: int) -> bool:
    started_at, seen_at = (request.session.get(name, now) for name in (STARTED_AT, SEEN_AT))
    idle_s, whole_s = 60 * settings.SESSION_IDLE_MIN, 60 * settings.SESSION_MIN_MAX
    # Noted once a minute, so a session lasts up to a minute less when it is idle, never more.
    return bool(idle_s and now - seen_at > idle_s) or bool(whole_s and now - started_at > whole_s)


def _note_use(request: HttpRequest, now: int) -> None:
    request.session.setdefault(STARTED_AT, now)
    if now - request.session.get(SEEN_AT, 0) >= SEEN_EVERY_S:
        request.session[SEEN_AT] = now
        people.note_session_seen(request)
