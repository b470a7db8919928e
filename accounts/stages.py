"""Between the password and the session: allauth's login stages, and two more."""

from typing import Any

from allauth.account.models import Login
from allauth.account.stages import LoginStage
from django.http import HttpResponseRedirect
from django.urls import reverse
from django.utils.crypto import constant_time_compare

from accounts.models import User
from accounts.proofs import has_second_factor, is_second_factor_asked_of

_TYPED = "typed"


def begin_log_in(user: User, redirect_url: str | None) -> Login:
    """The log-in of who has typed this account's password, which counts as long as it is that."""
    state = {_TYPED: user.get_session_auth_hash()}
    return Login(user=user, redirect_url=redirect_url, state=state)


def is_over(login: Login) -> bool:
    """Whether a log-in under way counts no more: its person was switched off since, or has
    another password, perhaps because somebody else knew the one that was typed here."""
    user = login.user
    if not (isinstance(user, User) and user.is_active and user.is_staff):
        return True
    typed = login.state.get(_TYPED)  # none was for who comes by single sign-on
    return typed is not None and not constant_time_compare(typed, user.get_session_auth_hash())


class SetUpStage(LoginStage):
    """Who needs a second factor and has none sets it up before there is a session."""

    key = "set_up_second_factor"
    urlname = "set_up_second_factor"

    def handle(self) -> tuple[Any, bool]:
        user = self.login.user
        if user is None or not is_second_factor_asked_of(user) or has_second_factor(user):
            return None, True
        return HttpResponseRedirect(reverse(self.urlname)), True


class StillCountsStage(LoginStage):
    """The last one: what was proven at the beginning, minutes ago, still holds."""

    key = "still_counts"

    def handle(self) -> tuple[Any, bool]:
        if is_over(self.login):
            return HttpResponseRedirect(reverse("account_login")), False
        return None, True
