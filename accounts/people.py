"""What happens to people: the one write module of this app."""

from collections.abc import Collection, Iterable
from itertools import count

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


def _name_elsewhere(username: str, of: str, taken: Collection[str]) -> str:
    """Long names are cut, and then numbered where two have become one."""
    for nth in count(1):
        ending = f"@{of}" if nth == 1 else f"-{nth}@{of}"
        name = f"{username[: USERNAME_CHARACTERS_MAX - len(ending)]}{ending}"
        if name not in taken:
            return name
    raise AssertionError("count() ends nowhere")
