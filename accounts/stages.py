"""Between the password and the session: allauth's login stages, and one more."""

from typing import Any

from allauth.account.stages import LoginStage
from django.http import HttpResponseRedirect
from django.urls import reverse

from accounts.proofs import has_second_factor, is_second_factor_asked_of


class SetUpStage(LoginStage):
    """Who needs a second factor and has none sets it up before there is a session."""

    key = "set_up_second_factor"
    urlname = "set_up_second_factor"

    def handle(self) -> tuple[Any, bool]:
        user = self.login.user
        if user is None or not is_second_factor_asked_of(user) or has_second_factor(user):
            return None, True
        return HttpResponseRedirect(reverse(self.urlname)), True
