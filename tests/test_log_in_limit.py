"""The log-in page: five tries a minute, then a page that says when to come again."""

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

import pytest
from django.conf import settings as project
from django.core.cache import caches
from django.core.management import call_command
from django.test import Client, override_settings
from django_ratelimit.core import _get_window

from script.server_process import free_port
from tests.databases import CHECKOUT, unchanged
from tests.make import make_superuser, make_user
from tests.web import running_web

LOG_IN = "/admin/login/"
PASSWORD = "correct horse battery"
MARGIN_S = 12


@pytest.fixture
def five(db, settings):
    settings.LIMIT_LOG_IN = 5
    caches["log_in"].clear()
    yield
    caches["log_in"].clear()


def wait_for_a_whole_minute(account, address="127.0.0.1", margin_s=MARGIN_S):
    """Its minute begins at a second of its own; a test must not straddle it. To be called before
    anything is written: PostgreSQL ends a transaction that sleeps for 10 s."""
    left = _get_window(f"{address} {account}", 60) - time.time()
    if left < margin_s:
        time.sleep(left + 1)


def try_once(account, password="wrong", address="127.0.0.1", client=None):
    body = {"username": account, "password": password}
    return (client or Client()).post(LOG_IN, body, REMOTE_ADDR=address)


def test_the_sixth_try_is_told_when_to_come_again(five):
    wait_for_a_whole_minute("sana")
    make_superuser("sana")
    assert [try_once("sana").status_code for _ in range(5)] == [200] * 5
    with unchanged():
        answer = try_once("sana", PASSWORD)
    wait = int(answer["Retry-After"])
    assert (answer.status_code, "no-store" in answer["Cache-Control"]) == (429, True)
    assert 1 <= wait <= 60
    assert re.search(rf"Try again in {wait} seconds?\.", answer.content.decode())


def test_another_account_and_another_address_are_not_held_up(five):
    wait_for_a_whole_minute("sana")
    make_superuser("sana")
    make_superuser("omar")
    for _ in range(6):
        held = try_once("sana")
    assert held.status_code == 429
    assert try_once("omar", PASSWORD).status_code == 302
    assert try_once("sana", PASSWORD, address="192.0.2.1").status_code == 302


def test_one_account_is_one_however_it_is_written(five):
    wait_for_a_whole_minute("sana")
    statuses = [
        try_once(name).status_code for name in ("sana", "SANA", " sana ", "ｓａｎａ", "Sana")
    ]
    assert statuses == [200] * 5
    assert try_once("sana").status_code == 429


def test_all_accounts_from_one_address_are_counted_too(five, settings):
    settings.LIMITS_A_MINUTE = settings.LIMITS_A_MINUTE | {"anonymous": 3}
    left = _get_window("192.0.2.7", 60) - time.time()
    time.sleep(left + 1 if left < MARGIN_S else 0)
    statuses = [try_once(f"user{n}", address="192.0.2.7").status_code for n in range(4)]
    assert statuses == [200, 200, 200, 429]


def test_looking_at_the_page_is_free(five):
    client = Client()
    assert [client.get(LOG_IN).status_code for _ in range(7)] == [200] * 7


def test_who_logs_in_gets_in(five):
    wait_for_a_whole_minute("head")
    make_superuser("head")
    make_user("nobody")
    client = Client()
    assert try_once("head", PASSWORD, client=client).status_code == 302
    assert client.get("/admin/").status_code == 200


def test_without_its_redis_nobody_logs_in_and_nothing_breaks(five):
    make_superuser("head")
    away = {
        "BACKEND": "inventory_project.redis_cache.LastingRedisCache",
        "LOCATION": f"redis://127.0.0.1:{free_port()}/0",
    }
    with override_settings(CACHES=project.CACHES | {"log_in": away}):
        answer = try_once("head", PASSWORD)
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "Try again in 5 seconds." in answer.content.decode()


def test_the_system_checks_have_nothing_to_say(db):
    call_command("check", "--fail-level", "WARNING")


# --- many processes --------------------------------------------------------------------------


COUNT_FIFTY = """
import sys
from django.core.cache import caches
cache = caches["log_in"]
print("ready", flush=True)
name = sys.stdin.readline()
print(*[1 if cache.add(name, 1) else cache.incr(name) for _ in range(50)])
"""


def test_every_try_of_eight_processes_is_counted():
    """What django-ratelimit asks of its cache; in files or in Redis, whichever this run has."""
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "inventory_project.settings"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", COUNT_FIFTY], cwd=CHECKOUT, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for _ in range(8)
    ]  # fmt: skip
    name = uuid.uuid4().hex
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write(f"{name}\n")
        process.stdin.flush()
    told = [process.communicate()[0].split() for process in processes]
    assert sorted(int(number) for part in told for number in part) == list(range(1, 401))


def post(url, account, jar):
    """Status of a try at a real server."""
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(jar)
    )
    page = opener.open(url + LOG_IN).read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    form = {"username": account, "password": "wrong", "csrfmiddlewaretoken": token}
    try:
        return opener.open(url + LOG_IN, urllib.parse.urlencode(form).encode()).status
    except urllib.error.HTTPError as error:
        return error.code


def test_two_servers_count_together(committed):
    """On files or on Redis, whichever this run has."""
    account = f"sana-{uuid.uuid4().hex[:8]}"
    with running_web(LIMIT_LOG_IN="5") as one, running_web(LIMIT_LOG_IN="5") as two:
        wait_for_a_whole_minute(account)
        statuses = [post(url, account, None) for _ in range(4) for url in (one, two)]
    assert statuses == [200] * 5 + [429] * 3
