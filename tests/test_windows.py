"""Sliding windows by themselves: exact together in Redis, bounded and awake without it."""

import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest
import redis

from inventory_project import windows
from inventory_project.windows import Ask, Limit, LocalWindow, take
from script.private_servers import PrivateValkey
from tests.make import make_device, make_store
from tests.web import running_web

pytestmark = pytest.mark.sqlite  # they count the same beside every database
TIMEOUT_S = 1


@pytest.fixture(scope="module")
def valkey(tmp_path_factory):
    with PrivateValkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """A process that has counted nothing and knows nothing of Redis."""
    monkeypatch.setattr(windows, "_local", LocalWindow())
    monkeypatch.setattr(windows, "_away_until", 0.0)


@pytest.fixture
def shared(valkey, settings):
    settings.REDIS_URL = valkey.url
    client = redis.Redis.from_url(valkey.url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture(params=["local", "shared"])
def either(request):
    if request.param == "shared":
        request.getfixturevalue("shared")


def forget_locally(monkeypatch):
    """As another process, which has granted nothing yet."""
    monkeypatch.setattr(windows, "_local", LocalWindow())


def allowed(limit, count, cost=1):
    return sum(take(limit, cost).allowed for _ in range(count))


# --- both ------------------------------------------------------------------------------------


@pytest.mark.parametrize("units", [1, 7, 1_000, 1_001])
def test_exactly_so_many_pass(either, units):
    assert allowed(Limit("device", units, "a"), units + 5) == units
    assert allowed(Limit("device", units, "b"), 1) == 1
    assert allowed(Limit("staff", units, "a"), 1) == 1


@pytest.mark.parametrize("units", [10, 5_000])
def test_all_of_the_cost_or_none(either, units):
    limit = Limit("device", units, "a")
    assert take(limit, units - 1).remaining == 1
    refused = take(limit, 2)
    assert (refused.allowed, refused.remaining) == (False, 1)
    assert take(limit, 1).allowed


@pytest.fixture
def restless():
    """Threads that are interrupted at every turn."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(count, work):
    results = []
    threads = [threading.Thread(target=lambda: results.append(work())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize("units", [300, 1_500])
def test_threads_at_once(either, restless, units):
    for who in "abcde":
        limit = Limit("device", units, who)
        passed = in_threads(16, lambda limit=limit: allowed(limit, units // 8))
        assert (len(passed), sum(passed)) == (16, units)


def test_a_unit_comes_back_a_window_after_it_was_taken(either, monkeypatch):
    monkeypatch.setattr(windows, "WINDOW_S", 2)
    limit = Limit("device", 2, "a")
    take(limit, 1)
    time.sleep(1)
    take(limit, 1)
    refused = take(limit, 1)
    assert not refused.allowed
    assert 0 < refused.wait_s <= 1
    time.sleep(refused.wait_s + 0.01)
    assert allowed(limit, 2) == 1  # the second one is still there


def test_the_wait_is_for_what_was_asked(either):
    limit = Limit("device", 3, "a")
    for _ in range(3):
        take(limit, 1)
        time.sleep(0.1)
    waits = [take(limit, 1, wait_for=wanted).wait_s for wanted in (1, 2, 3)]
    assert waits == sorted(waits)
    assert 0.15 < waits[2] - waits[0] < 0.5


# --- this process ----------------------------------------------------------------------------


def test_memory_is_bounded_by_callers(monkeypatch):
    monkeypatch.setattr(windows, "LOCAL_CALLERS_MAX", 3)
    for name in "abcdef":
        take(Limit("anonymous", 5, name), 1)
    assert len(windows._local._callers) == 3
    assert not any(name.endswith(("a", "b", "c")) for name in windows._local._callers)


def test_memory_is_bounded_by_slots_above_the_exact_window(monkeypatch):
    monkeypatch.setattr(windows, "WINDOW_S", 0.2)
    monkeypatch.setattr(windows, "LOCAL_SLOT_S", 0.05)
    limit, end = Limit("head_office", 1_000_000, "a"), time.monotonic() + 0.5
    while time.monotonic() < end:
        take(limit, 1)
        (taken,) = windows._local._callers.values()
        assert len(taken.slots) <= 6
        assert taken.units == sum(units for _, _, units in taken.slots)


# --- Redis -----------------------------------------------------------------------------------


def test_another_process_sees_what_was_taken(shared, monkeypatch):
    for units in (10, 2_000):
        limit = Limit("device", units, f"a{units}")
        assert take(limit, 6).remaining == units - 6
        forget_locally(monkeypatch)
        assert take(limit, 3).remaining == units - 9


def test_what_lies_in_redis_ends_by_itself(shared):
    take(Limit("device", 10, "a"), 1)
    take(Limit("head_office", 2_000, "a"), 1)
    assert 0 < shared.ttl("limits:device:a") <= 60
    assert 60 < shared.ttl("{limits:head_office:a}") <= 120
    assert len(shared.keys("*")) == 2


@pytest.mark.parametrize(
    ("counts", "units", "cost", "weighted", "wait_s"),
    [
        # previous, its ms left, current, its ms left (one window longer)
        ((0, 0, 100, 90_000), 100, 1, 100, 30 + 60 * (1 - 99 / 100)),
        ((100, 60_000, 0, 120_000), 100, 1, 100, 0.6),
        ((100, 30_000, 50, 90_000), 100, 1, 100, 0.6),
        ((100, 30_000, 50, 90_000), 100, 10, 100, 6.0),
    ],
)
def test_when_the_count_has_room(counts, units, cost, weighted, wait_s):
    told = windows._Counts(*counts)
    assert told.weighted == weighted
    assert told.wait_s(units, cost) == pytest.approx(wait_s)


def test_a_redis_that_forgot_everything_does_not_open_a_process(shared):
    limit = Limit("device", 5, "a")
    assert allowed(limit, 3) == 3
    shared.flushall()
    shared.script_flush()
    assert allowed(limit, 5) == 2
    assert len(shared.keys("*")) == 1  # and it is asked on


@pytest.mark.parametrize("units", [5, 5_000])
def test_nothing_is_taken_twice_while_scripts_are_loaded(shared, monkeypatch, units):
    """At each moment of that the answer is one unit less, whatever was there already."""
    window = windows._shared(windows.settings.REDIS_URL)
    loaded = []
    monkeypatch.setattr(window._redis, "script_load", loaded.append)
    window._load_scripts()
    monkeypatch.undo()
    for count in range(len(loaded) + 1):
        shared.script_flush()
        for script in loaded[:count]:
            shared.script_load(script)
        (standing,) = window.take_all([Ask(Limit("device", units, f"{count}"))])
        assert (standing.allowed, standing.remaining) == (True, units - 1)


def test_gone_redis_is_not_asked_each_time_and_found_again(valkey, shared, monkeypatch):
    monkeypatch.setattr(windows, "SILENCE_AFTER_FAILURE_S", 1)
    limit = Limit("device", 4, "a")
    assert allowed(limit, 1) == 1
    valkey.kill()
    assert allowed(limit, 5) == 3  # with the one before: no more than the limit
    valkey.start()
    assert windows._away_until > time.monotonic() - 1
    while windows._away_until > time.monotonic():
        time.sleep(0.05)
    assert allowed(Limit("device", 4, "b"), 1) == 1
    assert windows._away_until == 0.0
    assert shared.exists("limits:device:b")


def test_frozen_redis_holds_one_request_for_a_second_and_no_other(valkey, shared):
    take(Limit("device", 9, "a"), 1)
    os.kill(valkey.process.pid, signal.SIGSTOP)
    try:
        waits = []
        for _ in range(10):
            begin = time.monotonic()
            take(Limit("device", 9, "a"), 1)
            waits.append(time.monotonic() - begin)
    finally:
        os.kill(valkey.process.pid, signal.SIGCONT)
    assert TIMEOUT_S <= waits[0] < TIMEOUT_S + 0.5
    assert max(waits[1:]) < 0.1


def test_one_thread_asks_whether_redis_is_back_and_no_other_waits(valkey, shared, monkeypatch):
    monkeypatch.setattr(windows, "_away_until", time.monotonic() - 0.1)
    os.kill(valkey.process.pid, signal.SIGSTOP)

    def seconds():
        begin = time.monotonic()
        take(Limit("device", 9, "a"), 1)
        return time.monotonic() - begin

    try:
        waits = sorted(in_threads(6, seconds))
    finally:
        os.kill(valkey.process.pid, signal.SIGCONT)
    assert waits[-1] >= TIMEOUT_S > 0.5 > waits[-2]


@pytest.mark.parametrize("word", ["wrong", ""])
def test_a_refusing_redis_is_as_good_as_none(valkey, settings, word):
    settings.REDIS_URL = f"redis://:{word}@127.0.0.1:{valkey.port}/0"
    assert allowed(Limit("device", 2, "a"), 5) == 2


# --- real servers ----------------------------------------------------------------------------

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(url, credential):
    """(status, seconds) of a request."""
    headers = {"Authorization": f"Api-Key {credential}"}
    request = urllib.request.Request(f"{url}/api/stores/current/", headers=headers)
    begin = time.monotonic()
    try:
        with OPENER.open(request, timeout=20) as answer:
            status = answer.status
    except urllib.error.HTTPError as error:
        status = error.code
    return status, time.monotonic() - begin


def test_two_servers_share_a_limit_and_each_holds_it_alone(committed, valkey, shared):
    till = make_device(make_store("LHR-01")).credential
    environment = {"LIMIT_DEVICE": "6", "REDIS_URL": valkey.url}
    with running_web(**environment) as one, running_web(**environment) as two:
        answers = [ask(url, till) for _ in range(5) for url in (one, two)]
        assert [status for status, _ in answers] == [200] * 6 + [429] * 4

        other = make_device(make_store("KHI-02")).credential
        assert [ask(url, other)[0] for url in (one, two)] == [200, 200]
        valkey.kill()
        answers = [ask(url, other) for _ in range(8) for url in (one, two)]
        assert [status for status, _ in answers] == [200] * 10 + [429] * 6
        assert max(seconds for _, seconds in answers) < TIMEOUT_S + 1
        valkey.start()
