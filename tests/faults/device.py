"""A till as a process of its own: standard library only, nothing of the product.

    python -m tests.faults.device PLAN.json

It makes events, writes what it is about to send to its journal and the disk, sends, and writes the
answer behind it. What it has no answer to it sends again, with the same ids, also after it was
killed itself. On SIGTERM it makes no new events and ends when everything is answered.

A line of the journal is JSON: `{"sent": n, "t": …, "events": [[id, store, sku, kind, quantity,
"new"|"again"|"wrong"], …]}`, `{"got": n, "t": …, "status": …, "retry_after": …, "results":
[[id, status, code], …]}` or `{"lost": n, "t": …, "why": …}`; quantity in thousandths.
"""

import datetime as dt
import http.client
import json
import os
import random
import signal
import socket
import sys
import time
import uuid
from pathlib import Path
from typing import Any

BATCH_SIZES = (1, 1, 5, 20, 50, 100)
AGAIN, WRONG, POISON = 0.3, 0.05, 0.01
ANSWER_DROPPED, CUT_WHILE_SENDING = 0.25, 0.05
TIMEOUT_S = 20
PAUSE_S = 0.15
ENDING_S_MAX = 60
KNOWN_MAX = 5_000
UNKNOWN_SKU = "NEVER"

Event = tuple[str, str, str, str, int]  # id, store, sku, kind, thousandths


class OwnFault(Exception):
    """The till itself cut the connection or did not wait for the answer."""


class Device:
    """The till. `plan` says where, who, what to sell, and from which seed."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.journal = Path(plan["journal"])
        # Killed and started anew it makes other events: an id is never made twice.
        life = self.journal.read_text().count("\n") if self.journal.exists() else 0
        self.chance = random.Random(f"{plan['seed']}-{life}")
        self.shared = random.Random(f"{plan['round']}-{life}")  # ids that other stores use as well
        self.waiting: dict[tuple[str, str], Event] = {}
        self.known: list[Event] = []
        self.number = life
        self.ending = False
        self._read_journal()
        self.file = self.journal.open("a")

    def _read_journal(self) -> None:
        """Where an earlier life stood."""
        if not self.journal.exists():
            return
        answered = set()
        sent: dict[int, list[Event]] = {}
        for text in self.journal.read_text().splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue  # the line it died in
            if "sent" in line:
                sent[line["sent"]] = [tuple(e[:5]) for e in line["events"] if e[5] != "wrong"]
            for place, result in enumerate(line.get("results", [])):
                events = sent.get(line["got"], [])
                if result[1] in ("accepted", "duplicate") and place < len(events):
                    answered.add((events[place][1], result[0]))
        for events in sent.values():
            for event in events:
                key = event[1], event[0]
                if key in answered:
                    self.known.append(event)
                else:
                    self.waiting[key] = event

    def run(self) -> None:
        signal.signal(signal.SIGTERM, self._end)
        deadline = 0.0
        while True:
            if self.ending:
                deadline = deadline or time.monotonic() + ENDING_S_MAX
                if not self.waiting or time.monotonic() > deadline:
                    break
            went_well = self._send(self._choose())
            time.sleep(PAUSE_S * self.chance.random() * (1 if went_well else 2))
        self.file.close()

    def _end(self, *_: object) -> None:
        self.ending = True

    def _choose(self) -> list[tuple[Event, str]]:
        """What waits for an answer, new ones, some of old, one that contradicts; shuffled."""
        size = self.chance.choice(BATCH_SIZES)
        batch = [(event, "again") for event in list(self.waiting.values())[:size]]
        if not self.ending:
            batch += [(self._make(), "new") for _ in range(size - len(batch))]
        if self.known and size > 1 and self.chance.random() < AGAIN:
            picked = self.chance.sample(self.known, min(len(self.known), 1 + size // 4))
            batch += [(event, "again") for event in picked]
        if self.known and size > 1 and self.chance.random() < WRONG:
            event = self.chance.choice(self.known)
            told = {(e[1], e[0]) for e, _ in batch}
            if (event[1], event[0]) not in told:
                batch.append(((*event[:4], event[4] + 1), "wrong"))
        self.chance.shuffle(batch)
        return batch

    def _make(self) -> Event:
        chance = self.chance
        store = chance.choice(self.plan["stores"])
        source = self.shared if chance.random() < 0.02 else chance
        event_id = str(uuid.UUID(int=source.getrandbits(128), version=4))
        hot, skus = self.plan["hot"], self.plan["skus"]
        sku = chance.choice(hot if chance.random() < 0.5 else skus)
        if chance.random() < POISON:
            sku = UNKNOWN_SKU
        kind = "return" if chance.random() < 0.1 else "sale"
        return event_id, store, sku, kind, chance.randint(1, 20_000)

    # --- sending ---

    def _send(self, batch: list[tuple[Event, str]]) -> bool:
        self.number += 1
        number = self.number
        events = [[*event, role] for event, role in batch]
        self._write({"sent": number, "t": time.time(), "events": events}, sync=True)
        for event, role in batch:
            if role != "wrong":
                self.waiting.setdefault((event[1], event[0]), event)
        try:
            status, retry_after, body = self._post([event for event, _ in batch])
        except OwnFault:
            self._write({"lost": number, "t": time.time(), "why": "own"})
            return False
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._write({"lost": number, "t": time.time(), "why": type(error).__name__})
            return False
        results = self._read(status, body, batch)
        self._write(
            {"got": number, "t": time.time(), "status": status, "retry_after": retry_after,
             "results": results, "body": "" if status < 300 else str(body)[:200]}, sync=True,
        )  # fmt: skip
        return bool(results)

    def _post(self, events: list[Event]) -> tuple[int, str, Any]:
        head_office = len(self.plan["stores"]) > 1
        bodies = [self._tell(event, names_store=head_office) for event in events]
        body = json.dumps(bodies[0] if len(bodies) == 1 else {"events": bodies}).encode()
        host, port = self.plan["address"]
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        headers = {
            "Authorization": f"Api-Key {self.plan['key']}",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
        }
        try:
            if self.chance.random() < CUT_WHILE_SENDING and not self.ending:
                connection.putrequest("POST", "/api/orders/sales/")
                for name, value in headers.items():
                    connection.putheader(name, value)
                connection.endheaders()
                connection.send(body[: self.chance.randrange(len(body))])
                raise OwnFault
            connection.request("POST", "/api/orders/sales/", body, headers)
            if self.chance.random() < ANSWER_DROPPED and not self.ending:
                time.sleep(self.chance.random() * 0.02)
                raise OwnFault
            answer = connection.getresponse()
            return answer.status, answer.getheader("Retry-After", ""), json.loads(answer.read())
        finally:
            connection.close()

    def _tell(self, event: Event, *, names_store: bool) -> dict[str, Any]:
        event_id, store, sku, kind, quantity = event
        # A retry has to say the same: the date hangs on the id and the clock of this till.
        days = uuid.UUID(event_id).int % 30
        at = dt.datetime(2026, 3, 1, 9, tzinfo=dt.UTC) + dt.timedelta(
            days=days + self.plan["clock_days"]
        )
        told = {
            "event_id": event_id,
            "sku": sku,
            "kind": kind,
            "quantity": f"{quantity // 1000}.{quantity % 1000:03}",
            "occurred_at": at.isoformat(),
        }
        return told | {"store": store} if names_store else told

    def _read(self, status: int, body: Any, batch: list[tuple[Event, str]]) -> list[list[str]]:
        """The result of each event, in order; empty when there is none."""
        if status not in (200, 202, 409) or not isinstance(body, dict):
            return []
        if len(batch) == 1:
            rows = [body if status != 409 else {"status": "conflict", "code": body.get("code")}]
        else:
            rows = body.get("results", [])
        results = []
        for (event, role), row in zip(batch, rows, strict=True):
            results.append([event[0], row["status"], row.get("code") or ""])
            if role != "wrong" and row["status"] in ("accepted", "duplicate"):
                if self.waiting.pop((event[1], event[0]), None) and len(self.known) < KNOWN_MAX:
                    self.known.append(event)
            elif role != "wrong":
                # A conflict or a refusal of what was told right: the judge will find it.
                self.waiting.pop((event[1], event[0]), None)
        return results

    def _write(self, line: dict[str, Any], *, sync: bool = False) -> None:
        self.file.write(json.dumps(line, separators=(",", ":")) + "\n")
        self.file.flush()
        if sync:
            os.fsync(self.file.fileno())


if __name__ == "__main__":
    socket.setdefaulttimeout(TIMEOUT_S)
    Device(json.loads(Path(sys.argv[1]).read_text())).run()
