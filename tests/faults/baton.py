"""Threads that run one at a time: whoever holds the baton. One seed decides who gets it next.

Each actor is a process of the product: a thread with a database connection of its own. Before every
SQL statement and at every named place (failpoints.py; two of them stand before the commits) it
offers the baton, may be killed there, and time goes on. So the order of everything that happens
between processes is the seed's, and the same seed gives the same run.

Time is made up as well: an actor that sleeps is passed over until the time has come, and when all
sleep the clock is put forward. The wall clock may be put wrong without anybody waking earlier.
"""

import datetime as dt
import hashlib
import random
import threading
from collections.abc import Callable
from typing import Any
from unittest import mock

import time_machine
from django.db import connections

from inventory_project import failpoints

BEGINNING = dt.datetime(2026, 3, 2, 7, tzinfo=dt.UTC)
STEP_S = 0.002
STEPS_MAX = 60_000
PLACES = (
    "before_judging", "before_insert", "after_commit_before_answer", "after_claim",
    "after_balance_row", "after_ledger_row", "before_apply_commit",
    "after_apply_commit_before_ack",
)  # fmt: skip
READS = ("SELECT", "PRAGMA", "EXPLAIN", "SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN DEFERRED")


class Death(BaseException):
    """kill -9: no `except Exception` may swallow it."""


class Over(BaseException):
    """The run has ended."""


class Stuck(AssertionError):
    """Nobody can go on, or it does not come to rest."""


class Actor:
    """One thread and what the scheduler knows of it."""

    def __init__(self, name: str, work: Callable[[], None], *, lasts: bool) -> None:
        self.name, self.work, self.lasts = name, work, lasts
        self.turn = threading.Semaphore(0)
        self.wakes_at = 0.0
        self.wants_to_write = False
        self.mortal = False  # set while it is a process of the product that may be killed
        self.dying = False
        self.ended = False
        self.raw: Any = None  # its sqlite3 connection


class Baton:
    """The scheduler. `spawn` the actors, then `run`; `trace` tells two runs apart."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.kill_rate = 0.0
        self.failures_left = 0  # errors in the middle of postings
        self.now_s = 0.0
        self.wall_offset = dt.timedelta(0)
        self.steps = 0
        self.deaths = 0
        self.error: BaseException | None = None
        self.at_rest: Callable[[], bool] = lambda: True
        self._actors: list[Actor] = []
        self._current: Actor | None = None
        self._over = False
        self._done = threading.Event()
        self._trace = hashlib.blake2b(digest_size=16)
        self._clock: Any = None

    @property
    def trace(self) -> str:
        """The same for two runs only if the same happened in the same order."""
        return self._trace.hexdigest()

    def spawn(self, name: str, work: Callable[[], None], *, lasts: bool = False) -> None:
        """Add an actor; one that `lasts` goes on for ever and does not keep the run from ending."""
        self._actors.append(Actor(name, work, lasts=lasts))

    def run(self) -> None:
        """Run until every actor that does not last has ended and `at_rest` says so."""
        threads = [
            threading.Thread(target=self._live, args=(actor,), name=actor.name, daemon=True)
            for actor in self._actors
        ]
        with (
            time_machine.travel(BEGINNING, tick=False) as self._clock,
            mock.patch("time.sleep", self.sleep),
            mock.patch.dict(failpoints.armed, dict.fromkeys(PLACES, self._offer_at_place)),
            mock.patch.dict(failpoints.armed, {"after_ledger_row": self._fail_at_place}),
        ):
            for thread in threads:
                thread.start()
            self._pass_on()
            self._done.wait()
            for thread in threads:
                thread.join()
        if self.error is not None:
            raise self.error

    # --- for actors ---

    def offer(self) -> None:
        """Let somebody else go on; raises Death when this is where it is killed."""
        actor = self._me()
        self._pass_on()
        actor.turn.acquire()
        if self._over:
            raise Over
        if actor.mortal and self.chance.random() < self.kill_rate:
            actor.dying = True
            self.deaths += 1
            self.note("died")
            raise Death

    def sleep(self, seconds: float) -> None:
        """Sleep in made-up time."""
        actor = self._me()
        actor.wakes_at = self.now_s + seconds
        self.offer()

    def note(self, what: str) -> None:
        """Write something that happened into the trace."""
        self._trace.update(f"{self._me().name}:{what}\n".encode())

    def as_process(self, work: Callable[[], Any], *, mortal: bool = True) -> Any:
        """Do `work` as a process that may be killed; None when it was. Its session goes with it."""
        actor = self._me()
        self._connect(actor)
        actor.mortal = mortal
        try:
            return work()
        except Death:
            actor.raw.close()
            del connections["default"]
            self._connect(actor)
            return None
        finally:
            actor.mortal = actor.dying = False

    # --- inside ---

    def _me(self) -> Actor:
        assert self._current is not None
        return self._current

    def _live(self, actor: Actor) -> None:
        actor.turn.acquire()
        try:
            if not self._over:
                actor.work()
        except Over:
            return  # this is how an actor is told that the run is over
        except BaseException as error:
            self.error = self.error or error
            self._over = True
        finally:
            connections.close_all()
            actor.ended = True
            self._pass_on()

    def _connect(self, actor: Actor) -> None:
        session = connections["default"]
        session.ensure_connection()
        if actor.raw is not session.connection:
            actor.raw = session.connection
            session.execute_wrappers.append(self._around_statement)

    def _around_statement(self, execute: Any, sql: str, params: Any, many: bool, _: Any) -> Any:
        actor = self._me()
        if actor.dying:
            return execute(sql, params, many, _)
        takes_lock = not actor.raw.in_transaction and not sql.lstrip().startswith(READS)
        actor.wants_to_write = takes_lock
        self.offer()
        actor.wants_to_write = False
        # The name of a savepoint has the thread's number in it.
        self.note(sql.strip()[:9] if actor.raw.in_transaction else sql.strip()[:60])
        return execute(sql, params, many, _)

    def _offer_at_place(self) -> None:
        if not self._me().dying:
            self.offer()

    def _fail_at_place(self) -> None:
        self._offer_at_place()
        if self._me().mortal and self.failures_left and self.chance.random() < 0.3:
            self.failures_left -= 1
            self.note("failed")
            raise RuntimeError("what a simulated run makes fail")

    def _pass_on(self) -> None:
        """Choose who goes on; only the thread that holds the baton comes here."""
        chosen = self._choose()
        if chosen is None:
            self._done.set()
            return
        self._current = chosen
        chosen.turn.release()

    def _choose(self) -> Actor | None:
        alive = [actor for actor in self._actors if not actor.ended]
        if not self._over:
            try:
                return self._choose_ready(alive)
            except Stuck as error:
                self.error, self._over = error, True
        return alive[0] if alive else None

    def _choose_ready(self, alive: list[Actor]) -> Actor | None:
        self.steps += 1
        if self.steps > STEPS_MAX:
            raise Stuck(f"not at rest after {STEPS_MAX} steps")
        if all(actor.lasts for actor in alive) and self.at_rest():
            self._over = True
            return alive[0] if alive else None
        self._advance(STEP_S)
        while True:
            writer = next((a for a in alive if a.raw is not None and a.raw.in_transaction), None)
            able = [a for a in alive if not (a.wants_to_write and writer not in (None, a))]
            ready = [actor for actor in able if actor.wakes_at <= self.now_s]
            if ready:
                return self.chance.choice(ready)
            if not able:
                raise Stuck("everybody waits for the write lock")
            self._advance(min(actor.wakes_at for actor in able) - self.now_s)

    def _advance(self, seconds: float) -> None:
        self.now_s += seconds
        self._clock.move_to(BEGINNING + dt.timedelta(seconds=self.now_s) + self.wall_offset)
