"""Who sits before the browser: nobody, until everything that is asked was proven."""

from django.contrib import auth
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts import people
from accounts.lifetime import is_over, note_use
from accounts.models import User
from accounts.proofs import is_second_factor_given


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
    if is_over(request.session):
        request.session.flush()
        return AnonymousUser()
    if not is_second_factor_given(request, user):
        return AnonymousUser()
    if note_use(request.session):
        people.note_session_seen(request)
    return user
