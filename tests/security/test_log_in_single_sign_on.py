"""Single sign-on with a provider on this machine, in a product set up for it."""

import html
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from http.cookiejar import CookieJar
from urllib.parse import urlencode, urljoin

import pytest

from tests.databases import CHECKOUT
from tests.security.provider import CLIENT, SECRET, running_provider
from tests.web import running_web

# A product of its own on a file: the tables of single sign-on are made only where it is used.
pytestmark = pytest.mark.sqlite

MAKE_PEOPLE = """
from accounts.models import User
User.objects.create(username="sana", email="Sana@example.org", is_staff=True)
User.objects.create(username="head", email="head@example.org", is_staff=True, is_superuser=True)
User.objects.create(username="off", email="off@example.org", is_staff=True, is_active=False)
User.objects.create(username="customer", email="customer@example.org")
for name in ("one", "two"):
    User.objects.create(username=name, email="both@example.org", is_staff=True)
"""
NOT_LET_IN = "The sign-on did not lead to an account here."


def manage(environment, *arguments):
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=CHECKOUT, env=os.environ | environment, check=True, text=True,
        stdout=subprocess.PIPE,
    ).stdout  # fmt: skip


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    """(the provider, the product's address, its environment)."""
    folder = tmp_path_factory.mktemp("sso")
    with running_provider() as (provider, server_url):
        environment = {
            "LOCAL_DIR": str(folder), "DATABASE_URL": f"sqlite:///{folder}/sso.sqlite3",
            "OIDC_SERVER_URL": server_url, "OIDC_CLIENT_ID": CLIENT, "OIDC_CLIENT_SECRET": SECRET,
            "OIDC_NAME": "Example ID", "SECOND_FACTOR_OF": "head_office",
        }  # fmt: skip
        for arguments in (["migrate", "--verbosity", "0"], ["shell", "-v", "0", "-c", MAKE_PEOPLE]):
            manage(environment, *arguments)
        with running_web(**environment) as url:
            yield provider, url, environment


class Browser:
    def __init__(self, url):
        self.url = url
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar())
        )

    def open(self, path, form=None):
        """(address at the end, page); goes where a page leads by itself."""
        body = urlencode(form).encode() if form is not None else None
        answer = self.opener.open(urljoin(self.url, path), body)
        page = answer.read().decode()
        if leads := re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', page):
            return self.open(html.unescape(leads[1]))
        return answer.url.removeprefix(self.url), page

    def sign_on(self):
        _, page = self.open("/admin/login/?next=/admin/sessions/")
        assert "Log in with Example ID" in page
        form = re.search(r'<form action="(/admin/sso/sso/login/)".*?</form>', page, re.S)
        inputs = re.findall(r'name="(\w+)" value="([^"]*)"', form[0])
        return self.open(form[1], dict(inputs))


def arrive(product, **claims):
    provider, url, _ = product
    provider.claims = {"sub": "1", "email_verified": True} | claims
    return Browser(url).sign_on()


def test_who_has_an_account_comes_in_and_goes_where_they_wanted(product):
    address, page = arrive(product, sub="77", email="sana@example.org")
    assert (address, "My sessions" in page) == ("/admin/sessions/", True)


def test_then_the_providers_own_id_counts_and_no_address(product):
    arrive(product, sub="77", email="sana@example.org")
    assert arrive(product, sub="77", email="new@example.org")[0] == "/admin/sessions/"


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "10", "email": "nobody@example.org"},
        {"sub": "11", "email": "head@example.org", "email_verified": False},
        {"sub": "12", "email": "off@example.org"},
        {"sub": "13", "email": "customer@example.org"},
        {"sub": "14", "email": "both@example.org"},
        {"sub": "15"},
    ],
    ids=lambda claims: claims.get("email", "no address"),
)
def test_anybody_else_is_told_the_same(product, claims):
    address, page = arrive(product, **claims)
    assert (address, NOT_LET_IN in page) == ("/admin/login/", True)


def test_head_office_sets_up_a_second_factor_all_the_same(product):
    assert arrive(product, sub="20", email="head@example.org")[0] == "/admin/login/set-up/"


def test_it_begins_with_a_posted_form_and_ends_with_its_own_answer(product):
    browser = Browser(product[1])
    for path, form in (("/admin/sso/sso/login/", None), ("/admin/sso/sso/login/", {})):
        with pytest.raises(urllib.error.HTTPError) as refused:
            browser.open(path, form)
        assert refused.value.code in (403, 405)
    address, page = browser.open("/admin/sso/sso/callback/?code=c0de&state=made-up")
    assert (address, NOT_LET_IN in page) == ("/admin/login/", True)


def test_an_account_is_not_tied_to_another_sign_on(product):
    provider, url, _ = product
    provider.claims = {"sub": "77", "email": "sana@example.org", "email_verified": True}
    browser = Browser(url)
    browser.sign_on()
    _, page = browser.open("/admin/sessions/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    provider.claims = {"sub": "99", "email": "sana@example.org", "email_verified": True}
    form = {"csrfmiddlewaretoken": token, "process": "connect"}
    address, page = browser.open("/admin/sso/sso/login/?process=connect", form)
    assert (address, NOT_LET_IN in page) == ("/admin/", True)
    assert arrive(product, sub="99", email="evil@example.org")[0] == "/admin/login/"


SHOW_NOTED = """
from accounts.audit_tables import AuditEntry
rows = AuditEntry.objects.filter(action__startswith="single_sign_on.", object_name="sana")
print(*(f"{row.action} {row.actor_kind} {row.address}" for row in rows.order_by("id")), sep=";")
"""


def test_an_account_that_is_tied_is_not_picked_by_its_address_again(product):
    """An address is given to somebody else when its person has left; the provider's id never."""
    assert arrive(product, sub="77", email="sana@example.org")[0] == "/admin/sessions/"
    address, page = arrive(product, sub="78", email="sana@example.org")
    assert (address, NOT_LET_IN in page) == ("/admin/login/", True)
    told = manage(product[2], "resetsecondfactor", "sana")
    assert told == "sana: removed single sign-on. Their sessions are ended.\n"
    assert arrive(product, sub="79", email="sana@example.org")[0] == "/admin/sessions/"
    tied, untied, again = (
        manage(product[2], "shell", "-v", "0", "-c", SHOW_NOTED).strip().split(";")
    )
    assert tied == again == "single_sign_on.tied nobody 127.0.0.1"
    assert untied.startswith("single_sign_on.untied program ")
