"""People at the log-in page, for the tests: what they type."""

import re
import time

from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.test import Client

from accounts import people
from tests import make

LOG_IN, CODE, SET_UP = "/admin/login/", "/admin/login/code/", "/admin/login/set-up/"
INDEX = "/admin/"
PASSWORD = "correct horse battery"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def make_head(name="head"):
    """A superuser with an app."""
    user = make.make_superuser(name)
    people.set_up_app(None, user, SECRET, counter=1)
    return user


def app_code(secret=SECRET, steps=0):
    """What the app shows now, or `steps` half minutes later."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps))


def type_password(client, name="head", password=PASSWORD, address="127.0.0.1", **query):
    body = {"username": name, "password": password}
    return client.post(LOG_IN, body, REMOTE_ADDR=address, query_params=query or None)


def type_code(client, code, address="127.0.0.1"):
    return client.post(CODE, {"code": code}, REMOTE_ADDR=address)


def log_in(name="head", address="127.0.0.1", **client):
    """A browser that went through both steps."""
    browser = Client(**client)
    type_password(browser, name, address=address)
    assert type_code(browser, app_code(), address).url == INDEX
    return browser


def shown_secret(page):
    found = re.search(r'<p id="secret"[^>]*>([A-Z2-7 ]+)</p>', page.content.decode())
    return found[1].replace(" ", "")


def factors_of(user):
    kinds = Authenticator.objects.filter(user=user).order_by("type")
    return list(kinds.values_list("type", flat=True))
