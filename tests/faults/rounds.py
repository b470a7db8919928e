"""One round: load, a fault in the middle of it, rest, and what the judge says."""

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.faults.judge import Database, Judge, Told, first_after
from tests.faults.kinds import KINDS, Impossible, Kind, Scene
from tests.faults.lab import CHECKOUT, Lab

BEFORE_S, AFTER_S = 1.0, 1.5
LOOK_S = 0.25
COHERENCE_S = 1.0
ENDING_S_MAX = 75
REST_S_MAX = 30  # from the last answer until nothing waits; a put-off event waits up to 16 s
DEVICES = 4
# What is asked of a recovery, in seconds. A busy machine is given time, and the figures are told.
RECOVERY_S_MAX = {"postgresql_kill": 10.0, "worker_kill": 5.0, "redis_gone_apply": 15.0}


@dataclass
class Result:
    """What a round came to. `evidence` is empty when the fault was not seen: the round is void."""

    number: int
    seed: int
    kind: str
    evidence: str = ""
    impossible: str = ""
    events: int = 0
    findings: dict[str, list[str]] = field(default_factory=dict)
    recovery_s: dict[str, float] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    lost_answers: Counter[str] = field(default_factory=Counter)
    looks: int = 0
    seconds: float = 0.0

    @property
    def is_red(self) -> bool:
        return any(self.findings.values())

    @property
    def is_void(self) -> bool:
        return not self.is_red and not self.evidence

    def tell(self) -> str:
        """One line for a person."""
        if self.is_red:
            state = "RED"
        else:
            state = "skip" if self.impossible else "void" if self.is_void else "ok"
        told = (
            f"{state:4} {self.number:4} seed {self.seed} {self.kind:18} {self.events:6} events "
            f"{self.seconds:5.1f} s  {self.impossible or self.evidence}"
        )
        refused = {code: n for code, n in self.statuses.items() if code not in (200, 202)}
        for facts in filter(None, (refused, self.recovery_s)):
            told += f"  {facts}"
        texts = [(name, text) for name, texts in self.findings.items() for text in texts[:4]]
        return "\n".join([told, *(f"       {name}: {text}" for name, text in texts)])


class Watcher:
    """Looks at the database all the time: coherence each second, and how long the oldest waits."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.findings: list[str] = []
        self.lags: list[tuple[float, float]] = []
        self.looks = 0

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        next_look = 0.0
        while not self._stop.wait(LOOK_S):
            try:
                waiting = self._database.oldest_wait_s()
                self.lags.append((time.time(), waiting))
                if time.monotonic() >= next_look:
                    began = time.monotonic()
                    self.findings += self._database.coherence()
                    self.looks += 1
                    # A look may take a fifth of the time: it must not become the load.
                    next_look = began + max(COHERENCE_S, 5 * (time.monotonic() - began))
            except psycopg.OperationalError:
                continue  # that is the fault; the next look sees what it left


class Runner:
    """Runs rounds on one laboratory."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.database = Database(lab.database_url)
        self.judge = Judge(self.database)
        self.deadlocks = 0

    def run(self, number: int, kind: Kind, seed: int) -> Result:
        """One round; never raises for what the product does wrong."""
        began = time.monotonic()
        chance = random.Random(seed)
        result = Result(number, seed, kind.name)
        scene = Scene(self.lab, chance)
        folder = self.lab.folder / "rounds" / str(number)
        folder.mkdir(parents=True)
        devices = self._start_devices(folder, kind, seed)
        with Watcher(self.database) as watcher:
            damage = kind.make(scene)
            try:
                time.sleep(BEFORE_S * (0.5 + chance.random()))
                self._go_on(damage, result)
                time.sleep(kind.seconds)
                if not kind.until_end:
                    self._go_on(damage, result)
                    time.sleep(AFTER_S)
            finally:
                self._end_devices(devices, result)
            self._go_on(damage, result)
            self._wait_for_rest(result)
        self._judge(folder, kind, scene, watcher, result)
        result.seconds = time.monotonic() - began
        return result

    def _start_devices(
        self, folder: Path, kind: Kind, seed: int
    ) -> "list[subprocess.Popen[bytes]]":
        facts = self.lab.facts
        devices = []
        for number in range(DEVICES):
            last = number == DEVICES - 1
            stores = facts["stores"][number:] if last else [facts["stores"][number]]
            plan = {
                "seed": f"{seed}-{number}",
                "round": folder.name,
                "journal": str(folder / f"{number}.jsonl"),
                "address": ["127.0.0.1", self.lab.place.port],
                "key": facts["keys"]["head office" if last else stores[0]],
                "stores": stores,
                "skus": facts["skus"],
                "hot": facts["hot"],
                "clock_days": kind.clock_days[number % len(kind.clock_days)],
            }
            path = folder / f"{number}.json"
            path.write_text(json.dumps(plan))
            devices.append(
                subprocess.Popen(
                    [sys.executable, "-S", "-m", "tests.faults.device", str(path)],
                    cwd=CHECKOUT, stdin=subprocess.DEVNULL,
                )
            )  # fmt: skip
        return devices

    def _go_on(self, damage: Generator[None, None, str], result: Result) -> None:
        """Do the damage, or repair it; at the end of it there is the evidence."""
        try:
            next(damage)
        except StopIteration as end:
            result.evidence = result.evidence or str(end.value or "")
        except Impossible as reason:
            result.impossible = str(reason)

    def _end_devices(self, devices: "list[subprocess.Popen[bytes]]", result: Result) -> None:
        for device in devices:
            device.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + ENDING_S_MAX
        for device in devices:
            try:
                code = device.wait(max(1.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                device.kill()
                code = device.wait()
            if code != 0:
                result.findings.setdefault("other", []).append(f"a till ended with code {code}")

    def _wait_for_rest(self, result: Result) -> None:
        deadline = time.monotonic() + REST_S_MAX
        while time.monotonic() < deadline:
            with suppress(psycopg.OperationalError):  # still coming back; the deadline decides
                if self.database.count_waiting() == 0:
                    return
            time.sleep(0.1)
        result.findings.setdefault("other", []).append(
            f"{self.database.count_waiting()} events wait {REST_S_MAX} s after the last answer"
        )

    def _judge(
        self, folder: Path, kind: Kind, scene: Scene, watcher: Watcher, result: Result
    ) -> None:
        told = Told()
        for number in range(DEVICES):
            days = kind.clock_days[number % len(kind.clock_days)]
            told.read(folder / f"{number}.jsonl", days)
        for store, event_id, sku, change in scene.by_hand:
            key = store, event_id.replace("-", "")
            told.events[key] = sku, change, False
            told.acked.add(key)
        result.events, result.looks = len(told.acked), watcher.looks
        result.statuses, result.lost_answers = told.statuses, told.lost
        for name, texts in self.judge.judge(told).items():
            result.findings.setdefault(name, []).extend(texts)
        result.findings["drift"] += watcher.findings[:3]
        noticed = {why: n for why, n in told.lost.items() if why != "own"}
        if kind.unnoticed and (noticed or told.statuses[503]):
            result.findings["other"].append(f"tills noticed: {noticed}, {told.statuses[503]} 503")
        self._judge_deadlocks(result)
        self._judge_recovery(scene, told, watcher, result)

    def _judge_deadlocks(self, result: Result) -> None:
        if self.lab.kind != "postgresql":
            return
        count = self.database.ask(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
        if count > self.deadlocks:
            result.findings["other"].append(f"{count - self.deadlocks} deadlocks")
        self.deadlocks = count

    def _judge_recovery(self, scene: Scene, told: Told, watcher: Watcher, result: Result) -> None:
        if not scene.recovery:
            return
        accepted = [
            at for at, sent in zip(told.accepted_at, told.began_at, strict=True)
            if sent >= scene.hit_at
        ]  # fmt: skip
        took: dict[str, float | None] = {}
        if scene.recovery == "worker_kill":
            took["worker_kill"] = self.database.first_applied_after(scene.hit_at)
        elif scene.recovery == "redis_gone":
            took["redis_gone_accept"] = first_after(accepted, scene.hit_at)
            took["redis_gone_apply"] = max(
                (lag for at, lag in watcher.lags if at >= scene.hit_at), default=None
            )
        else:
            took[scene.recovery] = first_after(accepted, scene.hit_at)
        result.recovery_s = {name: round(s, 2) for name, s in took.items() if s is not None}
        for name, seconds in result.recovery_s.items():
            if seconds > RECOVERY_S_MAX.get(name, 1e9):
                result.findings["other"].append(f"{name} took {seconds} s")


def choose_kinds(names: list[str], engine: str, rounds: int, seed: int) -> list[Kind]:
    """Which fault each round gets: all of them in turn, each turn shuffled by the seed."""
    chance = random.Random(seed)
    possible = [KINDS[name] for name in names if engine in KINDS[name].engines]
    chosen: list[Kind] = []
    while len(chosen) < rounds:
        chosen += chance.sample(possible, len(possible))
    return chosen[:rounds]


def summarise(results: list[Result], seed: int) -> dict[str, Any]:
    """The figures of `script/faults --json`."""
    recovery: dict[str, float] = {}
    for result in results:
        for name, seconds in result.recovery_s.items():
            recovery[name] = max(recovery.get(name, 0.0), seconds)
    count = {
        name: sum(len(result.findings.get(name, [])) for result in results)
        for name in ("lost", "doubled", "drift")
    }
    return {
        "rounds": len(results),
        "red": [f"{r.number}: {r.kind} seed {r.seed}" for r in results if r.is_red],
        "void": [f"{r.number}: {r.kind}" for r in results if r.is_void and not r.impossible],
        "skipped": sorted({f"{r.kind}: {r.impossible}" for r in results if r.impossible}),
        "seeds": [seed, seed + len(results) - 1],
        "events": sum(result.events for result in results),
        **count,
        "looks": sum(result.looks for result in results),
        "recovery_s": recovery,
    }
