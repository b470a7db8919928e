"""Single sign-on by OpenID Connect, loaded only where OIDC_SERVER_URL names a provider.

The provider says who somebody is; whether they may come in is decided here, by head office, which
has made an account with the same e-mail address.
"""

from functools import partial
from typing import Any, NoReturn

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.base import AuthProcess
from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse

from accounts import people
from accounts.models import User

NOT_LET_IN = "The sign-on did not lead to an account here. Ask head office, or log in by password."


class SignOnAdapter(DefaultSocialAccountAdapter):
    """Lets in people who have an account; makes none."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return False

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        if sociallogin.state.get("process") != AuthProcess.LOGIN:
            refuse(request)
        user = sociallogin.user if sociallogin.is_existing else _find_by_address(sociallogin)
        if not (user and user.is_active and user.is_staff):
            refuse(request)
        # From now on the provider's own id of this person counts, not the address.
        connect = partial(sociallogin.connect, request, user)
        if not (sociallogin.is_existing or people.tie_sign_on(user, connect)):
            refuse(request)

    def on_authentication_error(
        self, request: HttpRequest, provider: Any, *args: Any, **kwargs: Any
    ) -> None:
        refuse(request)

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        """None: this product sends no mail."""


def _find_by_address(sociallogin: SocialLogin) -> User | None:
    """The one person with an e-mail address that the provider has verified."""
    addresses = [found.email for found in sociallogin.email_addresses if found.verified]
    if len(addresses) != 1:
        return None
    found = list(User.objects.filter(email__iexact=addresses[0])[:2])
    return found[0] if len(found) == 1 else None


def refuse(request: HttpRequest) -> NoReturn:
    """Back to the log-in, with the same words whatever was wrong."""
    messages.error(request, NOT_LET_IN)
    raise ImmediateHttpResponse(HttpResponseRedirect(reverse("account_login")))
