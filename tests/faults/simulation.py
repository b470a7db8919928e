"""The project's own accept and apply under a scheduler that one seed decides.

Real: `sales.accept`, the doorbell and its task, draining, the sweep, receipts by hand, the ledger,
SQLite. Made up: who runs next, the network, the clock, and deaths. Tills lose requests and answers,
send twice, late and shuffled; processes are killed between any two statements; messages of the
bell are lost, doubled or all flushed; clocks jump. At the end everything is as told, once.
"""

import datetime as dt
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from django.core.cache import caches
from django.db import connection, connections
from django.test import override_settings

from orders import sales, sweeping, tasks
from orders.draining import Round
from orders.sales import SaleLine
from stock import ledger
from stores.models import Store
from stores.principals import Principal
from tests.faults.baton import BEGINNING, Baton
from tests.faults.shop_floor import Till, Told, Truth, make_events
from tests.make import make_product, make_store

STORES = ("LHR", "KHI", "MUL")
LOST, DOUBLED = 0.15, 0.15
LOOK_EVERY_STEPS = 150
MEMORY = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}


@dataclass(frozen=True)
class Run:
    """What one seed came to; `findings` is empty when every promise was kept."""

    seed: int
    trace: str
    steps: int
    deaths: int
    events: int
    findings: list[str]


class Laboratory:
    """A template database and room for copies of it; see `laboratory`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.template = folder / "template.sqlite3"

    def simulate(self, seed: int) -> Run:
        """Run one seed on a fresh copy."""
        path = self.folder / f"seed-{seed}.sqlite3"
        shutil.copyfile(self.template, path)
        try:
            with _database_at(path):
                return _Chain(seed, str(path)).run()
        finally:
            for left in self.folder.glob(f"{path.name}*"):
                left.unlink()


@contextmanager
def laboratory(folder: Path) -> Iterator[Laboratory]:
    """A laboratory made from the present database, which has to be migrated and empty (SQLite)."""
    made = Laboratory(folder)
    connection.ensure_connection()
    with sqlite3.connect(folder / "empty.sqlite3") as copy:
        connection.connection.backup(copy)
    with _database_at(folder / "empty.sqlite3"):
        for code in STORES:
            make_store(code)
        for sku in ("TEA", "RICE", "SALT"):
            make_product(sku)
        with sqlite3.connect(made.template) as copy:
            connection.connection.backup(copy)
    with override_settings(CACHES={"default": MEMORY, "doorbell": MEMORY, "log_in": MEMORY}):
        yield made


@contextmanager
def _database_at(path: Path) -> Iterator[None]:
    settings = connections.settings["default"]
    before = settings["NAME"]
    connections.close_all()
    settings["NAME"] = str(path)
    try:
        yield
    finally:
        connections.close_all()
        settings["NAME"] = before


class _Chain:
    """Tills, workers, sweep and chaos of one seed."""

    def __init__(self, seed: int, path: str) -> None:
        self.seed = seed
        self.baton = Baton(seed)
        self.chance = self.baton.chance
        self.baton.kill_rate = self.chance.choice((0.0, 0.003, 0.006, 0.015))
        # Fewer than park an event.
        self.baton.failures_left = self.chance.choice((0, 0, 2, 4))
        self.stores = {store.code: store for store in Store.objects.order_by("pk")}
        connections.close_all()
        pool = [uuid.UUID(int=self.chance.getrandbits(128), version=4) for _ in range(4)]
        self.tills = [
            Till(code, make_events(self.chance, code, pool))
            for code in self.chance.choices(STORES, k=self.chance.randint(2, 4))
        ]
        self._tell_once()
        self.by_hand: list[Told] = []
        self.wrongs: list[Told] = []
        self.late: list[list[Told]] = []
        self.bells = 0
        self.truth = Truth(path)
        self.drifts: list[str] = []
        self.baton.at_rest = self._is_at_rest

    def _tell_once(self) -> None:
        """Two tills of one store never made the same id."""
        told: set[tuple[str, str]] = set()
        for till in self.tills:
            till.events = [event for event in till.events if event.key not in told]
            told |= {event.key for event in till.events}

    def run(self) -> Run:
        baton = self.baton
        for number, till in enumerate(self.tills):
            baton.spawn(f"till {number}", lambda till=till: self._sell(till))
        baton.spawn("hands", self._receive)
        baton.spawn("chaos", self._make_trouble)
        baton.spawn("network", self._deliver_late, lasts=True)
        for number in range(2):
            baton.spawn(f"worker {number}", self._work, lasts=True)
        baton.spawn("sweep", self._sweep, lasts=True)
        baton.spawn("looker", self._look, lasts=True)
        try:
            with self._made_up():
                baton.run()
            findings = self.truth.findings(self.tills, self.by_hand, self.wrongs) + self.drifts
        except Exception as error:  # an error of the product's own is a finding, not ours to raise
            findings = [f"{type(error).__name__}: {error}", *self.drifts]
        finally:
            self.truth.close()
        events = sum(len(till.events) for till in self.tills) + len(self.by_hand)
        return Run(self.seed, baton.trace, baton.steps, baton.deaths, events, findings)

    @contextmanager
    def _made_up(self) -> Iterator[None]:
        """The bell's message goes into our network; state that a process keeps begins anew."""
        caches["doorbell"].clear()
        batches = {
            "SALES_APPLY_EVENTS_MAX": self.chance.choice((1, 3, 1_000)),
            "SALES_APPLY_STORES_MAX": self.chance.choice((1, 2, 256)),
        }
        with ExitStack() as stack:
            stack.enter_context(override_settings(**batches))
            stack.enter_context(mock.patch.object(tasks.apply_sales, "apply_async", self._ring))
            # The bell's pause rings in a thread that is no actor of ours.
            stack.enter_context(mock.patch.object(tasks._pause, "begins", lambda: True))
            for module in (tasks, sweeping):
                stack.enter_context(mock.patch.object(module, "_going", Round()))
            yield

    def _is_at_rest(self) -> bool:
        return not self.late and self.truth.waiting() == 0

    # --- tills ---

    def _sell(self, till: Till) -> None:
        chance = self.chance
        while till.unanswered():
            self.baton.sleep(chance.random() * 0.3)
            batch = till.choose_batch(chance)
            if chance.random() < LOST:
                continue
            if chance.random() < DOUBLED:
                self.late.append(batch)
            answers = self._post(till.store, batch)
            if answers is None or chance.random() < LOST:
                continue
            for event, answer in zip(batch, answers, strict=True):
                till.answers[event.event_id] = answer
            if chance.random() < 0.1:
                self._contradict(till, chance.choice(batch))

    def _contradict(self, till: Till, event: Told) -> None:
        wrong = event.with_other_content()
        answers = self._post(till.store, [wrong])
        if answers not in (None, ["conflict"]):
            self.wrongs.append(wrong)

    def _post(self, store: str, batch: list[Told]) -> list[str] | None:
        """What a web process does; None when it was killed."""
        principal = Principal(store=self.stores[store])
        lines = [
            SaleLine(event.event_id, event.kind, event.quantity, event.occurred_at, event.sku)
            for event in batch
        ]

        def serve() -> list[str]:
            outcomes = sales.accept(principal=principal, lines=lines)
            self.baton.offer()
            tasks.ring_doorbell()
            return [outcome.status for outcome in outcomes]

        answers: list[str] | None = self.baton.as_process(serve)
        return answers

    def _deliver_late(self) -> None:
        while True:
            self.baton.sleep(self.chance.random() * 2)
            if self.late:
                batch = self.late[self.chance.randrange(len(self.late))]
                if self._post(batch[0].store, batch) is not None:
                    self.late.remove(batch)

    def _receive(self) -> None:
        """Receipts by hand, each sent until it is answered."""
        for _ in range(self.chance.randint(0, 4)):
            event_id = uuid.UUID(int=self.chance.getrandbits(128), version=4)
            code, sku = self.chance.choice(STORES), self.chance.choice(("TEA", "RICE"))
            event = Told(code, event_id, sku, "receipt", self.chance.randint(1, 50_000), BEGINNING)
            self.by_hand.append(event)
            line = ledger.Line(event_id, "receipt", event.quantity, BEGINNING, sku)
            while not self._answered(lambda line=line, code=code: self._book(code, line)):
                self.baton.sleep(self.chance.random())

    def _answered(self, work: Callable[[], Any]) -> Any:
        """What a person is told; None when it failed or the process was killed."""
        try:
            return self.baton.as_process(work)
        except RuntimeError:  # the one that the run makes
            return None

    def _book(self, code: str, line: ledger.Line) -> list[Any]:
        return ledger.move_by_hand(
            store=self.stores[code], lines=[line], actor_id=None, device_id=None
        )

    # --- the bell, workers and the sweep ---

    def _ring(self, **_: Any) -> None:
        fate = self.chance.random()
        self.bells += 0 if fate < LOST else 2 if fate < LOST + DOUBLED else 1

    def _work(self) -> None:
        while True:
            if not self.bells:
                self.baton.sleep(0.2)
                continue
            self.bells -= 1
            if self.baton.as_process(tasks.apply_sales) is None:
                self.bells += 1  # not acknowledged: delivered again

    def _sweep(self) -> None:
        last = None
        while True:
            last = self.baton.as_process(lambda last=last: sweeping.sweep_once(last))
            self.baton.sleep(1)

    # --- trouble ---

    def _make_trouble(self) -> None:
        chance = self.chance
        self.baton.sleep(chance.random() * 2)
        for _ in range(chance.randint(0, 3)):
            self.baton.sleep(chance.random() * 2)
            if chance.random() < 0.5:
                self.bells = 0
                caches["doorbell"].clear()
            else:
                self.baton.wall_offset = dt.timedelta(days=chance.choice((-1, 0, 1)))
        self.baton.as_process(lambda: make_product("LATE"), mortal=False)

    def _look(self) -> None:
        """What another session sees in the middle of it all."""
        while True:
            self.baton.sleep(LOOK_EVERY_STEPS * 0.002)
            if not self.drifts:
                self.drifts = [f"in the middle: {found}" for found in self.truth.drift()[:3]]
