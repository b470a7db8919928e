"""The faults: what is done to a running laboratory, and how it is seen that it had an effect.

A fault is a generator: it does the damage, yields while the load goes on, repairs, and returns
what it was seen by. Nothing seen: the round is void. `seconds` is how long it lasts.
"""

import contextlib
import json
import os
import random
import signal
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import redis

from script import serve
from tests.faults.lab import CLOCK_FOLDER, Lab, serve_opener

ACCEPT_PLACES = ("before_judging", "before_insert", "after_commit_before_answer",
                 "after_answer_before_doorbell")  # fmt: skip
APPLY_PLACES = ("after_claim", "after_balance_row", "after_ledger_row", "before_apply_commit",
                "after_apply_commit_before_ack")  # fmt: skip
WAIT_S_MAX = 20
GONE = ("", "Z")  # also when its parent has yet to notice
BALLAST_BYTES = 1 << 18


class Impossible(Exception):
    """This machine or engine cannot make the fault; the text says why."""


@dataclass
class Scene:
    """What a fault gets: the laboratory, its seed's chance, and where to write down times."""

    lab: Lab
    chance: random.Random
    hit_at: float = 0.0  # when the damage was done, if a recovery is measured from there
    recovery: str = ""  # the name of that recovery, of `recovery_s`
    # store, id, SKU, thousandths
    by_hand: list[tuple[str, str, str, int]] = field(default_factory=list)


Fault = Callable[[Scene], Generator[None, None, str]]


@dataclass(frozen=True)
class Kind:
    """A fault by name; `engines` are those that it can be made on."""

    name: str
    make: Fault
    seconds: float
    engines: tuple[str, ...]
    clock_days: tuple[float, ...] = (0,)  # of the tills
    unnoticed: bool = False  # no till may see anything of it
    until_end: bool = False  # it is repaired only after the tills have been answered


KINDS: dict[str, Kind] = {}
BOTH = ("postgresql", "sqlite")
PG = ("postgresql",)


def fault(
    seconds: float = 1.0,
    engines: tuple[str, ...] = PG,
    clock_days: tuple[float, ...] = (0,),
    *,
    unnoticed: bool = False,
    until_end: bool = False,
) -> Callable[[Fault], Fault]:
    """Put a generator among the kinds of faults, under its own name."""

    def add(make: Fault) -> Fault:
        name = make.__name__.lstrip("_")
        KINDS[name] = Kind(name, make, seconds, engines, clock_days, unnoticed, until_end)
        return make

    return add


# --- none, and what the load itself does ------------------------------------------------------


@fault(engines=BOTH, unnoticed=True)
def none(scene: Scene) -> Generator[None, None, str]:
    """Resent, shuffled, cut, contradicted, unknown: the load alone."""
    yield
    return "load"


@fault(engines=BOTH, clock_days=(-3_650, 3_650, 0))
def device_clocks(scene: Scene) -> Generator[None, None, str]:
    """One till's clock is ten years slow, one ten years fast."""
    yield
    return "load"


# --- processes --------------------------------------------------------------------------------


@fault(engines=BOTH)
def kill_web(scene: Scene) -> Generator[None, None, str]:
    """One of the processes that serve."""
    pid = _choose_child(scene, "web")
    os.kill(pid, signal.SIGKILL)
    yield
    return f"web child {pid} is gone" if _state(pid) in GONE else ""


@fault(engines=BOTH)
def kill_web_main(scene: Scene) -> Generator[None, None, str]:
    return _kill_all(scene, "web", "web_kill")


@fault(seconds=2, engines=BOTH)
def kill_worker(scene: Scene) -> Generator[None, None, str]:
    return _kill_all(scene, "worker", "worker_kill")


@fault(engines=BOTH)
def kill_worker_child(scene: Scene) -> Generator[None, None, str]:
    pid = _choose_child(scene, "worker")
    os.kill(pid, signal.SIGKILL)
    yield
    return f"worker child {pid} is gone" if _state(pid) in GONE else ""


@fault(engines=BOTH, unnoticed=True)
def kill_sweep(scene: Scene) -> Generator[None, None, str]:
    return _kill_all(scene, "sweep", "")


def _kill_all(scene: Scene, name: str, recovery: str) -> Generator[None, None, str]:
    pid = scene.lab.roles[name].pid
    scene.hit_at, scene.recovery = time.time(), recovery
    scene.lab.signal_all(name, signal.SIGKILL)
    yield
    now = scene.lab.roles[name].pid
    return f"{name} {pid} is {now} now" if now != pid else ""


@fault(seconds=4, engines=BOTH)
def fail_web(scene: Scene) -> Generator[None, None, str]:
    """The serving processes die, or hang, at a named place."""
    action = scene.chance.choice(("kill", "kill", "sleep"))
    place = scene.chance.choice(ACCEPT_PLACES)
    return _fail_at(scene, "web", f"{place}:{scene.chance.randint(1, 6)}:{action}")


@fault(seconds=4, engines=BOTH)
def fail_worker(scene: Scene) -> Generator[None, None, str]:
    """The applying processes die, fail or hang at a named place."""
    action = scene.chance.choice(("kill", "kill", "raise", "sleep"))
    place = scene.chance.choice(APPLY_PLACES)
    return _fail_at(scene, "worker", f"{place}:{scene.chance.randint(1, 3)}:{action}")


def _fail_at(scene: Scene, name: str, failpoint: str) -> Generator[None, None, str]:
    role, before = scene.lab.roles[name], scene.lab.log_of(name)
    scene.lab.restart(name, FAILPOINT=failpoint)
    starts = role.starts
    yield
    said = scene.lab.log_of(name)[len(before) :]
    seen = role.starts > starts + 1 or "SIGKILL" in said or "Failed" in said
    slept = failpoint.endswith("sleep") or failpoint.split(":")[0].endswith("before_doorbell")
    scene.lab.restart(name)
    return failpoint if seen or slept else ""


@fault(seconds=15)
def freeze_worker(scene: Scene) -> Generator[None, None, str]:
    """Stopped in the middle of a transaction, longer than sessions and messages are waited for."""
    lab = scene.lab
    lab.restart("worker", FAILPOINT=f"{scene.chance.choice(APPLY_PLACES[:4])}:2:stop")
    yield
    stopped = [pid for pid in lab.children("worker") if _state(pid) == "T"]
    lab.signal_all("worker", signal.SIGCONT)
    time.sleep(0.5)
    lab.signal_all("worker", signal.SIGCONT)
    time.sleep(0.5)
    lab.restart("worker")
    return f"{len(stopped)} were stopped" if stopped else ""


@fault(seconds=6)
def many_workers(scene: Scene) -> Generator[None, None, str]:
    """Sixteen on the same stores."""
    command = serve.commands_of(scene.lab.place)["worker"]
    place = command.index("--concurrency") + 1
    scene.lab.restart("worker", [*command[:place], "16", *command[place + 1 :]])
    _wait(lambda: len(scene.lab.children("worker")) >= 16)
    yield
    count = len(scene.lab.children("worker"))
    scene.lab.restart("worker")
    return f"{count} workers" if count >= 16 else ""


@fault(seconds=4, engines=BOTH, unnoticed=True)
def rolling_restart(scene: Scene) -> Generator[None, None, str]:
    """New web processes before the old ones end; worker and sweep are asked to end."""
    lab = scene.lab
    before = set(lab.children("web"))
    os.kill(lab.roles["web"].pid, signal.SIGHUP)
    for name in ("worker", "sweep"):
        os.kill(lab.roles[name].pid, signal.SIGTERM)
    yield
    _wait(lambda: not before & set(lab.children("web")))
    return "" if before & set(lab.children("web")) else "web processes are others"


@fault(seconds=3, engines=BOTH)
def clocks(scene: Scene) -> Generator[None, None, str]:
    """The clocks of the machine jump by a day, there and back."""
    days = scene.chance.choice(("1", "-1"))
    names = scene.chance.choice((("web",), ("worker",), ("sweep",), ("web", "worker", "sweep")))
    for name in names:
        scene.lab.restart(name, PYTHONPATH=str(CLOCK_FOLDER), CLOCK_DAYS=days)
    yield
    for name in names:
        scene.lab.restart(name)
    return f"{', '.join(names)} by {days} day"


def _choose_child(scene: Scene, name: str) -> int:
    _wait(lambda: bool(scene.lab.children(name)))
    return scene.chance.choice(scene.lab.children(name))


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S_MAX
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:  # ended meanwhile
        return ""


# --- PostgreSQL -------------------------------------------------------------------------------


@fault()
def kill_postgresql(scene: Scene) -> Generator[None, None, str]:
    """The postmaster and every backend, and up again."""
    server = scene.lab.postgresql
    assert server is not None and server.process is not None
    pid = server.process.pid
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    scene.hit_at, scene.recovery = time.time(), "postgresql_kill"
    for backend in listed:
        _kill_quietly(int(backend))
    server.kill()
    server.start()
    yield
    return f"{pid} is {server.process.pid} now"


@fault()
def end_sessions(scene: Scene) -> Generator[None, None, str]:
    """Every session of the product is ended, three times."""
    ended = 0
    for _ in range(3):
        ended += _end_sessions(scene.lab)
        time.sleep(0.3)
    yield
    return f"{ended} sessions" if ended else ""


def _end_sessions(lab: Lab) -> int:
    assert lab.postgresql is not None
    with psycopg.connect(lab.postgresql.superuser_url, autocommit=True) as session:
        rows = session.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'kiryana_app'"
        ).fetchall()
    return len(rows)


@fault(seconds=4)
def disk_full(scene: Scene) -> Generator[None, None, str]:
    """Nothing can be written for a while; PostgreSQL may have to be started again."""
    lab = scene.lab
    if lab.disk is None:
        raise Impossible("a file system cannot be mounted here")
    ballast = lab.disk / "ballast"
    assert lab.postgresql is not None and lab.postgresql.process is not None
    filled = 0
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            filled += file.write(bytes(BALLAST_BYTES))
    yield
    said = lab.postgresql_log()
    ballast.unlink()
    if lab.postgresql.process.poll() is not None:
        lab.postgresql.start()
    return "No space left on device" if "No space left on device" in said else ""


@fault()
def cut_connections(scene: Scene) -> Generator[None, None, str]:
    """Connections to PostgreSQL are reset at random moments."""
    proxy, cut = scene.lab.to_postgresql, 0
    assert proxy is not None
    for _ in range(8):
        cut += proxy.cut(scene.chance)
        time.sleep(scene.chance.random() * 0.3)
    yield
    return f"{cut} connections" if cut else ""


@fault(seconds=3)
def cut_commit(scene: Scene) -> Generator[None, None, str]:
    """COMMIT reaches PostgreSQL, its reply reaches nobody."""
    proxy = scene.lab.to_postgresql
    assert proxy is not None
    before = proxy.cuts
    for _ in range(6):
        proxy.mode = "cut_commit"
        time.sleep(0.15)
        proxy.mode = "through"
        time.sleep(0.15)
    yield
    return f"{proxy.cuts - before} commits" if proxy.cuts > before else ""


@fault(seconds=3)
def bad_network(scene: Scene) -> Generator[None, None, str]:
    """PostgreSQL far away, at the end of a thin line, or silent."""
    proxy = scene.lab.to_postgresql
    assert proxy is not None
    proxy.mode = scene.chance.choice(("late", "slow", "hole", "refuse"))
    mode = proxy.mode
    yield
    proxy.mode = "through"
    proxy.cut()
    return mode


# --- Redis ------------------------------------------------------------------------------------


@fault(seconds=4)
def kill_redis(scene: Scene) -> Generator[None, None, str]:
    server = scene.lab.valkey
    assert server is not None and server.process is not None
    pid = server.process.pid
    scene.hit_at, scene.recovery = time.time(), "redis_gone"
    server.kill()
    yield
    server.start()
    return f"{pid} is {server.process.pid} now"


@fault(unnoticed=True)
def flushall(scene: Scene) -> Generator[None, None, str]:
    """All messages, marks and windows are gone, several times."""
    with scene.lab.redis() as client:
        for _ in range(6):
            client.flushall()
            time.sleep(0.25)
        yield
        return f"{client.info('commandstats')['cmdstat_flushall']['calls']} times"


@fault(seconds=2, unnoticed=True, until_end=True)
def full_redis(scene: Scene) -> Generator[None, None, str]:
    """No room for a message, also for the last one: only the sweep is left."""
    with scene.lab.redis() as client:
        client.config_set("maxmemory", "1mb")
        before = _errors(client)
        yield
        seen = _errors(client) - before
        client.config_set("maxmemory", "0")
    return f"{seen} refused" if seen else ""


@fault(seconds=3)
def wrong_password(scene: Scene) -> Generator[None, None, str]:
    """Redis takes another password than ours."""
    with scene.lab.redis() as client:
        before = _errors(client)
        old = client.config_get("requirepass")["requirepass"]
        client.config_set("requirepass", "another")
        client.client_kill_filter(_type="normal", skipme=True)
        yield
        client.config_set("requirepass", old)
        seen = _errors(client) - before
    return f"{seen} refused" if seen else ""


@fault(seconds=8)
def frozen_redis(scene: Scene) -> Generator[None, None, str]:
    """Redis is there and does not answer."""
    server = scene.lab.valkey
    assert server is not None and server.process is not None
    scene.hit_at, scene.recovery = time.time(), "redis_gone"
    server.process.send_signal(signal.SIGSTOP)
    yield
    state = _state(server.process.pid)
    server.process.send_signal(signal.SIGCONT)
    return "stopped" if state == "T" else ""


@fault(seconds=6)
def redis_hole(scene: Scene) -> Generator[None, None, str]:
    """The way to Redis swallows everything."""
    proxy = scene.lab.to_redis
    assert proxy is not None
    scene.hit_at, scene.recovery = time.time(), "redis_gone"
    proxy.mode = "hole"
    yield
    proxy.mode = "through"
    proxy.cut()
    return "hole"


def _errors(client: "redis.Redis[Any]") -> int:
    return sum(entry["count"] for entry in client.info("errorstats").values())


# --- people -----------------------------------------------------------------------------------


@fault(seconds=4, engines=BOTH)
def hands(scene: Scene) -> Generator[None, None, str]:
    """Receipts of the hot products by hand, in any order, while tills sell them."""
    stop = threading.Event()
    thread = threading.Thread(target=_receive, args=(scene, stop), daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join(60)
    return f"{len(scene.by_hand)} lines" if scene.by_hand else ""


def _receive(scene: Scene, stop: threading.Event) -> None:
    facts, chance, opener = scene.lab.facts, scene.chance, serve_opener()
    while not stop.is_set():
        store = chance.choice(facts["stores"][:3])
        lines = [
            (store, str(uuid.UUID(int=chance.getrandbits(128), version=4)), sku, 1_000)
            for sku in chance.sample(facts["hot"], 15)
        ]
        movements = [
            {
                "event_id": event_id,
                "kind": "receipt",
                "sku": sku,
                "quantity": 1,
                "occurred_at": "2026-03-01T06:00:00+00:00",
            }
            for _, event_id, sku, _ in lines
        ]
        request = urllib.request.Request(
            f"{scene.lab.place.url}/api/stock/movements/",
            json.dumps({"store": store, "movements": movements}).encode(),
            {
                "Authorization": f"Api-Key {facts['keys']['head office']}",
                "Content-Type": "application/json",
            },
        )
        while True:  # until it is answered, with the same ids
            try:
                opener.open(request, timeout=20).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        scene.by_hand += lines


def _kill_quietly(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
