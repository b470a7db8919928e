"""Sessions: how long they last, where they are, what ends them, when somebody is asked again."""

import re

import pytest
import time_machine
from allauth.usersessions.models import UserSession
from django.conf import settings as project
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.test import Client

from accounts.models import User
from stores.models import StoreKey
from tests import make, office
from tests.databases import unchanged
from tests.security import person
from tests.security.person import INDEX, LOG_IN, PASSWORD

pytestmark = pytest.mark.django_db

SESSIONS, CONFIRM, CHANGE = "/admin/sessions/", "/admin/confirm/", "/admin/password_change/"
KEYS_ADD = "/admin/stores/storekey/add/"
NEW = "a new and quiet password"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0"
NOON = "2026-03-02T12:00:00Z"


def sit_down(name="head", **headers):
    browser = Client(headers=headers)
    assert person.type_password(browser, name).url == INDEX
    return browser


@pytest.fixture
def head():
    return make.make_superuser("head")


def at(travel, minute):
    travel.move_to(f"2026-03-02T{12 + minute // 60:02}:{minute % 60:02}:00Z")


def test_an_idle_session_ends(head, settings):
    settings.SESSION_IDLE_MIN = 30
    with time_machine.travel(NOON, tick=False) as travel:
        browser = sit_down()
        for minute in (1, 30, 59):
            at(travel, minute)
            assert browser.get(INDEX).status_code == 200
        at(travel, 90)
        assert browser.get(INDEX).status_code == 302
        assert browser.get("/api/stores/").status_code == 401
        at(travel, 91)
        assert browser.get(INDEX).status_code == 302
    assert Session.objects.count() == 0


def test_a_busy_session_ends_as_well(head, settings):
    settings.SESSION_MIN_MAX = 12 * 60
    with time_machine.travel("2026-03-02T06:00:00Z", tick=False) as travel:
        browser = sit_down()
        for hour in range(6, 19):
            travel.move_to(f"2026-03-02T{hour:02}:00:00Z")
            assert browser.get(INDEX).status_code == 200
        travel.move_to("2026-03-02T18:01:00Z")
        assert browser.get(INDEX).status_code == 302


def test_the_page_of_sessions_says_where_and_ends_all_others(head):
    here = sit_down(user_agent=FIREFOX)
    there = sit_down(
        user_agent="Mozilla/5.0 (Windows NT 10.0) Chrome/130.0 Safari/537.36 Edg/130.0"
    )
    omar = make.make_superuser("omar")
    elsewhere = sit_down("omar")
    rows = here.get(SESSIONS).context["table"]["rows"]
    assert sorted(row[0] for row in rows) == ["Edge on Windows", "Firefox on Linux (this one)"]
    assert {row[1] for row in rows} == {"127.0.0.1"}
    answer = here.post(SESSIONS, follow=True)
    assert "Ended: 1 other session." in office.text_of(answer)
    assert there.get(INDEX).status_code == 302
    assert here.get(INDEX).status_code == 200
    assert elsewhere.get(INDEX).status_code == 200
    assert len(here.get(SESSIONS).context["table"]["rows"]) == 1
    assert omar.usersession_set.count() == 1


def test_last_seen_is_kept_up_at_most_once_a_minute(head, django_assert_num_queries):
    with time_machine.travel(NOON, tick=False) as travel:
        browser = sit_down()
        browser.get("/admin/password_change/done/")
        session = head.usersession_set.get()
        at(travel, 10)
        browser.get("/admin/password_change/done/", REMOTE_ADDR="192.0.2.9")
        session.refresh_from_db()
        assert (session.last_seen_at.minute, session.ip) == (10, "192.0.2.9")
        with django_assert_num_queries(2):  # the session and the person: no write
            browser.get("/admin/jsi18n/")


def test_a_changed_password_ends_the_other_sessions(head):
    here, there = sit_down(), sit_down()
    before = here.session.session_key
    form = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
    assert here.post(CHANGE, form).url == "/admin/password_change/done/"
    assert there.get(INDEX).status_code == 302
    assert here.get(INDEX).status_code == 200
    assert here.session.session_key != before
    assert [row[0][-10:] for row in here.get(SESSIONS).context["table"]["rows"]] == ["(this one)"]
    assert Session.objects.count() == 1


def test_a_password_is_not_changed_without_the_present_one(head):
    here = sit_down()
    here.get(INDEX)  # notes that the session is in use
    with unchanged():
        for old in ("", "wrong", NEW):
            form = {"old_password": old, "new_password1": NEW, "new_password2": NEW}
            assert here.post(CHANGE, form).status_code == 200
    head.refresh_from_db()
    assert head.check_password(PASSWORD)


def test_head_office_sets_a_password_and_the_persons_sessions_end(head, lahore):
    sana = office.make_staff(lahore)
    theirs = office.sign_in(sana)
    assert theirs.get(INDEX).status_code == 200
    form = {"password1": NEW, "password2": NEW, "usable_password": "true"}
    sit_down().post(f"/admin/accounts/user/{sana.pk}/password/", form)
    assert theirs.get(INDEX).status_code == 302


def test_who_is_switched_off_is_out_at_the_next_click(head):
    browser = sit_down()
    User.objects.filter(pk=head.pk).update(is_active=False)
    assert browser.get(INDEX).status_code == 302
    assert browser.get("/api/stores/").status_code == 401
    assert browser.get(SESSIONS).status_code == 302


def test_who_is_staff_no_more_is_out_at_the_next_click(head):
    browser = sit_down()
    User.objects.filter(pk=head.pk).update(is_staff=False)
    assert browser.get(INDEX).status_code == 302
    assert browser.get("/api/stores/").status_code == 401


def test_logging_out_ends_the_session_on_the_server(head):
    browser = sit_down()
    cookie = browser.cookies[project.SESSION_COOKIE_NAME].value
    browser.post("/admin/logout/")
    browser.cookies[project.SESSION_COOKIE_NAME] = cookie
    assert browser.get(INDEX).status_code == 302


# --- asked again ------------------------------------------------------------------------------


@pytest.fixture
def asks_again(settings):
    settings.ASK_AGAIN_AFTER_MIN = 10


def dangerous_forms(sana):
    user, role = f"/admin/accounts/user/{sana.pk}", Group.objects.create(name="Night shift")
    return {
        KEYS_ADD: {"name": "Till 9", "may": ["sales:write"]},
        "/admin/accounts/user/add/": {
            "username": "new", "password1": NEW, "password2": NEW, "usable_password": "true",
        },
        f"{user}/change/": {"username": "sana", "is_superuser": "on"},
        f"{user}/password/": {"password1": NEW, "password2": NEW, "usable_password": "true"},
        "/admin/auth/group/add/": {"name": "Boss"},
        f"/admin/auth/group/{role.pk}/change/": {"name": "Boss"},
        "/admin/second-factor/set-up/": {"code": "123456"},
        "/admin/second-factor/recovery-codes/new/": {},
    }  # fmt: skip


def test_what_is_dangerous_asks_for_a_fresh_proof(head, asks_again, lahore):
    forms = dangerous_forms(office.make_staff(lahore))
    with time_machine.travel(NOON, tick=False) as travel:
        browser = sit_down()
        at(travel, 11)
        before = power()
        for address, form in forms.items():
            for answer in (browser.get(address), browser.post(address, form)):
                assert answer.url.startswith(f"{CONFIRM}?next=%2Fadmin%2F"), address
        assert power() == before
        assert browser.get("/admin/stores/storekey/").status_code == 200


def power():
    return (
        list(User.objects.order_by("pk").values("username", "password", "is_superuser")),
        list(Group.objects.values_list("name", flat=True)),
        StoreKey.objects.count(),
    )


def test_nothing_that_was_typed_is_kept_meanwhile(head, asks_again, lahore):
    """It may be a password, and sessions are in the database."""
    sana = office.make_staff(lahore)
    with time_machine.travel(NOON, tick=False) as travel:
        browser = sit_down()
        at(travel, 11)
        form = {"password1": NEW, "password2": NEW, "usable_password": "true"}
        browser.post(f"/admin/accounts/user/{sana.pk}/password/", form)
        kept = Session.objects.get(pk=browser.session.session_key).get_decoded()
    assert NEW not in str(kept)


def test_after_the_password_it_goes_on_where_it_stopped(head, asks_again):
    with time_machine.travel(NOON, tick=False) as travel:
        browser = sit_down()
        at(travel, 11)
        asked = browser.get(KEYS_ADD).url
        assert browser.post(asked, {"password": "wrong"}).status_code == 200
        assert browser.get(KEYS_ADD).url == asked
        assert browser.post(asked, {"password": PASSWORD}).url == KEYS_ADD
        answer = browser.post(KEYS_ADD, {"name": "Till 9", "may": ["sales:write"]})
        assert re.search(r'id="credential"', answer.content.decode())
        at(travel, 22)
        assert browser.get(KEYS_ADD).url == asked
    assert StoreKey.objects.count() == 1


def test_a_code_proves_it_as_well(asks_again, settings):
    settings.SECOND_FACTOR_OF = "head_office"
    with time_machine.travel(NOON, tick=False) as travel:
        person.make_head()
        browser = person.log_in()
        at(travel, 11)
        asked = browser.get(KEYS_ADD).url.replace(CONFIRM, f"{CONFIRM}code/")
        assert browser.post(asked, {"code": "000000"}).status_code == 200
        assert browser.post(asked, {"code": person.app_code()}).url == KEYS_ADD
        assert browser.get(KEYS_ADD).status_code == 200


def test_it_leads_to_no_other_site(head, asks_again):
    browser = sit_down()
    for next_page in ("https://evil.example/", "//evil.example", "javascript:alert(1)"):
        answer = browser.post(f"{CONFIRM}?next={next_page}", {"password": PASSWORD})
        assert answer.url == INDEX
        answer = person.type_password(Client(), next=next_page)
        assert answer.url == INDEX
        answer = browser.get(f"{LOG_IN}?next={next_page}")
        assert answer.url == INDEX


def test_who_has_nothing_to_prove_it_with_logs_in_again(head, asks_again):
    """Somebody who comes by single sign-on."""
    head.set_unusable_password()
    head.save()
    browser = Client()
    browser.force_login(head)
    assert browser.get(KEYS_ADD).url == f"{LOG_IN}?next=%2Fadmin%2Fstores%2Fstorekey%2Fadd%2F"
    assert "Log in again to go on." in office.text_of(browser.get(LOG_IN))
    assert browser.get(INDEX).status_code == 302


def test_who_sets_their_own_password_on_the_page_of_the_person_stays_in_the_list(head):
    here = sit_down()
    form = {"password1": NEW, "password2": NEW, "usable_password": "true"}
    assert here.post(f"/admin/accounts/user/{head.pk}/password/", form).status_code == 302
    keys = UserSession.objects.filter(user=head).values_list("session_key", flat=True)
    assert list(keys) == [here.session.session_key]
    there = Client()
    person.type_password(there, "head", NEW)
    there.post(SESSIONS)
    assert here.get(INDEX).status_code == 302
