"""Who may come in while it is crowded. The storm itself: `python -m tests.faults.storm`."""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from inventory_project import admission as admission_module
from inventory_project.admission import Admission, AdmittedASGI

pytestmark = pytest.mark.sqlite  # it asks no database


def fill(admission, caller, *, reads=False):
    """Enter until refused; returns how many came in."""
    count = 0
    while count < 1_000 and admission.enter(caller, reads=reads):
        count += 1
    return count


def test_one_caller_alone_leaves_the_last_quarter_to_others():
    admission = Admission(64)
    assert fill(admission, "loud") == 48
    assert admission.enter("quiet", reads=False)


def test_in_a_crowd_nobody_has_more_than_a_quarter():
    admission = Admission(64)
    for caller in ("a", "b"):
        for _ in range(16):
            assert admission.enter(caller, reads=False)
    assert not admission.enter("a", reads=False)
    assert [fill(admission, caller) for caller in ("c", "d", "e")] == [16, 16, 0]


def test_reports_are_refused_before_sales():
    admission = Admission(64)
    assert fill(admission, "a", reads=True) == 8
    assert not admission.enter("b", reads=True)
    assert admission.enter("b", reads=False)


def test_while_sales_are_refused_reports_have_one_place(monkeypatch):
    admission = Admission(16)
    assert [fill(admission, caller) for caller in ("a", "b", "c", "d")] == [12, 4, 0, 0]
    for caller, count in (("a", 12), ("b", 1)):
        for _ in range(count):
            admission.leave(caller, reads=False)
    assert fill(admission, "c", reads=True) == 1
    monkeypatch.setattr(admission_module.time, "monotonic", lambda: time.monotonic_ns() / 1e9 + 2)
    assert fill(admission, "c", reads=True) == 1  # two of sixteen, now that all is well


def test_place_is_free_again_when_somebody_leaves():
    admission = Admission(4)
    callers = ["a", "b", "c", "d"]
    assert all(admission.enter(caller, reads=False) for caller in callers)
    assert not admission.enter("e", reads=False)
    admission.leave("a", reads=False)
    assert admission.enter("e", reads=False)
    for caller in ("b", "c", "d", "e"):
        admission.leave(caller, reads=False)
    assert fill(admission, "a") == 3


def request(path="/api/orders/sales/", method="POST", key="Api-Key abc.secret"):
    return {
        "type": "http", "path": path, "method": method, "client": ("127.0.0.1", 1),
        "headers": [(b"authorization", key.encode())],
    }  # fmt: skip


def run(coroutine):
    """In a thread of its own: a browser's test may have left a loop running in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


class Held:
    """An ASGI application that answers when it is let go."""

    def __init__(self):
        self.go = asyncio.Event()
        self.inside = 0

    async def __call__(self, scope, receive, send):
        self.inside += 1
        await self.go.wait()
        await send({"type": "http.response.start", "status": 202, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def ask(application, scope):
    sent = []

    async def send(message):
        sent.append(message)

    await application(scope, None, send)
    return sent


async def crowd():
    held = Held()
    application = AdmittedASGI(held, 4, {}.get)
    keys = [f"Api-Key {name}.x" for name in "abcd"]
    tasks = [asyncio.ensure_future(ask(application, request(key=key))) for key in keys]
    await asyncio.sleep(0)
    refused = await ask(application, request(key="Api-Key e.x"))
    probe = asyncio.ensure_future(ask(application, request("/health/live", "GET")))
    await asyncio.sleep(0)
    inside = held.inside
    held.go.set()
    answers = await asyncio.gather(*tasks, probe)
    again = await ask(application, request(key="Api-Key e.x"))
    return refused, inside, answers, again


def test_over_asgi_the_one_too_many_is_told_to_come_again_and_the_probe_is_let_in():
    refused, inside, answers, again = run(crowd())
    headers = dict(refused[0]["headers"])
    assert (refused[0]["status"], headers[b"retry-after"]) == (503, b"2")
    assert headers[b"content-type"] == b"application/problem+json"
    problem = json.loads(refused[1]["body"])
    assert (problem["status"], problem["code"]) == (503, "busy")
    assert inside == 5  # four sales and the probe; the refused one never came in
    assert [answer[0]["status"] for answer in answers] == [202] * 5
    assert again[0]["status"] == 202


async def share(find_store):
    """How many of eight tills come in, two thirds of the house being taken by somebody else."""
    held = Held()
    application = AdmittedASGI(held, 16, find_store)
    others = [asyncio.ensure_future(ask(application, request(key=f"K {n}.x"))) for n in range(9)]
    tills = [asyncio.ensure_future(ask(application, request(key=f"K t{n}.x"))) for n in range(8)]
    await asyncio.sleep(0)
    held.go.set()
    answers = await asyncio.gather(*tills)
    await asyncio.gather(*others)
    return sorted(answer[0]["status"] for answer in answers)


def test_tills_of_one_store_share_its_quarter():
    assert run(share({}.get)) == [202] * 7 + [503]
    stores = {f"t{n}": 17 for n in range(8)}
    assert run(share(stores.get)) == [202] * 4 + [503] * 4
