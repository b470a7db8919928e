"""What happens to people: the one write module of this app."""

from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from importlib import import_module
from itertools import count
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.mfa import signals
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from allauth.mfa.utils import decrypt
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone as clock
from django.utils.crypto import constant_time_compare

from accounts.audit import Action, Facts, Subject, record, watch
from accounts.models import User
from accounts.proofs import has_second_factor
from inventory_project.errors import Conflict

USERNAME_CHARACTERS_MAX = 150


class UsernameTaken(Conflict):
    code = "username_taken"


class HasSecondFactor(Conflict):
    """Who sets up a first app has one already: somebody else with the password was sooner."""

    code = "has_second_factor"


def remember_people(*, usernames: Iterable[str], of: str) -> dict[str, int]:
    """Make an account `name@of` for each person who worked elsewhere; returns ids by username.

    Nobody can sign in with it: it is there so that a history says who. The same username here
    may be somebody else, as `admin` nearly always is. Raises UsernameTaken.
    """
    names: dict[str, str] = {}
    for username in sorted(set(usernames)):
        names[username] = _name_elsewhere(username, of, names.values())
    known = User.objects.filter(username__in=names.values()).values_list("username", flat=True)
    for name in known[:1]:
        raise UsernameTaken(f"There is an account {name} already.")
    return {
        username: User.objects.create_user(name, is_active=False).pk
        for username, name in names.items()
    }


def watch_powers(user: User, **more: Callable[[], Any]) -> AbstractContextManager[None]:
    """Note what changes meanwhile of a person's roles and permissions, and of `more`: functions
    that tell what else gives power, such as stores."""

    def describe() -> Facts:
        return {
            "roles": sorted(user.groups.values_list("name", flat=True)),
            "permissions": _name_permissions(user.user_permissions.all()),
        } | {name: tell() for name, tell in more.items()}

    return watch(Action.POWERS_CHANGED, Subject("person", user.pk, user.get_username()), describe)


def watch_role(role: Group) -> AbstractContextManager[None]:
    """Note what changes meanwhile of a role's name and permissions."""
    subject = Subject("role", role.pk, role.name)
    return watch(Action.ROLE_CHANGED, subject, lambda: _describe_role(role))


def note_new_role(role: Group) -> None:
    """Note that a role was made."""
    record(Action.ROLE_ADDED, Subject("role", role.pk, role.name), after=_describe_role(role))


def _describe_role(role: Group) -> Facts:
    stored = Group.objects.get(pk=role.pk)
    return {"name": stored.name, "permissions": _name_permissions(stored.permissions.all())}


def _name_permissions(permissions: QuerySet[Permission]) -> list[str]:
    names = permissions.values_list("content_type__app_label", "codename")
    return sorted(f"{app}.{codename}" for app, codename in names)


def _name_elsewhere(username: str, of: str, taken: Collection[str]) -> str:
    """Long names are cut, and then numbered where two have become one."""
    for nth in count(1):
        ending = f"@{of}" if nth == 1 else f"-{nth}@{of}"
        name = f"{username[: USERNAME_CHARACTERS_MAX - len(ending)]}{ending}"
        if name not in taken:
            return name
    raise AssertionError("count() ends nowhere")


# --- second factors -------------------------------------------------------------------------


def find_counter(secret: str, code: str, *, after: int = 0) -> int | None:
    """Which of the codes that are right now this one is, by its 30 seconds; None for no one."""
    digits = "".join(code.split())
    for counter in yield_hotp_counters_from_time():
        right = format_hotp_value(hotp_value(secret, counter))
        if counter > after and constant_time_compare(digits, right):
            return int(counter)
    return None


@transaction.atomic
def accept_code(user: User, code: str) -> Authenticator | None:
    """The factor that this code is of, or None. A code is taken once, and none before it after.

    allauth keeps used codes in the cache, which one process, a restart or a full Redis forgets.
    """
    factors = Authenticator.objects.select_for_update().filter(user=user)
    for factor in factors.exclude(type=Authenticator.Type.WEBAUTHN).order_by("pk"):
        if factor.type != Authenticator.Type.TOTP:
            if factor.wrap().validate_code("".join(code.split())):
                return factor
            continue
        secret, last = decrypt(factor.data["secret"]), factor.data.get("last_counter", 0)
        counter = find_counter(secret, code, after=last)
        if counter:
            factor.data["last_counter"] = counter
            factor.save(update_fields=["data"])
            return factor
    return None


@transaction.atomic
def set_up_app(request: HttpRequest, user: User, secret: str, counter: int) -> Authenticator:
    """Take the authenticator app with this secret for the person's second factor, in place of the
    one before; `counter` is that of the code which proved it, so that it works no second time.

    Recovery codes are made where there are none.
    """
    factors = Authenticator.objects.filter(user=user)
    for old in factors.filter(type=Authenticator.Type.TOTP):
        _remove_factor(old, request)
    app = TOTP.activate(user, secret).instance
    app.data["last_counter"] = counter
    app.save(update_fields=["data"])
    added = [app]
    if not factors.filter(type=Authenticator.Type.RECOVERY_CODES).exists():
        added.append(RecoveryCodes.activate(user).instance)
    for factor in added:
        signals.authenticator_added.send(
            sender=Authenticator, request=request, user=user, authenticator=factor
        )
    return app


@transaction.atomic
def set_up_first_app(request: HttpRequest, user: User, secret: str, counter: int) -> Authenticator:
    """The same for who has proven a password only, and so takes no app's place.

    Raises HasSecondFactor.
    """
    # Two may stand at this step with the same password; the second must see the first one's app.
    User.objects.select_for_update().get(pk=user.pk)
    if has_second_factor(user):
        raise HasSecondFactor("This account has a second factor already. Log in with it.")
    return set_up_app(request, user, secret, counter)


@transaction.atomic
def forget_second_factor(user: User) -> list[str]:
    """Remove the person's second factors, untie their single sign-on and end their sessions;
    returns what was removed."""
    factors = list(Authenticator.objects.filter(user=user).order_by("pk"))
    for factor in factors:
        _remove_factor(factor, None)
    end_sessions(user)
    return [*(factor.type for factor in factors), *_untie_sign_on(user)]


def _remove_factor(factor: Authenticator, request: HttpRequest | None) -> None:
    factor.delete()
    signals.authenticator_removed.send(
        sender=Authenticator, request=request, user=factor.user, authenticator=factor
    )


# --- single sign-on -------------------------------------------------------------------------


@transaction.atomic
def tie_sign_on(user: User, connect: Callable[[], Any]) -> bool:
    """Call `connect`, which ties the person to an id of the provider; False, and nothing done,
    for who is tied to one already: their address may be somebody else's by now."""
    User.objects.select_for_update().get(pk=user.pk)  # two may come with the same address
    if _find_sign_ons(user).exists():
        return False
    connect()
    record(Action.SIGN_ON_TIED, Subject("person", user.pk, user.get_username()))
    return True


def _untie_sign_on(user: User) -> list[str]:
    if not (apps.is_installed("allauth.socialaccount") and _find_sign_ons(user).delete()[0]):
        return []
    record(Action.SIGN_ON_UNTIED, Subject("person", user.pk, user.get_username()))
    return ["single sign-on"]


def _find_sign_ons(user: User) -> QuerySet[Any]:
    # The app is there where a provider is set, and only then may its models be imported.
    model: Any = apps.get_app_config("socialaccount").get_model("SocialAccount")
    found: QuerySet[Any] = model.objects.filter(user=user)
    return found


# --- sessions -------------------------------------------------------------------------------


def note_session_seen(request: HttpRequest) -> None:
    """Note that the session is in use, and from where, for the list of sessions."""
    UserSession.objects.filter(session_key=request.session.session_key).update(
        last_seen_at=clock.now(), ip=get_adapter().get_client_ip(request)
    )


def rename_session(before: str | None, after: str | None) -> None:
    """Keep a session in the list that was given a new key."""
    if before != after:
        UserSession.objects.filter(session_key=before).update(session_key=after)


def end_sessions(user: User, *, but: str | None = None) -> int:
    """End the person's sessions, except the one with this key; returns how many."""
    store = import_module(settings.SESSION_ENGINE).SessionStore()
    sessions = list(UserSession.objects.filter(user=user).exclude(session_key=but or ""))
    for session in sessions:
        store.delete(session.session_key)
        session.delete()
    return len(sessions)
