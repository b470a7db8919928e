"""The log-in in a real browser: from a first password to a code, a lost phone's codes, a key."""

import os
import time

import pytest
from allauth.mfa.models import Authenticator

from tests import make
from tests.security.person import app_code
from tests.web import running_web

pytestmark = pytest.mark.browser

PICTURES = os.environ.get("PICTURES", "")
CORRECT = "correct horse battery"


@pytest.fixture
def page(committed, chromium):
    """A browser before a product that asks head office for a second factor."""
    make.make_superuser()
    asks = {"SECOND_FACTOR_OF": "head_office", "SECURITY_KEYS": "true"}
    with running_web(**asks) as url:
        # By this name: a security key belongs to a name and to no number.
        base = url.replace("127.0.0.1", "localhost")
        context = chromium.new_context(base_url=base, viewport={"width": 1400, "height": 900})
        page = context.new_page()
        page.set_default_timeout(15_000)
        wrong = []
        page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("response", lambda r: wrong.append(r.url) if r.status >= 400 else None)
        yield page
        context.close()
        assert wrong == []


def take_picture(page, name):
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/{name}.png")


def type_password(page):
    page.goto("/admin/login/")
    take_picture(page, "1-log-in")
    page.fill("[name=username]", "head")
    page.fill("[name=password]", CORRECT)
    page.click("[type=submit]")


def log_out(page):
    page.goto("/admin/password_change/done/")
    page.evaluate("document.getElementById('logout-form').submit()")
    page.wait_for_selector("text=logged out")


def set_up(page):
    """From the password to the back office with a new app; returns its secret."""
    type_password(page)
    page.wait_for_url("**/admin/login/set-up/")
    take_picture(page, "2-set-up")
    secret = page.inner_text("#secret").replace(" ", "")
    page.fill("[name=code]", app_code(secret))
    page.click("text=Set up and log in")
    page.wait_for_url("**/second-factor/recovery-codes/")
    take_picture(page, "3-recovery-codes")
    return secret


def next_code(secret):
    """A code that was not used: of the next half minute, which is taken already."""
    return app_code(secret, steps=1 if time.time() % 30 < 29 else 0)


def test_password_app_codes_and_sessions(page):
    secret = set_up(page)
    codes = page.inner_text("#codes").split()
    assert len(codes) == 10
    page.click("text=I have kept them")
    page.wait_for_url("**/admin/")
    log_out(page)
    type_password(page)
    page.wait_for_url("**/admin/login/code/")
    page.fill("[name=code]", "000000")
    page.click("button:has-text('Log in')")
    page.wait_for_selector("text=Incorrect code.")
    take_picture(page, "4-wrong-code")
    page.fill("[name=code]", next_code(secret))
    page.click("button:has-text('Log in')")
    page.wait_for_url("**/admin/")
    page.goto("/admin/sessions/")
    page.wait_for_selector("#sessions >> text=Chrome on Linux (this one)")
    take_picture(page, "5-sessions")
    page.goto("/admin/second-factor/")
    page.wait_for_selector("text=10 left")
    take_picture(page, "6-second-factor")
    page.goto("/admin/password_change/")
    take_picture(page, "7-password")
    log_out(page)
    type_password(page)
    page.fill("[name=code]", codes[0])
    page.click("button:has-text('Log in')")
    page.wait_for_url("**/admin/")


def test_a_security_key_is_added_and_opens(page):
    tools = page.context.new_cdp_session(page)
    tools.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "usb", "automaticPresenceSimulation": True,
               "hasUserVerification": True, "isUserVerified": True}  # fmt: skip
    tools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    set_up(page)
    page.goto("/admin/second-factor/keys/add/")
    take_picture(page, "8-key")
    page.fill("[name=name]", "Blue key")
    page.click("#add_key")
    page.wait_for_url("**/admin/second-factor/")
    assert Authenticator.objects.filter(type="webauthn").count() == 1
    page.goto("/admin/second-factor/keys/")
    page.wait_for_selector("text=Blue key")
    take_picture(page, "9-keys")
    log_out(page)
    type_password(page)
    page.wait_for_url("**/admin/login/code/")
    take_picture(page, "10-code-or-key")
    page.click("#use_key")
    page.wait_for_url("**/admin/")
    page.goto("/admin/confirm/key/?next=/admin/sessions/")
    take_picture(page, "11-again")
    page.click("#use_key")
    page.wait_for_url("**/admin/sessions/")
