"""Five times more than can be served: what is still served, how soon, how soon all is well.

    python -m tests.faults.storm [--seconds 20] [--connections 1000] [--places N]

One web process over ASGI, so that a second core is left for the tills. First as much as it can
take (64 connections, each sending when it is answered), then an open loop of five times as many
requests a second from as many tills as there are connections, all connecting at once and none
heeding Retry-After: four fifths sales, one fifth reports; half of all from one store. Then probes.
The last line is JSON. Latency is from the moment a request was sent.
"""

import argparse
import contextlib
import itertools
import json
import random
import select
import socket
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from script.server_process import LOOPBACK
from tests.faults.judge import Database
from tests.faults.lab import Lab, laboratory

TIMES = 5
REPORTS = 0.2
LOUD = 0.5
CALM_MS = 100
REST_S_MAX = 120


@dataclass
class Answers:
    """What came back: (when sent, milliseconds, status) by kind of request and caller."""

    rows: dict[tuple[str, str], list[tuple[float, float, int]]] = field(default_factory=dict)
    broken: int = 0
    seconds: float = 0.0

    def add(self, kind: str, caller: str, sent_at: float, status: int) -> None:
        took_ms = (time.perf_counter() - sent_at) * 1000
        self.rows.setdefault((kind, caller), []).append((sent_at, took_ms, status))

    def good_ms(self, kind: str = "", caller: str = "") -> list[float]:
        """Sorted milliseconds of the admitted ones."""
        return sorted(
            ms
            for (of, by), rows in self.rows.items()
            if kind in ("", of) and caller in ("", by)
            for _, ms, status in rows
            if status < 300
        )

    def statuses(self) -> dict[str, int]:
        found = Counter(str(row[2]) for rows in self.rows.values() for row in rows)
        return dict(sorted(found.items()))


class Line:
    """One till's connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((LOOPBACK, port), timeout=30)
        self.socket.setblocking(False)
        self.answer = b""
        self.asked = ("", "", 0.0)

    def receive(self) -> int:
        """Read; the status once the answer is whole, 0 before, -1 when the connection broke."""
        try:
            data = self.socket.recv(1 << 16)
        except BlockingIOError:
            return 0
        except OSError:
            return -1
        if not data:
            return -1
        self.answer += data
        head, end, body = self.answer.partition(b"\r\n\r\n")
        at = head.lower().find(b"content-length:")
        if not end or at < 0 or len(body) < int(head[at + 15 :].split(b"\r\n", 1)[0]):
            return 0
        self.answer = b""
        return int(head[9:12])


def send(
    port: int, requests: Iterator[tuple[str, str, bytes]], *, connections: int, seconds: float,
    per_second: float = 0,
) -> Answers:  # fmt: skip
    """Send for so long; `per_second` 0: each connection as soon as it is answered."""
    answers, poll = Answers(), select.epoll()
    lines = {line.socket.fileno(): line for line in (Line(port) for _ in range(connections))}
    for number in lines:
        poll.register(number, select.EPOLLIN)
    idle, start, sent = list(lines), time.perf_counter(), 0
    while (now := time.perf_counter()) < start + seconds:
        due = min(len(idle), int((now - start) * per_second) - sent if per_second else len(idle))
        for _ in range(due):
            line = lines[idle.pop()]
            kind, caller, request = next(requests)
            line.asked = kind, caller, time.perf_counter()
            sent += 1
            with contextlib.suppress(OSError):  # its end is read below
                line.socket.send(request)
        for number, _ in poll.poll(0.002):
            status = lines[number].receive()
            if status > 0:
                answers.add(*lines[number].asked, status)
                idle.append(number)
            elif status < 0:
                answers.broken += 1
                poll.unregister(number)
                lines[number].socket.close()
                fresh = Line(port)
                lines[fresh.socket.fileno()] = fresh
                poll.register(fresh.socket.fileno(), select.EPOLLIN)
                idle.append(fresh.socket.fileno())
    answers.seconds = time.perf_counter() - start
    for line in lines.values():
        line.socket.close()
    return answers


def make_requests(facts: dict[str, Any], seed: int) -> Iterator[tuple[str, str, bytes]]:
    """Sales and reports of three stores, the first of them loud; kind, store, bytes."""
    chance = random.Random(seed)
    stores = facts["stores"][:3]
    while True:
        store = stores[0] if chance.random() < LOUD else chance.choice(stores[1:])
        key = f"Authorization: Api-Key {facts['keys'][store]}\r\nHost: {LOOPBACK}\r\n"
        sku = chance.choice(facts["hot"])
        if chance.random() < REPORTS:
            text = f"GET /api/stock/levels/?product={sku} HTTP/1.1\r\n{key}\r\n"
            yield "report", store, text.encode()
            continue
        body = json.dumps({
            "event_id": str(uuid.UUID(int=chance.getrandbits(128), version=4)), "sku": sku,
            "quantity": 1, "occurred_at": "2026-03-02T09:00:00+00:00",
        })  # fmt: skip
        head = f"POST /api/orders/sales/ HTTP/1.1\r\n{key}Content-Type: application/json\r\n"
        yield "sale", store, f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.faults.storm", allow_abbrev=False)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--connections", type=int, default=1_000)
    parser.add_argument("--places", default="", help="ADMISSION_PLACES instead of the default")
    options = parser.parse_args()
    with laboratory("postgresql") as lab:
        print(json.dumps(measure(lab, options.seconds, options.connections, options.places)))
    return 0


def measure(lab: Lab, seconds: float, connections: int, places: str = "") -> dict[str, Any]:
    """The figures of one storm."""
    assert lab.postgresql is not None
    command = [
        sys.executable, "-m", "granian", "--interface", "asgi", "--host", LOOPBACK,
        "--port", str(lab.place.port), "--workers", "1", "--backlog", "2048",
        "inventory_project.asgi:application",
    ]  # fmt: skip
    extra = {"ADMISSION_PLACES": places} if places else {}
    direct = {"DATABASE_URL": lab.postgresql.app_url}  # the proxy would be measured as well
    lab.restart("web", command, **direct, **extra)
    lab.wait_until_ready()
    requests, port = make_requests(lab.facts, 1), lab.place.port
    send(port, requests, connections=8, seconds=2)
    peak = send(port, requests, connections=64, seconds=6)
    peak_per_s = len(peak.good_ms()) / peak.seconds
    # Made beforehand: what the generator does meanwhile, it takes from the web process.
    offered_per_s = TIMES * peak_per_s
    storming = iter(list(itertools.islice(requests, int(1.1 * offered_per_s * seconds))))
    storm = send(port, storming, connections=connections, seconds=seconds, per_second=offered_per_s)
    ended_at = time.perf_counter()
    calm_s = wait_until_calm(port, requests, ended_at)
    database = Database(lab.database_url)
    while database.count_waiting() and time.perf_counter() < ended_at + REST_S_MAX:
        time.sleep(0.2)
    drained_s = time.perf_counter() - ended_at
    quiet, loud = lab.facts["stores"][1], lab.facts["stores"][0]
    good = storm.good_ms()
    offered = sum(len(rows) for rows in storm.rows.values())
    return {
        "peak_per_s": round(peak_per_s),
        "peak_p99_ms": at_share(peak.good_ms(), 0.99),
        "offered_per_s": round(offered / storm.seconds),
        "goodput_share_of_peak": round(len(good) / storm.seconds / peak_per_s, 2),
        "admitted_p50_ms": at_share(good, 0.5),
        "admitted_p99_ms": at_share(good, 0.99),
        "quiet_store_p99_ms": at_share(storm.good_ms(caller=quiet), 0.99),
        "admitted_share": {
            name: round(len(storm.good_ms(*args)) / max(1, total(storm, *args)), 3)
            for name, args in {
                "sales": ("sale", ""), "reports": ("report", ""),
                "loud_store": ("", loud), "quiet_store": ("", quiet),
            }.items()
        },
        "statuses": storm.statuses(),
        "broken_connections": storm.broken,
        "calm_again_s": round(calm_s, 1),
        "all_applied_after_s": round(drained_s, 1),
        "findings": database.coherence(),
    }  # fmt: skip


def total(answers: Answers, kind: str, caller: str) -> int:
    """How many requests of a kind or a caller were answered, whatever the answer."""
    return sum(
        len(rows)
        for (of, by), rows in answers.rows.items()
        if kind in ("", of) and caller in ("", by)
    )


def wait_until_calm(port: int, requests: Iterator[tuple[str, str, bytes]], since: float) -> float:
    """Seconds until a second of probes is answered well, each within CALM_MS."""
    while time.perf_counter() < since + REST_S_MAX:
        began = time.perf_counter()
        probes = send(port, requests, connections=1, seconds=1, per_second=20)
        good = probes.good_ms()
        if len(good) >= 15 and good[-1] < CALM_MS and set(probes.statuses()) <= {"200", "202"}:
            return began - since
    return REST_S_MAX


def at_share(ordered: list[float], share: float) -> float | None:
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1) if ordered else None


if __name__ == "__main__":
    sys.exit(main())
