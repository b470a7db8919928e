"""Sales that come at the same time share a commit, and each has the answer it would have alone."""

import json
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from inventory_project import failpoints
from inventory_project.doors import Sent
from orders import gathering, inbox
from orders.gathering import ThreadGatherer
from orders.models import SaleEvent
from script.server_process import wait_until
from stores import registry
from stores.models import StoreKey
from tests import make
from tests.bad_input import raw
from tests.make import sale
from tests.web import running_web

pytestmark = pytest.mark.usefixtures("committed")
SALES = "/api/orders/sales/"


@pytest.fixture
def commits(monkeypatch):
    """How many lines each commit had."""
    counted = []
    insert = inbox.insert_new

    def count(judged):
        counted.append(len(judged.new))
        return insert(judged)

    monkeypatch.setattr(inbox, "insert_new", count)
    return counted


@pytest.fixture
def stuck():
    """The first commit waits until it is released; others go on."""
    release, arrived = threading.Event(), threading.Event()

    def wait():
        if not arrived.is_set():
            arrived.set()
            assert release.wait(10)

    # Before the insert, where SQLite has no other writer either: not inside its lock.
    failpoints.armed["before_judging"] = wait
    yield arrived, release
    release.set()
    del failpoints.armed["before_judging"]


class Tills:
    """Threads that each send one sale through a gatherer."""

    def __init__(self, credential):
        self.gatherer, self.credential = ThreadGatherer(), credential
        self.pool = ThreadPoolExecutor(20)

    def send(self, event, credential=None):
        return self.pool.submit(self._send, event, credential or self.credential)

    def _send(self, event, credential):
        body = json.dumps(event).encode()
        meta = {"HTTP_AUTHORIZATION": f"Api-Key {credential}", "CONTENT_LENGTH": str(len(body))}
        try:
            answer = self.gatherer.answer(Sent(meta, lambda: body), len(body))
        finally:
            connection.close()
        return answer.status

    @property
    def waiting(self):
        return len(self.gatherer._queue._requests)


@pytest.fixture
def tills(till):
    tills = Tills(till.credential)
    yield tills
    tills.pool.shutdown()
    for threads in (tills.gatherer._threads, tills.gatherer._large):
        threads.submit(lambda: connection.close()).result()
        threads.shutdown()  # another test counts the sessions of this database


def test_who_comes_while_one_is_under_way_shares_the_next_commit(
    tills, karachi, commits, stuck, monkeypatch
):
    monkeypatch.setattr(gathering, "SLOW_S", 60)
    arrived, release = stuck
    other = make.make_device(karachi).credential
    first = tills.send(sale())
    assert arrived.wait(5)
    event = sale()
    rest = [tills.send(sale()) for _ in range(6)]
    rest += [tills.send(sale(), other), tills.send(sale(quantity=0)), tills.send(sale(), "a.b")]
    rest += [tills.send(event)]
    wait_until(lambda: tills.waiting == 10, 5)
    release.set()
    assert first.result() == 202
    assert [one.result() for one in rest] == [202] * 7 + [400, 401, 202]
    assert commits == [1, 8]
    assert SaleEvent.objects.count() == 9
    assert tills.send(event).result() == 200


def test_a_slow_one_does_not_hold_up_the_others(tills, stuck, monkeypatch):
    monkeypatch.setattr(gathering, "SLOW_S", 0)
    arrived, release = stuck
    first = tills.send(sale())
    assert arrived.wait(5)
    assert [tills.send(sale()).result(5) for _ in range(3)] == [202] * 3
    assert not first.done()
    release.set()
    assert first.result(5) == 202


def test_a_large_request_goes_alone_and_waits_for_nobody(tills, stuck, monkeypatch):
    monkeypatch.setattr(gathering, "SLOW_S", 60)
    arrived, release = stuck
    first = tills.send(sale())
    assert arrived.wait(5)
    assert tills.send({"events": [sale() for _ in range(150)]}).result(5) == 202
    assert not first.done()
    release.set()
    assert first.result(5) == 202


def test_a_batch_stays_small(tills, commits, stuck, monkeypatch):
    monkeypatch.setattr(gathering, "SLOW_S", 60)
    monkeypatch.setattr(gathering, "BATCH_BYTES_MAX", 3 * len(json.dumps(sale())))
    arrived, release = stuck
    first = tills.send(sale())
    assert arrived.wait(5)
    rest = [tills.send(sale()) for _ in range(7)]
    wait_until(lambda: tills.waiting == 7, 5)
    release.set()
    assert [one.result(10) for one in (first, *rest)] == [202] * 8
    assert commits == [1, 3, 3, 1]


def test_many_threads_lose_and_double_nothing(tills):
    events = [sale() for _ in range(100)]
    statuses = [one.result(30) for one in [tills.send(event) for event in [*events, *events]]]
    assert sorted(statuses) == [200] * 100 + [202] * 100
    assert SaleEvent.objects.count() == 100


def test_who_waits_for_a_thread_that_is_ended_is_told_to_come_again(tills, stuck, monkeypatch):
    monkeypatch.setattr(gathering, "SLOW_S", 60)
    arrived, release = stuck
    first = tills.send(sale())
    assert arrived.wait(5)
    events = [sale(), sale()]
    rest = [tills.send(event) for event in events]
    wait_until(lambda: tills.waiting == 2, 5)

    def end(*_):
        raise SystemExit

    failpoints.armed["before_insert"] = end
    try:
        release.set()
        assert [one.result(5) for one in (first, *rest)] == [503] * 3
    finally:
        del failpoints.armed["before_insert"]
    assert SaleEvent.objects.count() == 0
    assert [tills.send(event).result(5) for event in events] == [202, 202]


# --- over real HTTP ---------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["wsgi", "asgi"])
def web(request, django_db_setup):
    with running_web(request.param) as url:
        yield url


def ask(url, credential, body=None, path=SALES, content_type="application/json"):
    raw_body = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Authorization": f"Api-Key {credential}", "Content-Type": content_type}
    request = urllib.request.Request(f"{url}{path}", raw_body, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read()), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read()), error.headers


def test_both_interfaces_answer_alike(web, till, karachi, head_office):
    event, key = sale(), till.credential
    assert ask(web, key, event)[:2] == (202, {"event_id": event["event_id"], "status": "accepted"})
    status, body, headers = ask(web, key, event)
    assert (status, body["status"]) == (200, "duplicate")
    assert headers["Cache-Control"] == "no-store"
    assert headers["RateLimit-Policy"].startswith('"device";q=')
    assert ask(web, key, event | {"quantity": 9})[0] == 409
    assert ask(web, key, b"{")[1]["code"] == "parse_error"
    assert ask(web, key, b'{"a": 1, "a": 2}')[0] == 400
    assert ask(web, key, sale(store="KHI-02"))[1]["errors"][0]["code"] == "unknown_store"
    results = ask(web, key, {"events": [event, sale(), sale(quantity=0)]})[1]["results"]
    assert [result["status"] for result in results] == ["duplicate", "accepted", "rejected"]
    assert ask(web, head_office.credential, sale(store="KHI-02"))[0] == 202
    status, body, headers = ask(web, "nobody00.x", sale())
    assert (status, body["code"], headers["WWW-Authenticate"]) == (401, "key_refused", "Api-Key")
    assert ask(web, key, event, content_type="text/plain")[0] == 415
    assert ask(web, key)[0] == 200  # the list, by Django
    assert SaleEvent.objects.count() == 3


def test_revoked_key_fails_on_the_next_request(web, till):
    assert ask(web, till.credential, sale())[0] == 202
    registry.revoke_key(StoreKey.objects.get(prefix=till.credential.partition(".")[0]))
    assert ask(web, till.credential, sale())[0] == 401
    assert SaleEvent.objects.count() == 1


def test_till_that_hangs_up_harms_nobody(web, till):
    body = json.dumps(sale()).encode()
    head = (
        f"POST {SALES} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Api-Key {till.credential}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    for cut in (len(head) + len(body), len(head) + 5):
        for _ in range(5):
            line = raw.connect(web)
            line.sendall((head + body)[:cut])
            line.close()
    time.sleep(0.2)
    assert ask(web, till.credential, sale())[0] == 202
    assert SaleEvent.objects.count() <= 2


def test_many_at_once_are_each_told_the_truth(web, till):
    events = [sale() for _ in range(60)]
    with ThreadPoolExecutor(16) as pool:
        sent = [*events, *(event | {"quantity": 5} for event in events)]
        statuses = list(pool.map(lambda event: ask(web, till.credential, event)[0], sent))
    assert sorted(statuses) == [202] * 60 + [409] * 60
    assert SaleEvent.objects.count() == 60


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_limit_holds_at_both_interfaces(interface, till):
    with running_web(interface, LIMIT_DEVICE="5", REDIS_URL="") as url:
        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(lambda _: ask(url, till.credential, sale())[0], range(8)))
        assert sorted(statuses) == [202] * 5 + [429] * 3
    assert SaleEvent.objects.count() == 5
