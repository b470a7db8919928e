"""What happens to people: the one write module of this app."""

from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from itertools import count
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db.models import QuerySet

from accounts.audit import Action, Facts, Subject, record, watch
from accounts.models import User
from inventory_project.errors import Conflict

USERNAME_CHARACTERS_MAX = 150


class UsernameTaken(Conflict):
    code = "username_taken"


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
