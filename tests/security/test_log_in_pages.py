"""The pages of the log-in: which there are, and what each of them keeps to."""

import os
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import NoReverseMatch, reverse

from accounts import people
from accounts.devices import describe_device
from accounts.urls import urlpatterns
from tests import make, office
from tests.databases import CHECKOUT
from tests.security import person
from tests.security.person import CODE, INDEX, LOG_IN, SET_UP

pytestmark = pytest.mark.django_db

PAGES = [f"/admin/{pattern.pattern}" for pattern in urlpatterns]
STEPS = {LOG_IN, CODE, SET_UP}


@pytest.fixture
def head(settings):
    settings.SECOND_FACTOR_OF = "head_office"
    return person.make_head()


def at_each_step():
    """(page, a browser that is there)."""
    make.make_superuser("new")
    yield LOG_IN, Client(enforce_csrf_checks=True)
    for name, page in (("head", CODE), ("new", SET_UP)):
        browser = Client(enforce_csrf_checks=False)
        person.type_password(browser, name)
        browser.handler.enforce_csrf_checks = True
        yield page, browser
    browser = person.log_in()
    browser.handler.enforce_csrf_checks = True
    for page in sorted(set(PAGES) - STEPS):
        yield page, browser


def test_each_page_is_shown_kept_in_no_cache_and_posted_with_its_token_only(head):
    seen = 0
    for page, browser in at_each_step():
        shown = browser.get(page)
        assert shown.status_code == 200, page
        assert "no-store" in shown["Cache-Control"], page
        assert shown["X-Frame-Options"] == "DENY", page
        assert browser.post(page, {"code": "1", "password": "x"}).status_code == 403, page
        seen += 1
    assert seen == len(PAGES)
    assert people.Authenticator.objects.filter(user=head).count() == 2


def test_the_links_to_them_are_in_the_back_office(head):
    page = person.log_in().get(INDEX).content.decode()
    for name in ("usersessions_list", "mfa_index", "admin:password_change"):
        assert f'href="{reverse(name)}"' in page


@pytest.mark.parametrize(
    "name",
    ["account_signup", "account_email", "account_reset_password", "account_logout",
     "account_email_verification_sent", "account_change_password", "account_set_password",
     "account_inactive", "account_request_login_code", "mfa_login_webauthn", "mfa_list_webauthn",
     "openid_connect_login", "socialaccount_signup", "socialaccount_connections",
     "mfa_download_recovery_codes", "mfa_trust"],
)  # fmt: skip
def test_what_is_not_used_has_no_address(name):
    with pytest.raises(NoReverseMatch):
        reverse(name)


PATHS = [
    "accounts/",
    "accounts/login/",
    "accounts/signup/",
    "accounts/password/reset/",
    "_allauth/",
]


@pytest.mark.parametrize("path", PATHS)
def test_and_is_not_there(path):
    assert Client().get(f"/{path}").status_code == 404
    assert Client().post(f"/{path}").status_code == 404


def test_the_tables_of_factors_and_sessions_are_no_pages(head):
    browser = person.log_in()
    for path in ("mfa/authenticator", "usersessions/usersession", "account/emailaddress"):
        assert browser.get(f"/admin/{path}/").status_code == 404


def test_the_secret_of_an_app_is_shown_to_nobody_again(head):
    browser = person.log_in()
    for page in (*PAGES, INDEX, f"/admin/accounts/user/{head.pk}/change/"):
        assert person.SECRET not in browser.get(page).content.decode().replace(" ", "")


def test_passwords_are_hashed_by_argon2_within_bounds():
    kind, _, rest = make.make_superuser().password.partition("$")
    assert (kind, rest.split("$")[:3]) == ("argon2", ["argon2id", "v=19", "m=47104,t=1,p=1"])


def test_a_hash_made_with_other_numbers_opens_and_is_made_anew(head, settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
    head.set_password(person.PASSWORD)
    head.save()
    assert "m=102400" in head.password
    settings.PASSWORD_HASHERS = ["accounts.hashing.BoundedArgon2PasswordHasher"]
    person.log_in()
    head.refresh_from_db()
    assert "m=47104,t=1,p=1" in head.password


def test_the_cookie_of_the_session(head):
    cookie = person.log_in().cookies["sessionid"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")


# --- a lost phone -------------------------------------------------------------------------------


def test_an_operator_resets_a_lost_second_factor(head, capsys):
    theirs, other = person.log_in(), office.head_of_chain("other")
    call_command("resetsecondfactor", "head")
    assert capsys.readouterr().out == (
        "head: removed totp, recovery_codes. Their sessions are ended.\n"
    )
    assert person.factors_of(head) == []
    assert theirs.get(INDEX).status_code == 302
    assert other.session.session_key
    assert person.type_password(Client()).url == SET_UP
    call_command("resetsecondfactor", "head")
    assert capsys.readouterr().out == "head had no second factor. Their sessions are ended.\n"


def test_nobody_of_that_name_is_told(db):
    with pytest.raises(CommandError, match="There is nobody called sana"):
        call_command("resetsecondfactor", "sana")


def test_what_happens_to_a_factor_is_told_to_who_listens(head):
    told = []
    signals = people.signals
    listened = (signals.authenticator_added, signals.authenticator_removed,
                signals.authentication_failed, signals.authenticator_used)  # fmt: skip

    def listen(signal, user, authenticator, **kwargs):
        name = next(n for n, s in vars(signals).items() if s is signal)
        told.append((name, user.username, authenticator.type))

    for signal in listened:
        signal.connect(listen)
    try:
        browser = Client()
        person.type_password(browser)
        person.type_code(browser, "000000")
        person.type_code(browser, person.app_code())
        people.forget_second_factor(head)
    finally:
        for signal in listened:
            signal.disconnect(listen)
    assert told == [
        ("authentication_failed", "head", "totp"),
        ("authenticator_used", "head", "totp"),
        ("authenticator_removed", "head", "totp"),
        ("authenticator_removed", "head", "recovery_codes"),
    ]


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0",
         "Firefox on Linux"),
        ("Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36",
         "Chrome on Android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Version/17.0 Safari/604.1",
         "Safari on iPhone"),
        ("curl/8.0", "curl/8.0"), ("", "Unknown"),
    ],
)  # fmt: skip
def test_a_device_is_shown_in_words(sent, shown):
    assert describe_device(sent) == shown


def test_what_a_browser_says_of_itself_is_escaped(head):
    browser = person.log_in(headers={"user_agent": "<script>alert(1)</script>"})
    page = browser.get("/admin/sessions/").content.decode()
    assert "&lt;script&gt;alert(1)" in page and "<script>alert(1)" not in page


# --- settings -----------------------------------------------------------------------------------

NAMES = ("SECOND_FACTOR_OF", "SESSION_IDLE_MIN", "SESSION_MIN_MAX", "ASK_AGAIN_AFTER_MIN",
         "SESSION_COOKIE_SECURE")  # fmt: skip
PRODUCTION = {
    "PRODUCTION": "true", "SECRET_KEY": "x" * 60, "ALLOWED_HOSTS": "example.org",
    "FIELD_KEYS": f"k1:{'A' * 43}=",
}  # fmt: skip


def start(tmp_path, **variables):
    """(exit code, the settings, last line of what was said)."""
    command = (
        f"from inventory_project import settings as s; print(*(getattr(s, n) for n in {NAMES}))"
    )
    environment = {"PATH": os.environ["PATH"], "LOCAL_DIR": str(tmp_path)} | variables
    done = subprocess.run(
        [sys.executable, "-c", command],
        cwd=CHECKOUT, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout.split(), (done.stderr.splitlines() or [""])[-1]


def test_a_desk_stays_simple_and_production_asks(tmp_path):
    assert start(tmp_path)[1] == ["nobody", "0", "20160", "0", "False"]
    assert start(tmp_path, **PRODUCTION)[1] == ["head_office", "30", "720", "10", "True"]
    own = {"SECOND_FACTOR_OF": "everybody", "SESSION_IDLE_MIN": "5", "SESSION_MIN_MAX": "60"}
    assert start(tmp_path, **PRODUCTION, **own)[1] == ["everybody", "5", "60", "10", "True"]


MINUTES = "takes a whole number of minutes, 0 for no limit."


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("SECOND_FACTOR_OF", "off", "takes one of: nobody, head_office, everybody."),
        ("SESSION_IDLE_MIN", "-1", MINUTES),
        ("SESSION_MIN_MAX", "", MINUTES),
        ("ASK_AGAIN_AFTER_MIN", "1h", MINUTES),
        ("OIDC_SERVER_URL", "http://sso.example.org", "begins with https:// in production."),
    ],
)
def test_what_makes_no_sense_stops_the_start(tmp_path, variable, value, said):
    code, _, told = start(tmp_path, **PRODUCTION, **{variable: value})
    assert (code, told.partition(": ")[2]) == (1, f"{variable} {said}")


HASH_AT_ONCE = """
import threading
import django
django.setup()
from django.contrib.auth.hashers import get_hasher
def peak():
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmHWM"))
hasher, before = get_hasher(), peak()
threads = [threading.Thread(target=hasher.encode, args=("password", "s" * 22)) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print((peak() - before) // 1024)
"""


def test_sixteen_log_ins_at_once_take_the_memory_of_one():
    """A web process has sixteen threads, and 250 MB."""
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "inventory_project.settings"}
    done = subprocess.run(
        [sys.executable, "-c", HASH_AT_ONCE],
        cwd=CHECKOUT, env=environment, check=True, text=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    print(f"+{done.stdout.strip()} MB")
    assert int(done.stdout) < 60
