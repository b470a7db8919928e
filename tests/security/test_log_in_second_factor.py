"""A password alone opens nothing to who needs a second factor, whichever way is tried."""

import re

import pytest
from django.contrib.auth.models import Permission
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from accounts import audit
from accounts.models import User
from tests import make, office
from tests.routes import api_routes, fill_in
from tests.security import person
from tests.security.person import CODE, INDEX, LOG_IN, SET_UP

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def asked(settings):
    settings.SECOND_FACTOR_OF = "head_office"


def admin_addresses(patterns=None, before="/"):
    """Every address below /admin/, as the resolver knows them; places filled with 1."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = before + re.sub(r"\^?\(\?P<.*\)/?\$", "stores/", str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from admin_addresses(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern) and route.startswith("/admin/"):
            yield fill_places(route)


def fill_places(route):
    while "<" in route:
        head, _, rest = route.partition("<")
        route = f"{head}1{rest.partition('>')[2]}"
    return route


def password_only_sessions():
    """The session of a typed password, for who has an app and who has none yet; and one that
    Django itself made, as an earlier version would have."""
    person.make_head("with-app")
    make.make_superuser("without-app")
    for name, step in (("with-app", CODE), ("without-app", SET_UP)):
        browser = Client()
        assert person.type_password(browser, name).url == step
        yield name, browser
    for name in ("with-app", "without-app"):
        browser = Client()
        browser.force_login(User.objects.get(username=name))
        yield f"{name}, logged in by Django", browser


# The steps of the log-in themselves, and what ends it, which answers everybody the same.
OPEN = {LOG_IN, CODE, SET_UP, "/admin/logout/"}


def test_a_password_alone_opens_no_page_of_the_back_office():
    addresses = sorted({*admin_addresses()} - OPEN)
    assert len(addresses) > 80 and INDEX in addresses
    tried = 0
    for whose, browser in password_only_sessions():
        for address in addresses:
            for ask in (browser.get, browser.post):
                answer = ask(address)
                tried += 1
                led_away = answer.status_code == 302 and answer.url.startswith(LOG_IN)
                assert led_away, (whose, address, answer)
    print(f"{tried} tries at {len(addresses)} addresses")


def test_a_password_alone_opens_nothing_of_the_api():
    routes = [(m, fill_in(r, code="X", sku="X", name="X", event_id="X")) for m, r in api_routes()]
    open_to_all = {"/api/schema/", "/api/docs/"}
    for whose, browser in password_only_sessions():
        for method, address in routes:
            if address not in open_to_all:
                answer = browser.generic(method, address, b"{}", "application/json")
                assert answer.status_code == 401, (whose, method, address)


def test_the_apis_own_door_looks_too(monkeypatch):
    """Were the middleware's check lost, the API would still refuse."""
    monkeypatch.setattr("accounts.middleware.is_second_factor_given", lambda *_: True)
    head = office.head_of_chain()
    assert head.get(INDEX).status_code == 200
    assert head.get("/api/stores/").status_code == 401


def test_password_and_code_open_the_back_office_and_the_api():
    person.make_head()
    browser = Client()
    assert person.type_password(browser).url == CODE
    assert "_auth_user_id" not in browser.session
    assert person.type_code(browser, person.app_code()).url == INDEX
    assert browser.get(INDEX).status_code == 200
    assert browser.get("/api/stores/").status_code == 200


def test_who_has_no_app_sets_it_up_before_there_is_a_session():
    make.make_superuser("head")
    browser = Client()
    assert person.type_password(browser, next="/admin/stores/store/").url == SET_UP
    page = browser.get(SET_UP)
    secret = person.shown_secret(page)
    wrong = browser.post(SET_UP, {"code": "000000"})
    assert (wrong.status_code, person.shown_secret(wrong)) == (200, secret)
    assert browser.get(INDEX).status_code == 302
    done = browser.post(SET_UP, {"code": person.app_code(secret)})
    assert done.url == "/admin/second-factor/recovery-codes/"
    codes = browser.get(done.url)
    assert len(codes.context["unused_codes"]) == 10
    assert codes.context["unused_codes"][0] in codes.content.decode()
    assert browser.get(INDEX).status_code == 200
    head = User.objects.get(username="head")
    assert person.factors_of(head) == ["recovery_codes", "totp"]
    again = browser.get(done.url).content.decode()
    assert not [code for code in codes.context["unused_codes"] if code in again]


def test_staff_of_a_store_need_none_but_are_asked_if_they_have_one(lahore, settings):
    sana = office.make_staff(lahore)
    sana.set_password(person.PASSWORD)
    sana.save()
    assert person.type_password(Client(), "sana").url == INDEX
    settings.SECOND_FACTOR_OF = "everybody"
    assert person.type_password(Client(), "sana").url == SET_UP
    settings.SECOND_FACTOR_OF = "nobody"
    person.people.set_up_app(None, sana, person.SECRET, counter=1)
    assert person.type_password(Client(), "sana").url == CODE


def test_who_is_made_head_office_is_asked_at_the_next_click(lahore):
    sana = office.make_staff(lahore)
    browser = office.sign_in(sana)
    assert browser.get(INDEX).status_code == 200
    sana.user_permissions.add(Permission.objects.get(codename="work_chain_wide"))
    assert browser.get(INDEX).status_code == 302


def test_a_desk_asks_for_nothing(settings):
    settings.SECOND_FACTOR_OF = "nobody"
    make.make_superuser("head")
    browser = Client()
    assert person.type_password(browser).url == INDEX
    assert browser.get(INDEX).status_code == 200


def test_a_code_works_once_also_the_one_that_set_the_app_up():
    make.make_superuser("head")
    first = Client()
    person.type_password(first)
    secret = person.shown_secret(first.get(SET_UP))
    code = person.app_code(secret)
    first.post(SET_UP, {"code": code})
    second = Client()
    person.type_password(second)
    assert person.type_code(second, code).status_code == 200
    later = person.app_code(secret, steps=1)
    assert person.type_code(second, later).status_code == 302
    third = Client()
    person.type_password(third)
    assert person.type_code(third, later).status_code == 200
    # nor one from before the last that was used
    assert person.type_code(third, code).status_code == 200
    assert third.get(INDEX).status_code == 302


def test_a_recovery_code_works_once():
    head = person.make_head()
    codes = head.authenticator_set.get(type="recovery_codes").wrap().get_unused_codes()
    for status in (302, 200):
        browser = Client()
        person.type_password(browser)
        assert person.type_code(browser, codes[3]).status_code == status
    assert len(head.authenticator_set.get(type="recovery_codes").wrap().get_unused_codes()) == 9


@pytest.mark.parametrize("code", ["", "12345", "abcdef", "１２３４５６", "9" * 5_000, "1 2\x00"])
def test_a_code_that_is_none_is_answered_with_the_page(code):
    person.make_head()
    browser = Client()
    person.type_password(browser)
    assert person.type_code(browser, code).status_code == 200
    assert browser.post(CODE, {}).status_code == 200
    assert browser.post(CODE, {"credential": "{}"}).status_code == 200
    assert browser.get(INDEX).status_code == 302


def test_the_step_before_the_code_ends_by_itself(settings):
    person.make_head()
    browser = Client()
    person.type_password(browser)
    settings.ACCOUNT_LOGIN_TIMEOUT = -1
    assert person.type_code(browser, person.app_code()).url == LOG_IN
    assert browser.get(INDEX).status_code == 302


def test_the_key_of_the_session_is_a_new_one_after_each_step():
    person.make_head()
    browser = Client()
    keys = [browser.session.session_key]
    for step in (
        lambda: person.type_password(browser),
        lambda: person.type_code(browser, person.app_code()),
    ):
        step()
        keys.append(browser.session.session_key)
    assert len(set(keys)) == 3
    assert Session.objects.filter(session_key__in=keys[:2]).count() == 0


def test_a_session_says_whose_factor_was_given():
    """The mark of one person's code is none of another's."""
    person.make_head()
    make.make_superuser("other")
    browser = person.log_in()
    session = browser.session
    session["_auth_user_id"] = str(User.objects.get(username="other").pk)
    session["_auth_user_hash"] = User.objects.get(username="other").get_session_auth_hash()
    session.save()
    assert browser.get(INDEX).status_code == 302


def test_the_last_factor_of_head_office_is_replaced_not_removed():
    head = person.make_head()
    browser = person.log_in()
    answer = browser.post("/admin/second-factor/remove/")
    assert answer.status_code == 200 and person.factors_of(head) == ["recovery_codes", "totp"]
    secret = person.shown_secret(browser.get("/admin/second-factor/set-up/"))
    assert secret != person.SECRET
    done = browser.post("/admin/second-factor/set-up/", {"code": person.app_code(secret)})
    assert done.url == "/admin/second-factor/"
    new = Client()
    person.type_password(new)
    assert person.type_code(new, person.app_code(steps=1)).status_code == 200
    assert person.type_code(new, person.app_code(secret, steps=1)).status_code == 302


def test_who_needs_none_may_remove_it(settings):
    settings.SECOND_FACTOR_OF = "nobody"
    head = person.make_head()
    browser = person.log_in()
    assert browser.post("/admin/second-factor/remove/").url == "/admin/second-factor/"
    assert person.factors_of(head) == []
    assert person.type_password(Client()).url == INDEX


def test_a_factor_whose_end_cannot_be_noted_stays(settings, monkeypatch):
    settings.SECOND_FACTOR_OF = "nobody"
    head, browser = person.make_head(), person.log_in()
    monkeypatch.setattr(audit, "save_entry", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        browser.post("/admin/second-factor/remove/")
    assert person.factors_of(head) == ["recovery_codes", "totp"]


def test_a_second_log_in_does_not_take_the_place_of_an_app_that_was_set_up_meanwhile():
    """Who has the password as well and waits at this step has neither a session nor a factor."""
    user = make.make_superuser("head")
    waiting, first = Client(), Client()
    for browser in (waiting, first):
        assert person.type_password(browser).url == SET_UP
    theirs, ours = (person.shown_secret(browser.get(SET_UP)) for browser in (waiting, first))
    first.post(SET_UP, {"code": person.app_code(ours)})
    app = user.authenticator_set.get(type="totp")
    answer = waiting.post(SET_UP, {"code": person.app_code(theirs)})
    assert (answer.status_code, answer.url) == (302, LOG_IN)
    assert waiting.get(INDEX).status_code == 302
    assert user.authenticator_set.get(type="totp") == app
    assert first.get(INDEX).status_code == 200
    assert person.type_password(waiting).url == CODE


@pytest.mark.parametrize("has_app", [True, False])
@pytest.mark.parametrize("change", ["password", "is_active", "is_staff"])
def test_a_log_in_under_way_ends_with_the_password_it_began_with(has_app, change):
    """Whoever had it may be waiting at the next step while head office sets another one."""
    user = person.make_head() if has_app else make.make_superuser("head")
    browser = Client()
    step = person.type_password(browser).url
    assert step == (CODE if has_app else SET_UP)
    secret = person.SECRET if has_app else person.shown_secret(browser.get(SET_UP))
    if change == "password":
        user.set_password("another and quiet one")
    else:
        setattr(user, change, False)
    user.save()
    answer = browser.post(step, {"code": person.app_code(secret)})
    assert (answer.status_code, answer.url) == (302, LOG_IN)
    assert browser.get(INDEX).status_code == 302
    assert browser.post(step, {"code": person.app_code(secret, steps=1)}).url == LOG_IN
    assert bool(person.factors_of(user)) == has_app
    assert "_auth_user_id" not in browser.session
