"""What the tills' journals say against what the database says. Shares no code with the product.

The journals are the truth. `coherence` may be asked at any moment, also in the middle of a fault:
it is one snapshot of the primary. `Judge.judge` wants rest.
"""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

DECREASING = ("sale", "waste")
NEVER = "NEVER"
AHEAD_DAYS = 300
SHOWN_MAX = 5

Key = tuple[str, str]  # store, event id without hyphens

COHERENCE = {
    "a level is not the sum of its movements": """
SELECT count(*) FROM (
  SELECT store_id, product_id FROM (
    SELECT store_id, product_id, quantity AS moved, 0 AS level FROM stock_movement
    UNION ALL SELECT store_id, product_id, 0, quantity FROM stock_level) AS both_sides
   GROUP BY store_id, product_id HAVING sum(moved) <> sum(level)) AS wrong""",
    "a store's numbers have a gap": """
SELECT count(*) FROM (
  SELECT m.store_id FROM stock_movement AS m
    JOIN stock_ledgerhead AS h ON h.store_id = m.store_id
   GROUP BY m.store_id, h.last_seq
  HAVING max(m.seq) <> count(*) OR h.last_seq <> max(m.seq)) AS wrong""",
    "an event counts and waits": """
SELECT count(*) FROM orders_saleevent AS e JOIN stock_movement AS m
    ON m.store_id = e.store_id AND m.event_id = e.event_id
 WHERE NOT (e.status = 'parked' AND e.park_reason = 'conflict')""",
}


class Database:
    """Reads the product's tables; opens a session of its own each time."""

    def __init__(self, url: str) -> None:
        self._url = url

    @contextmanager
    def snapshot(self) -> Iterator[Any]:
        """A function that asks: all its answers are of one moment."""
        if self._url.startswith("sqlite"):
            database = sqlite3.connect(urlsplit(self._url).path, isolation_level=None, timeout=20)
            database.execute("BEGIN")
        else:
            database = psycopg.connect(self._url, connect_timeout=3)  # type: ignore[assignment]
            database.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ  # type: ignore[assignment]
            database.read_only = True  # type: ignore[attr-defined]
        try:
            yield lambda sql: database.execute(sql).fetchall()
        finally:
            database.close()

    def ask(self, sql: str) -> Any:
        """One value."""
        with self.snapshot() as ask:
            return ask(sql)[0][0]

    def oldest_wait_s(self) -> float:
        """How long the oldest event that could be applied has waited."""
        with self.snapshot() as ask:
            if self._url.startswith("sqlite"):
                sql = "(julianday('now') - julianday(min(received_at))) * 86400"
            else:
                sql = "extract(epoch FROM now() - min(received_at))"
            due = "status = 'pending' AND next_try_at IS NULL"
            return float(ask(f"SELECT {sql} FROM orders_saleevent WHERE {due}")[0][0] or 0)

    def count_waiting(self) -> int:
        """Events that have not been applied and will be."""
        return int(self.ask("SELECT count(*) FROM orders_saleevent WHERE status = 'pending'"))

    def first_applied_after(self, moment: float) -> float | None:
        """How long after `moment` the first event was applied, in seconds."""
        with self.snapshot() as ask:
            if self._url.startswith("sqlite"):
                at = "(julianday(recorded_at) - 2440587.5) * 86400"
            else:
                at = "extract(epoch FROM recorded_at)"
            found = ask(f"SELECT min({at}) FROM stock_movement WHERE {at} >= {moment}")[0][0]
        return None if found is None else float(found) - moment

    def coherence(self) -> list[str]:
        """What is not as promised at this very moment."""
        with self.snapshot() as ask:
            counts = {name: ask(sql)[0][0] for name, sql in COHERENCE.items()}
        return [f"{name}: {count} times" for name, count in counts.items() if count]


@dataclass
class Told:
    """What the journals of one round say."""

    events: dict[Key, tuple[str, int, bool]] = field(default_factory=dict)  # sku, change, ahead
    acked: set[Key] = field(default_factory=set)
    findings: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    accepted_at: list[float] = field(default_factory=list)  # when a 202 came
    began_at: list[float] = field(default_factory=list)  # when its request was sent
    acked_count: int = 0

    def read(self, journal: Path, clock_days: float) -> None:
        """Add one till's journal."""
        sent: dict[int, tuple[float, list[Any]]] = {}
        for text in journal.read_text().splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue  # the till was killed while it wrote
            if "sent" in line:
                sent[line["sent"]] = (line["t"], line["events"])
                for event_id, store, sku, kind, quantity, role in line["events"]:
                    if role != "wrong":
                        change = -quantity if kind in DECREASING else quantity
                        key = store, event_id.replace("-", "")
                        self.events[key] = sku, change, clock_days > AHEAD_DAYS
            elif "got" in line:
                self._take(line, *sent[line["got"]])
            else:
                self.lost[line["why"]] += 1

    def _take(self, line: dict[str, Any], sent_at: float, events: list[Any]) -> None:
        status = line["status"]
        self.statuses[status] += 1
        if status == 202:
            self.accepted_at.append(line["t"])
            self.began_at.append(sent_at)
        if status not in (200, 202, 409, 503) or (status == 503 and not line["retry_after"]):
            self.findings.append(f"a till was answered {status}: {line['body']}")
        for (event_id, store, _, _, _, role), (_, answer, code) in zip(
            events, line["results"], strict=False
        ):
            key = store, event_id.replace("-", "")
            if role == "wrong":
                if answer != "conflict":
                    self.findings.append(f"{key}: other content was {answer}, not a conflict")
            elif answer in ("accepted", "duplicate"):
                self.acked.add(key)
                self.acked_count += 1
            else:
                self.findings.append(f"{key}: what was told right was answered {answer} {code}")


class Judge:
    """Knows everything ever told to one database, and reads only what is new in it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.told: dict[Key, tuple[str, int, bool]] = {}
        self.counted: dict[Key, tuple[str, int]] = {}
        self.balances: dict[Key, int] = defaultdict(int)  # store, sku
        self._last_seq: dict[str, int] = defaultdict(int)

    def judge(self, rounds: Told) -> dict[str, list[str]]:
        """`lost`, `doubled`, `drift` and `other` of this round; empty lists when all is well."""
        self.told |= rounds.events
        parked = self._read_new()
        verdict: dict[str, list[str]] = {"lost": [], "doubled": [], "drift": [], "other": []}
        verdict["other"] += rounds.findings[:SHOWN_MAX]
        for key in rounds.events.keys() - rounds.acked:
            verdict["other"].append(f"{key}: never got its answer")
        for key in rounds.acked:
            self._judge_one(key, parked.get(key), verdict)
        ghosts = (self.counted.keys() | parked.keys()) - self.told.keys()
        verdict["doubled"] += [f"{key}: counts, and nobody told it" for key in ghosts]
        verdict["drift"] += self.database.coherence() + self._compare_levels()
        return verdict

    def _judge_one(
        self, key: Key, parked: tuple[str, str] | None, verdict: dict[str, list[str]]
    ) -> None:
        sku, change, ahead = self.told[key]
        counted = self.counted.get(key)
        if ahead or sku == NEVER:
            wanted = ("parked", "clock_ahead" if ahead else "unknown_product")
            if counted or parked != wanted:
                where = "lost" if parked is None else "other"
                verdict[where].append(f"{key}: should be {wanted}, is {counted or parked}")
        elif counted is None:
            where = "lost" if parked is None else "other"
            verdict[where].append(f"{key}: acknowledged and not counted; inbox: {parked}")
        elif counted != (sku, change):
            verdict["drift"].append(f"{key}: counts as {counted}, told as {(sku, change)}")

    def _read_new(self) -> dict[Key, tuple[str, str]]:
        """Read the movements since the last time; returns what waits in the inbox."""
        with self.database.snapshot() as ask:
            stores = dict(ask("SELECT id, code FROM stores_store"))
            skus = dict(ask("SELECT id, sku FROM catalog_product"))
            for store_id, code in stores.items():
                rows = ask(
                    "SELECT seq, event_id, product_id, quantity FROM stock_movement"
                    f" WHERE store_id = {store_id} AND seq > {self._last_seq[code]} ORDER BY seq"
                )
                for seq, event_id, product_id, quantity in rows:
                    key = code, str(event_id).replace("-", "")
                    self.counted[key] = skus[product_id], quantity
                    self.balances[code, skus[product_id]] += quantity
                    self._last_seq[code] = seq
            inbox = ask("SELECT store_id, event_id, status, park_reason FROM orders_saleevent")
        return {
            (stores[store_id], str(event_id).replace("-", "")): (status, reason)
            for store_id, event_id, status, reason in inbox
        }

    def _compare_levels(self) -> list[str]:
        """The levels against the fold of everything that was told and is not parked."""
        expected: dict[Key, int] = defaultdict(int)
        for key in self.counted.keys() & self.told.keys():
            sku, change, _ = self.told[key]
            expected[key[0], sku] += change
        with self.database.snapshot() as ask:
            levels = ask(
                "SELECT s.code, p.sku, l.quantity FROM stock_level AS l"
                " JOIN stores_store AS s ON s.id = l.store_id"
                " JOIN catalog_product AS p ON p.id = l.product_id"
            )
        kept = {(store, sku): quantity for store, sku, quantity in levels}
        wrong = [key for key in kept.keys() | expected.keys() if kept.get(key) != expected.get(key)]
        return [f"{key}: {kept.get(key)}, told {expected.get(key)}" for key in wrong[:SHOWN_MAX]]


def first_after(times: Iterable[float], moment: float) -> float | None:
    """How long after `moment` the first of these came, in seconds."""
    later = [at - moment for at in times if at >= moment]
    return min(later) if later else None
