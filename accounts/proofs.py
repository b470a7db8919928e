"""What a session has proven: a password, a second factor, and how long ago.

allauth notes each step in the session. Who has to give a second factor and did not is nobody,
whatever else the session says: StaffAuthenticationMiddleware asks here, and the API's door again.
"""

import time
from typing import Any
from urllib.parse import urlencode

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from accounts.models import User

# What can be asked for instead of a password; recovery codes only stand in for one of these.
FACTORS = [Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN]


def is_second_factor_asked_of(user: User) -> bool:
    """Whether this person may not come in by a password alone."""
    if settings.SECOND_FACTOR_OF == "nobody":
        return False
    if settings.SECOND_FACTOR_OF == "everybody" or user.is_superuser:
        return True
    return user.has_perm("stores.work_chain_wide") or user.has_perm("stores.read_chain_wide")


def has_second_factor(user: User) -> bool:
    """Whether this person has set one up."""
    return bool(is_mfa_enabled(user, FACTORS))


def is_second_factor_given(request: HttpRequest, user: User) -> bool:
    """Whether this session proved one, or its person need not."""
    steps = get_authentication_records(request, user)
    return any(map(_is_second_factor, steps)) or not is_second_factor_asked_of(user)


def _is_second_factor(step: dict[str, Any]) -> bool:
    if step["method"] == "socialaccount":
        return bool(settings.OIDC_HAS_SECOND_FACTOR)
    return bool(step["method"] == "mfa")


def is_proof_recent(request: HttpRequest) -> bool:
    """Whether this session proved anything in the last ASK_AGAIN_AFTER_MIN minutes."""
    if not settings.ASK_AGAIN_AFTER_MIN:
        return True
    steps = get_authentication_records(request, request.user)  # type: ignore[arg-type]
    oldest = time.time() - 60 * settings.ASK_AGAIN_AFTER_MIN
    return any(step["at"] > oldest for step in steps)


def ask_again(request: HttpRequest) -> HttpResponse:
    """Lead to the page that asks for the password again, and back here.

    What was sent is not kept meanwhile: it may be a password, and sessions are in the database.
    Who has nothing to prove it with, as they come by single sign-on, comes in anew.
    """
    page = "account_reauthenticate"
    if not get_adapter().get_reauthentication_methods(request.user):
        logout(request)
        page = "account_login"
        messages.info(request, "Log in again to go on.")
    elif request.method != "GET":
        messages.warning(request, "Nothing was saved yet. Prove that it is you, then do it again.")
    return HttpResponseRedirect(f"{reverse(page)}?{urlencode({'next': request.get_full_path()})}")
