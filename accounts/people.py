"""What happens to people: the one write module of this app."""

from collections.abc import Iterable

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
    ids = {}
    for username in sorted(set(usernames)):
        name = f"{username[: USERNAME_CHARACTERS_MAX - len(of) - 1]}@{of}"
        if User.objects.filter(username=name).exists():
            raise UsernameTaken(f"There is an account {name} already.")
        ids[username] = User.objects.create_user(name, is_active=False).pk
    return ids
