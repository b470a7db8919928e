"""People at the back office, for the tests: who they are and what they may do."""

import re

from django.contrib.auth.models import Group, Permission
from django.test import Client

from accounts.models import User
from stores.models import StoreMember

# fmt: off
EVERYTHING = [
    "view_product", "add_product", "change_product", "view_category", "add_category",
    "change_category", "view_productchange", "view_store", "add_store", "change_store",
    "view_storekey", "add_storekey", "change_storekey", "view_level", "view_movement",
    "view_saleevent", "decide_parkedevent", "view_user", "add_user", "change_user",
    "view_group", "change_group",
]
# fmt: on


def sign_in(user: User) -> Client:
    client = Client(raise_request_exception=True)
    client.force_login(user)
    return client


def head_of_chain(username="head") -> Client:
    """A superuser without a password: hashing one takes longer than most of these tests."""
    return sign_in(User.objects.create(username=username, is_staff=True, is_superuser=True))


def make_staff(*stores, permissions=EVERYTHING, username="sana") -> User:
    """Somebody who works for these stores only."""
    user = User.objects.create(username=username, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    for store in stores:
        StoreMember.objects.create(user=user, store=store)
    return user


def make_person(role: str, *stores, username="") -> User:
    """Somebody of a role that the program has, who works for these stores."""
    user = User.objects.create(username=username or role.lower().replace(" ", "_"), is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    for store in stores:
        StoreMember.objects.create(user=user, store=store)
    return user


def rows_of(response) -> list[str]:
    """The rows of a list as a person reads them: tags away, spaces folded."""
    table = re.search(r'<table id="result_list".*?</table>', response.content.decode(), re.S)
    if table is None:
        return []
    rows = re.findall(r'<tr class="data-row.*?</tr>', table.group(), re.S)
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in rows]


def text_of(response) -> str:
    page = re.sub(r"<(script|style).*?</\1>", " ", response.content.decode(), flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())
