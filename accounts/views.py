"""The pages of the log-in: password, code, setting up the second factor, sessions.

allauth's views where they fit, in the look of the back office. Each page that takes a secret counts
its tries (inventory_project/log_in.py).
"""

import base64
from typing import Any

from allauth.account.internal.decorators import login_stage_required
from allauth.account.internal.flows.login import perform_password_login
from allauth.account.utils import get_next_redirect_url
from allauth.account.views import ReauthenticateView
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base.internal.flows import post_authentication
from allauth.mfa.base.views import AuthenticateView, IndexView
from allauth.mfa.base.views import ReauthenticateView as CodeReauthenticateView
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.views import GenerateRecoveryCodesView, ViewRecoveryCodesView
from allauth.mfa.totp.internal.auth import clear_totp_secret
from allauth.mfa.totp.views import DeactivateTOTPView
from allauth.usersessions.models import UserSession
from allauth.usersessions.views import ListUserSessionsView
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.signals import user_login_failed
from django.contrib.auth.views import PasswordChangeView
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse, reverse_lazy
from django.utils.decorators import method_decorator
from django.utils.timezone import localtime
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic.edit import FormView
from unfold.forms import AdminOwnPasswordChangeForm, AuthenticationForm

from accounts import people
from accounts.devices import describe_device
from accounts.forms import SetUpForm
from accounts.models import User
from accounts.proofs import (
    ask_again,
    has_second_factor,
    is_proof_recent,
    is_second_factor_asked_of,
)
from accounts.stages import SetUpStage, begin_log_in, is_over
from inventory_project.log_in import DAY_S, GuardedTries, Pace, Tries


class BackOfficePage:
    """Dresses a view as a page of the back office, kept in no cache."""

    request: HttpRequest
    title = ""

    @method_decorator(never_cache)
    @method_decorator(sensitive_post_parameters())
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return super().dispatch(request, *args, **kwargs)  # type: ignore[misc]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = super().get_context_data(**kwargs)  # type: ignore[misc]
        return {**admin.site.each_context(self.request), "title": self.title, **page}


class SignedInPage(LoginRequiredMixin, BackOfficePage):
    """A page for whoever is logged in, about themselves."""


class FreshlyProvenPage(LoginRequiredMixin, BackOfficePage):
    """A page for who has proven a little while ago who they are; others are asked again first."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if request.user.is_authenticated and not is_proof_recent(request):
            return ask_again(request)
        return super().dispatch(request, *args, **kwargs)


# --- logging in -----------------------------------------------------------------------------


class LogInView(GuardedTries, BackOfficePage, FormView):  # type: ignore[type-arg]
    """Name and password. A wrong name, a wrong password and a person who may not sign in are
    answered alike, and Django hashes a password for each of them."""

    template_name = "accounts/log_in.html"
    form_class = AuthenticationForm
    title = "Log in"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if admin.site.has_permission(request):
            return HttpResponseRedirect(get_next_redirect_url(request) or reverse("admin:index"))
        return super().get(request, *args, **kwargs)

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "request": self.request}

    def find_tries(self) -> Tries:
        return Tries(self.request, self.request.POST.get("username", ""))

    def form_valid(self, form: Any) -> HttpResponse:
        self.tries.succeed()
        user = form.get_user()
        next_page = get_next_redirect_url(self.request)
        # Nothing of whoever sat here before, and a new key.
        self.request.session.flush()
        credentials = {"username": user.get_username()}
        login = begin_log_in(user, next_page)
        answer: HttpResponse = perform_password_login(self.request, credentials, login)
        return answer

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        next_page = get_next_redirect_url(self.request)
        return super().get_context_data(
            app_path=self.request.get_full_path(),
            single_sign_on=settings.OIDC_NAME if settings.OIDC_SERVER_URL else "",
            next_page=next_page or "",
            **kwargs,
        )


def code_tries(request: HttpRequest, user: Any) -> Tries:
    """Tries of a code: bounded for the account wherever they come from. A changed password ends
    that: whoever used up the day's guesses cannot come here again."""
    whole = f"codes of {user.pk} {user.get_session_auth_hash()}"
    day = Pace(whole, settings.WRONG_CODES_A_DAY_MAX, DAY_S)
    return Tries(request, user.get_username(), day, of="code of ")


class CodeView(GuardedTries, BackOfficePage, AuthenticateView):
    """The second step: a code of the app, a recovery code, or a security key."""

    template_name = "accounts/code.html"
    title = "Log in"

    def find_tries(self) -> Tries:
        return code_tries(self.request, self.stage.login.user)


# --- setting up the app ---------------------------------------------------------------------


class SetUpPage(BackOfficePage, FormView):  # type: ignore[type-arg]
    """Shows a new secret, and takes the app with it once it told a right code."""

    form_class = SetUpForm
    title = "Set up the second factor"

    def find_user(self) -> User:
        raise NotImplementedError

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "user": self.find_user()}

    def take_app(self, user: User, form: SetUpForm) -> Authenticator:
        return people.set_up_app(self.request, user, form.secret, form.counter)

    def set_up(self, form: SetUpForm) -> None:
        factor = self.take_app(self.find_user(), form)
        clear_totp_secret(self.request)
        post_authentication(self.request, factor)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = super().get_context_data(**kwargs)
        adapter = get_adapter()
        secret = page["form"].secret
        svg = adapter.build_totp_svg(adapter.build_totp_url(self.find_user(), secret))
        image = base64.b64encode(svg.encode()).decode()
        blocks = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
        return page | {"image": f"data:image/svg+xml;base64,{image}", "secret": blocks}


@method_decorator(login_stage_required(SetUpStage.key, "account_login"), name="dispatch")
class FirstSetUpView(SetUpPage):
    """Between the password and the session, for who needs a second factor and has none."""

    template_name = "accounts/set_up_first.html"

    def find_user(self) -> User:
        return self.request._login_stage.login.user  # type: ignore[attr-defined,no-any-return]

    def take_app(self, user: User, form: SetUpForm) -> Authenticator:
        return people.set_up_first_app(self.request, user, form.secret, form.counter)

    def form_valid(self, form: SetUpForm) -> HttpResponse:
        stage = self.request._login_stage  # type: ignore[attr-defined]
        if is_over(stage.login):
            return stage.abort()  # type: ignore[no-any-return]
        try:
            self.set_up(form)
        except people.HasSecondFactor as error:
            messages.error(self.request, error.detail)
            return stage.abort()  # type: ignore[no-any-return]
        stage.login.redirect_url = reverse("mfa_view_recovery_codes")
        return stage.exit()  # type: ignore[no-any-return]


class SetUpView(FreshlyProvenPage, SetUpPage):
    """The same for who is logged in: a first app, or a new phone in place of the old one."""

    template_name = "accounts/set_up.html"

    def find_user(self) -> User:
        return self.request.user  # type: ignore[return-value]

    def form_valid(self, form: SetUpForm) -> HttpResponse:
        had_one = has_second_factor(self.find_user())
        self.set_up(form)
        people.end_sessions(self.find_user(), but=self.request.session.session_key)
        messages.success(self.request, "The app is your second factor. Other sessions were ended.")
        return HttpResponseRedirect(reverse("mfa_index" if had_one else "mfa_view_recovery_codes"))


class SecondFactorView(SignedInPage, IndexView):
    template_name = "accounts/second_factor.html"
    title = "Second factor"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = super().get_context_data(**kwargs)
        codes, app = (page["authenticators"].get(kind) for kind in ("recovery_codes", "totp"))
        return page | {
            "is_asked": is_second_factor_asked_of(self.request.user),  # type: ignore[arg-type]
            "may_remove": bool(app) and get_adapter().can_delete_authenticator(app.instance),
            "codes_left": len(codes.get_unused_codes()) if codes else 0,
            "app": app,
            "keys": page["authenticators"].get("webauthn", []),
            "has_keys": settings.SECURITY_KEYS,
        }


class RemoveView(FreshlyProvenPage, DeactivateTOTPView):
    template_name = "accounts/remove.html"
    title = "Remove the app"

    @transaction.atomic  # with its entry in the audit
    def form_valid(self, form: Any) -> Any:
        return super().form_valid(form)


class RecoveryCodesView(FreshlyProvenPage, ViewRecoveryCodesView):
    template_name = "accounts/recovery_codes.html"
    title = "Recovery codes"


class NewRecoveryCodesView(FreshlyProvenPage, GenerateRecoveryCodesView):
    template_name = "accounts/new_recovery_codes.html"
    title = "New recovery codes"


# --- proving it again -----------------------------------------------------------------------


class PasswordAgainView(GuardedTries, SignedInPage, ReauthenticateView):
    template_name = "accounts/again.html"
    title = "Is it still you?"

    def find_tries(self) -> Tries:
        return Tries(self.request, self.request.user.get_username())


class CodeAgainView(GuardedTries, SignedInPage, CodeReauthenticateView):
    template_name = "accounts/again.html"
    title = "Is it still you?"

    def find_tries(self) -> Tries:
        return code_tries(self.request, self.request.user)


class ChangePasswordView(GuardedTries, SignedInPage, PasswordChangeView):
    """Asks for the present password, and ends every other session."""

    template_name = "registration/password_change_form.html"
    form_class = AdminOwnPasswordChangeForm
    success_url = reverse_lazy("admin:password_change_done")
    title = "Change password"

    def find_tries(self) -> Tries:
        return Tries(self.request, self.request.user.get_username())

    def form_invalid(self, form: Any) -> Any:
        if form.has_error("old_password", "password_incorrect"):
            # Somebody guesses. The form compares by itself and tells nobody, as a log-in would.
            told = {"username": self.request.user.get_username()}
            user_login_failed.send(sender=type(self), credentials=told, request=self.request)
        return super().form_invalid(form)

    def form_valid(self, form: Any) -> Any:
        session = self.request.session
        before = session.session_key
        answer = super().form_valid(form)  # Django gives this session a new key
        people.rename_session(before, session.session_key)
        people.end_sessions(form.user, but=session.session_key)
        return answer


# --- sessions -------------------------------------------------------------------------------


class SessionsView(SignedInPage, ListUserSessionsView):
    """Where this person is logged in, and a button that ends it everywhere else."""

    template_name = "accounts/sessions.html"
    title = "My sessions"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = super().get_context_data(**kwargs)
        rows = [_describe_session(session) for session in page["sessions"]]
        return page | {
            "table": {"headers": ["Device", "Address", "Since", "Last seen"], "rows": rows}
        }

    def form_valid(self, form: Any) -> HttpResponse:
        count = people.end_sessions(
            self.request.user,  # type: ignore[arg-type]
            but=self.request.session.session_key,
        )
        messages.success(self.request, f"Ended: {count} other session{'' if count == 1 else 's'}.")
        return HttpResponseRedirect(reverse("usersessions_list"))


def _describe_session(session: UserSession) -> list[str]:
    device = describe_device(session.user_agent)
    since, seen = (
        localtime(instant).strftime("%d %b %Y %H:%M")
        for instant in (session.created_at, session.last_seen_at)
    )
    return [f"{device} (this one)" if session.is_current() else device, session.ip, since, seen]
