"""Forms that take a proof: a code of the second factor, or the password again."""

from typing import Any

from allauth.account.forms import ReauthenticateForm
from allauth.core import context
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base.forms import AuthenticateForm
from allauth.mfa.base.internal.flows import post_authentication
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import get_totp_secret
from django import forms
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from accounts import people
from accounts.models import User

CODE_CHARACTERS_MAX = 20


def _code_field() -> forms.CharField:
    attributes = {"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": ""}
    return forms.CharField(
        label="Code", max_length=CODE_CHARACTERS_MAX,
        widget=UnfoldAdminTextInputWidget(attrs=attributes),
    )  # fmt: skip


class CodeForm(AuthenticateForm):
    """A code of the app or a recovery code, after the password."""

    code = _code_field()

    def clean_code(self) -> str:
        code: str = self.cleaned_data["code"]
        factor = people.accept_code(self.user, code)
        if factor is None:
            self._tell_of_failure()
            raise get_adapter().validation_error("incorrect_code")
        self.authenticator = factor
        return code

    def _tell_of_failure(self) -> None:
        factors = Authenticator.objects.filter(user=self.user)
        factor = factors.exclude(type=Authenticator.Type.WEBAUTHN).order_by("pk").first()
        if factor:
            self._emit_authentication_failed(factor)


class CodeAgainForm(CodeForm):
    """The same from somebody who is logged in, as a proof that it is still them."""

    def save(self) -> None:
        post_authentication(context.request, self.authenticator, reauthenticated=True)


class PasswordAgainForm(ReauthenticateForm):
    password = forms.CharField(
        label="Password", strip=False,
        widget=UnfoldAdminPasswordWidget(
            attrs={"autocomplete": "current-password", "autofocus": ""}
        ),
    )  # fmt: skip


class SetUpForm(forms.Form):
    """The first code of an authenticator app, which shows that it has the secret."""

    code = _code_field()

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        # One secret for the log-in, however often the page is looked at: it may be open twice.
        self.secret = get_totp_secret()
        self.counter = 0

    def clean_code(self) -> str:
        code: str = self.cleaned_data["code"]
        counter = people.find_counter(self.secret, code)
        if counter is None:
            raise get_adapter().validation_error("incorrect_code")
        self.counter = counter
        return code
