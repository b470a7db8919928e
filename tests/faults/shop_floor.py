"""What is told in a simulated run, and what must have become of it. No code of the product."""

import datetime as dt
import random
import sqlite3
import uuid
from collections import defaultdict
from dataclasses import dataclass, field, replace

from tests.faults.baton import BEGINNING

SKUS = ("TEA", "RICE", "SALT", "LATE")
NEVER = "NEVER"
DECREASING = ("sale",)
# A clock ten years ahead now and then; a till that was offline; a clock ten years behind.
AGES_DAYS = (-3_650, 3_650, 40, 3, *[0] * 26)


@dataclass(frozen=True)
class Told:
    """An event as a till tells it; quantity in thousandths."""

    store: str
    event_id: uuid.UUID
    sku: str
    kind: str
    quantity: int
    occurred_at: dt.datetime

    @property
    def key(self) -> tuple[str, str]:
        return self.store, self.event_id.hex

    @property
    def change(self) -> int:
        return -self.quantity if self.kind in DECREASING else self.quantity

    def with_other_content(self) -> "Told":
        return replace(self, quantity=self.quantity + 1)


@dataclass
class Till:
    """One till and its journal: what it wants to tell and what it has been answered."""

    store: str
    events: list[Told]
    answers: dict[uuid.UUID, str] = field(default_factory=dict)

    def unanswered(self) -> list[Told]:
        return [event for event in self.events if event.event_id not in self.answers]

    def choose_batch(self, chance: random.Random) -> list[Told]:
        """Some that wait for an answer, some sent before, shuffled."""
        waiting = self.unanswered()
        batch = chance.sample(waiting, chance.randint(1, min(5, len(waiting))))
        if chance.random() < 0.3:
            batch += chance.sample(self.events, chance.randint(1, 3))
        chance.shuffle(batch)
        return batch


def make_events(chance: random.Random, store: str, pool: list[uuid.UUID]) -> list[Told]:
    """What one till has to tell. Ids from `pool` are used by tills of other stores as well."""
    ids = [uuid.UUID(int=chance.getrandbits(128), version=4) for _ in range(chance.randint(4, 9))]
    ids += chance.sample(pool, chance.randint(0, 2))
    return [
        Told(
            store,
            event_id,
            NEVER if chance.random() < 0.05 else chance.choice(SKUS),
            "return" if chance.random() < 0.2 else "sale",
            chance.randint(1, 9_999),
            BEGINNING
            + dt.timedelta(days=3_650 if chance.random() < 0.03 else -chance.randint(0, 40)),
        )
        for event_id in ids
    ]


class Truth:
    """Compares the database with what the tills know. It reads rows and adds up in Python."""

    def __init__(self, path: str) -> None:
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    def close(self) -> None:
        self._database.close()

    def waiting(self) -> int:
        """Events that have yet to be applied, now or when the sweep finds their product."""
        sql = (
            "SELECT count(*) FROM orders_saleevent WHERE status = 'pending'"
            " OR (park_reason = 'unknown_product' AND sku <> ?)"
        )
        return int(self._database.execute(sql, [NEVER]).fetchone()[0])

    def drift(self) -> list[str]:
        """Where a level is not the sum of its movements, or `seq` has a gap; at any moment."""
        self._database.execute("BEGIN")
        try:
            sums: dict[tuple[int, int], int] = defaultdict(int)
            seqs: dict[int, int] = defaultdict(int)
            found = []
            for store, seq, product, quantity, after in self._database.execute(
                "SELECT store_id, seq, product_id, quantity, balance_after FROM stock_movement"
                " ORDER BY store_id, seq"
            ):
                seqs[store] += 1
                sums[store, product] += quantity
                if (seq, after) != (seqs[store], sums[store, product]):
                    found.append(f"store {store} seq {seq}: {after}, not {sums[store, product]}")
            levels = self._database.execute(
                "SELECT store_id, product_id, quantity FROM stock_level"
            ).fetchall()
        finally:
            self._database.execute("ROLLBACK")
        kept = {(store, product): quantity for store, product, quantity in levels}
        if kept != dict(sums):
            found.append(f"levels {kept}, not {dict(sums)}")
        return found

    def findings(self, tills: list[Till], by_hand: list[Told], wrongs: list[Told]) -> list[str]:
        """Everything that is not as promised, at rest."""
        counted = {
            (code, event): (sku, quantity)
            for code, event, sku, quantity in self._database.execute(
                "SELECT s.code, m.event_id, p.sku, m.quantity FROM stock_movement AS m"
                " JOIN stores_store AS s ON s.id = m.store_id"
                " JOIN catalog_product AS p ON p.id = m.product_id"
            )
        }
        parked = {
            (code, event): (status, reason)
            for code, event, status, reason in self._database.execute(
                "SELECT s.code, e.event_id, e.status, e.park_reason FROM orders_saleevent AS e"
                " JOIN stores_store AS s ON s.id = e.store_id"
            )
        }
        found = self.drift()
        told = {event.key: event for till in tills for event in till.events}
        told |= {event.key: event for event in by_hand}
        for key, event in told.items():
            found += self._judge(event, counted.get(key), parked.get(key))
        ghosts = (counted.keys() | parked.keys()) - told.keys()
        found += [f"ghost: {key} was never told" for key in ghosts]
        for till in tills:
            answered = {event.event_id: till.answers.get(event.event_id) for event in till.events}
            found += [
                f"{till.store} {event_id}: answered {answer}"
                for event_id, answer in answered.items()
                if answer not in ("accepted", "duplicate")
            ]
        found += [f"{wrong.key}: other content was not called a conflict" for wrong in wrongs]
        return found

    def _judge(
        self, event: Told, counted: tuple[str, int] | None, parked: tuple[str, str] | None
    ) -> list[str]:
        where = f"{event.key} of {event.sku}"
        is_ahead = event.occurred_at > BEGINNING + dt.timedelta(days=300)
        if is_ahead or event.sku == NEVER:
            reason = "clock_ahead" if is_ahead else "unknown_product"
            if counted or parked != ("parked", reason):
                return [f"{where}: should be parked as {reason}, is {counted or parked}"]
            return []
        if counted is None:
            return [f"lost: {where}; in the inbox: {parked}"]
        if parked is not None:
            return [f"{where}: counts and waits as {parked}"]
        if counted != (event.sku, event.change):
            return [f"{where}: counts as {counted}, not {event.change}"]
        return []
