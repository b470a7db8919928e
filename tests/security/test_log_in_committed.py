"""The second factor seen from outside: as production starts, and by many at once."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from tests import make
from tests.databases import CHECKOUT
from tests.security import person
from tests.security.person import CODE, LOG_IN, SET_UP

ASK_IN_PRODUCTION = """
import django
django.setup()
from django.test import Client
browser = Client(SERVER_NAME="example.org")
body = {"username": "head", "password": "correct horse battery"}
answer = browser.post("/admin/login/", body, secure=True)
cookie = answer.cookies["sessionid"]
print(answer.url, bool(cookie["secure"]), bool(cookie["httponly"]), cookie["samesite"])
for address in ("/admin/", "/admin/stores/storekey/", "/admin/second-factor/set-up/"):
    print(browser.get(address, secure=True).url.partition("?")[0])
print(browser.get("/api/stores/", secure=True).status_code)
"""


@pytest.mark.parametrize("has_app", [False, True])
def test_in_production_a_password_alone_never_comes_to_the_index(committed, has_app):
    person.make_head() if has_app else make.make_superuser("head")
    production = {
        "PRODUCTION": "true", "SECRET_KEY": "x" * 60, "ALLOWED_HOSTS": "example.org",
        "FIELD_KEYS": f"k1:{'A' * 43}=",
        "DJANGO_SETTINGS_MODULE": "inventory_project.settings",
    }  # fmt: skip
    told = subprocess.run(
        [sys.executable, "-c", ASK_IN_PRODUCTION],
        cwd=CHECKOUT, env=os.environ | production, check=True, text=True, stdout=subprocess.PIPE,
    ).stdout.splitlines()  # fmt: skip
    step = CODE if has_app else SET_UP
    assert told == [f"{step} True True Lax", LOG_IN, LOG_IN, LOG_IN, "401"]


def test_one_code_typed_in_many_places_at_once_opens_one(committed):
    """Each on a connection of its own: the row is read again under its lock."""
    head, code = person.make_head(), person.app_code()
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: accept_elsewhere(head, code), range(8)))
    assert sorted(answers) == [False] * 7 + [True]


def accept_elsewhere(user, code):
    try:
        return person.people.accept_code(user, code) is not None
    finally:
        connection.close()
