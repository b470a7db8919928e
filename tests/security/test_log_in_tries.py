"""Guessing is slow for who guesses, and nobody else is locked out by it."""

import re
import statistics
import time

import pytest
import time_machine
from django.conf import settings as project
from django.core.cache import caches
from django.test import Client, override_settings

from accounts import access
from accounts.models import AuditEntry
from script.server_process import free_port
from tests import make, office
from tests.databases import unchanged
from tests.security import person
from tests.security.person import INDEX, LOG_IN, PASSWORD

pytestmark = pytest.mark.django_db

ATTACKER, VICTIM = "198.51.100.7", "192.0.2.44"
FAILURE = "Please enter the correct username and password for a staff account."


@pytest.fixture(autouse=True)
def limits(settings):
    """As they are outside of tests, but for the address where a test says so."""
    settings.LIMIT_LOG_IN = 5
    settings.LIMITS_A_MINUTE = settings.LIMITS_A_MINUTE | {"anonymous": 60}
    caches["log_in"].clear()
    yield
    caches["log_in"].clear()


@pytest.fixture
def travel():
    # On the half minute of a code, and of no window that a test straddles by itself.
    with time_machine.travel("2026-03-02T12:00:00Z", tick=False) as travel:
        yield travel


def guess(name="head", address=ATTACKER, password="wrong"):
    return person.type_password(Client(), name, password, address)


def test_a_hundred_wrong_passwords_do_not_lock_the_person_out(travel):
    make.make_superuser("head")
    statuses = [guess().status_code for _ in range(100)]
    assert statuses == [200] * 5 + [429] * 95
    with unchanged():
        assert guess(password=PASSWORD).status_code == 429
    assert guess(address=VICTIM, password=PASSWORD).url == INDEX


def test_who_guesses_waits_longer_each_time(travel):
    make.make_superuser("head")
    waits = []
    for _ in range(8):
        assert [guess().status_code for _ in range(5)] == [200] * 5
        waits.append(int(guess()["Retry-After"]))
        travel.shift(max(waits[-1], 61))
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_a_right_password_forgets_what_was_mistyped(travel):
    make.make_superuser("head")
    for _ in range(3):
        assert [guess().status_code for _ in range(4)] == [200] * 4
        assert guess(password=PASSWORD).status_code == 302
        travel.shift(61)


def test_many_accounts_from_one_address_are_slowed_too(travel, settings):
    settings.LIMITS_A_MINUTE = settings.LIMITS_A_MINUTE | {"anonymous": 6}
    make.make_superuser("head")
    waits = []
    for round_ in range(3):
        names = [f"user{round_}-{n}" for n in range(6)]
        assert [guess(name).status_code for name in names] == [200] * 6
        waits.append(int(guess(password=PASSWORD)["Retry-After"]))
        travel.shift(max(waits[-1], 61))
    assert waits == [60, 120, 240]
    assert guess(address=VICTIM, password=PASSWORD).status_code == 302


def test_an_own_account_does_not_clear_the_address(travel, settings):
    settings.LIMITS_A_MINUTE = settings.LIMITS_A_MINUTE | {"anonymous": 6}
    make.make_superuser("attacker")
    for n in range(5):
        guess(f"user{n}")
    assert guess("attacker", password=PASSWORD).status_code == 302
    travel.shift(61)
    assert guess("user9").status_code == 200
    assert guess("user10").status_code == 429


@pytest.mark.parametrize("forged", ["192.0.2.1", "192.0.2.1, 192.0.2.2", "127.0.0.1", "::1"])
def test_a_forged_address_is_not_believed(travel, forged):
    make.make_superuser("head")
    for _ in range(5):
        guess()
    headers = {"X-Forwarded-For": forged, "X-Real-IP": forged, "Forwarded": f"for={forged}"}
    browser = Client(headers=headers)
    assert person.type_password(browser, address=ATTACKER).status_code == 429


# --- codes ------------------------------------------------------------------------------------


@pytest.fixture
def head(settings):
    settings.SECOND_FACTOR_OF = "head_office"
    return person.make_head()


def at_the_code(address=ATTACKER, password=PASSWORD):
    browser = Client()
    assert person.type_password(browser, password=password, address=address).status_code == 302
    return browser


def test_a_hundred_wrong_codes_do_not_lock_the_person_out(travel, head):
    browser = at_the_code()
    statuses = [person.type_code(browser, f"{n:06}", ATTACKER).status_code for n in range(100)]
    assert statuses == [200] * 5 + [429] * 95
    assert person.type_code(browser, person.app_code(), ATTACKER).status_code == 429
    victim = at_the_code(VICTIM)
    assert person.type_code(victim, person.app_code(), VICTIM).url == INDEX


def test_typing_the_password_again_gives_no_more_guesses(travel, head):
    waits = []
    for _ in range(3):
        browser = at_the_code()
        for n in range(5):
            assert person.type_code(browser, f"{n:06}", ATTACKER).status_code == 200
        browser = at_the_code()
        waits.append(int(person.type_code(browser, "999999", ATTACKER)["Retry-After"]))
        travel.shift(max(waits[-1], 61))
    assert waits == [60, 120, 240]


def test_codes_are_bounded_for_the_account_wherever_they_are_guessed(travel, head, settings):
    settings.WRONG_CODES_A_DAY_MAX = 8
    for n in range(8):
        address = f"198.51.100.{n}"
        assert person.type_code(at_the_code(address), "000000", address).status_code == 200
    victim = at_the_code(VICTIM)
    refused = person.type_code(victim, person.app_code(), VICTIM)
    assert (refused.status_code, refused["Retry-After"]) == (429, "86400")
    # a new password shuts out whoever had the old one, and begins anew
    head.set_password("a new and quiet password")
    head.save()
    victim = at_the_code(VICTIM, "a new and quiet password")
    assert person.type_code(victim, person.app_code(), VICTIM).url == INDEX


def test_an_open_session_does_not_give_the_password_away(travel, head, settings):
    """Somebody at an unlocked screen guesses at the pages that ask for the present password."""
    settings.SECOND_FACTOR_OF = "nobody"
    browser = Client()
    browser.force_login(head)
    form = {"old_password": "wrong", "new_password1": "x", "new_password2": "x"}
    for address, body in (
        ("/admin/confirm/", {"password": "wrong"}),
        ("/admin/password_change/", form),
    ):
        statuses = [browser.post(address, body).status_code for _ in range(6)]
        assert statuses == [200] * 5 + [429] or statuses == [429] * 6
    statuses = [browser.post("/admin/confirm/code/", {"code": "1"}).status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]


# --- nothing is given away --------------------------------------------------------------------


def seen(answer):
    """A page without what is new in each one, and what was typed."""
    page = re.sub(r'value="[^"]*"', "", answer.content.decode())
    differing = {"Expires", "Content-Length", "X-Request-ID"}  # of the name that was typed, or each
    headers = {name: value for name, value in answer.headers.items() if name not in differing}
    return answer.status_code, page, headers, sorted(answer.cookies)


def test_unknown_wrong_switched_off_and_no_staff_look_alike(settings, lahore):
    settings.SECOND_FACTOR_OF = "head_office"
    make.make_superuser("head")
    make.make_user("customer")
    off = office.make_staff(lahore, username="off")
    off.set_password(PASSWORD)
    off.is_active = False
    off.save()
    answers = [
        seen(guess(name, password=password))
        for name, password in [
            ("unknown", "wrong"), ("head", "wrong"), ("off", PASSWORD), ("customer", PASSWORD),
        ]
    ]  # fmt: skip
    assert FAILURE in office.text_of(guess("unknown"))
    for answer in answers[1:]:
        assert answer == answers[0]


def test_unknown_and_wrong_take_the_same_time(settings):
    settings.LIMIT_LOG_IN = settings.LIMITS_A_MINUTE["anonymous"] = 10_000
    make.make_superuser("head")
    taken = {"head": [], "nobody-here": []}
    for _ in range(20):
        for name, times in taken.items():
            began = time.perf_counter()
            guess(name)
            times.append(time.perf_counter() - began)
    known, unknown = map(statistics.median, taken.values())
    print(f"known {known * 1000:.1f} ms, unknown {unknown * 1000:.1f} ms")
    assert 0.75 < known / unknown < 1.33


# --- without Redis ----------------------------------------------------------------------------


def test_without_its_redis_no_page_takes_a_secret(head):
    session = person.log_in()
    at_code = at_the_code()
    away = {
        "BACKEND": "inventory_project.redis_cache.LastingRedisCache",
        "LOCATION": f"redis://127.0.0.1:{free_port()}/0",
    }
    form = {"old_password": PASSWORD, "new_password1": "x", "new_password2": "x"}
    with override_settings(CACHES=project.CACHES | {"log_in": away}):
        answers = [
            person.type_password(Client()),
            person.type_code(at_code, person.app_code(steps=1)),
            session.post("/admin/confirm/", {"password": PASSWORD}),
            session.post("/admin/confirm/code/", {"code": person.app_code(steps=1)}),
            session.post("/admin/password_change/", form),
        ]
    assert [(a.status_code, a["Retry-After"]) for a in answers] == [(503, "5")] * 5
    assert session.get(INDEX).status_code == 200
    assert at_code.get(INDEX).url.startswith(LOG_IN)


def test_a_wrong_present_password_is_noted_as_a_failed_proof(head):
    browser = person.log_in()
    new = {"new_password1": "a", "new_password2": "b"}
    wrong = dict(new, old_password="guess")
    assert browser.post("/admin/password_change/", wrong).status_code == 200
    entry = AuditEntry.objects.get(action="log_in.failed")
    assert (entry.object_name, entry.actor_kind, entry.before) == ("head", "nobody", "")
    assert "guess" not in str(vars(entry))
    # What is wrong with the new one only is no guess.
    mistyped = dict(new, old_password=PASSWORD)
    access.bounded.windows.clear()
    browser.post("/admin/password_change/", mistyped)
    assert AuditEntry.objects.filter(action="log_in.failed").count() == 1
