"""python -m benchmarks.limits: does a limit hold when many processes ask at once?"""

import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from examples.iowa.__main__ import read_count
from inventory_project.windows import Limit, take
from script.private_servers import PrivateValkey
from script.server_binaries import PrivateServerError

PROCESSES = 16
REQUESTS = 200
REQUESTS_BEFORE_RESTART = 48
START_SECONDS_MAX = 60

_start: Barrier


@dataclass(frozen=True)
class Hits:
    """What happened to the requests of one process, or of all."""

    allowed: int
    errors: int
    microseconds: list[float]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns 0 when every limit held, 1 when one did not, 2 without numbers."""
    parser = ArgumentParser(prog="python -m benchmarks.limits", description=__doc__)
    add = parser.add_argument
    add("--limit", type=read_count, default=100, help="units a minute; above 1,000 it is a count")
    add("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args(arguments)
    try:
        findings = measure(options.limit)
    except (PrivateServerError, KeyboardInterrupt) as error:
        print(f"benchmarks.limits: {str(error) or 'Stopped; no numbers.'}", file=sys.stderr)
        return 2
    print(json.dumps(findings) if options.json else write_table(findings))
    return 0 if holds(findings) else 1


def measure(limit: int) -> dict[str, Any]:
    """Ask at once, across a restart of Redis, and without it; each as a caller of its own."""
    away = min(limit, REQUESTS // PROCESSES // 2)  # also alone a process has to refuse some
    with (
        tempfile.TemporaryDirectory() as folder,
        PrivateValkey(Path(folder)) as server,
        start_processes(server.url, folder) as pool,
    ):
        at_once = ask(pool, "at once", limit, REQUESTS)
        before = ask(pool, "restart", limit, REQUESTS_BEFORE_RESTART)
        server.stop()
        server.start()
        after = ask(pool, "restart", limit, REQUESTS - REQUESTS_BEFORE_RESTART)
        server.kill()
        without = ask(pool, "without", away, REQUESTS)
    return {
        "limit": limit,
        "allowed": at_once.allowed,
        "allowed_over_restart": before.allowed + after.allowed,
        "limit_without_redis": away,
        "allowed_without_redis": without.allowed,
        "errors": at_once.errors + before.errors + after.errors + without.errors,
        "requests": REQUESTS,
        "processes": PROCESSES,
        "hit_us": round(statistics.median(at_once.microseconds)),
        "hit_without_redis_us": round(statistics.median(without.microseconds)),
    }


def holds(findings: dict[str, Any]) -> bool:
    """Exactly the limit with Redis; without it no more than the limit in each process."""
    granted = min(findings["limit"], findings["requests"])
    alone = findings["limit_without_redis"] * findings["processes"]
    counted = (findings["allowed"], findings["allowed_over_restart"])
    without: int = findings["allowed_without_redis"]
    return counted == (granted, granted) and without == alone and findings["errors"] == 0


def start_processes(redis_url: str, folder: str) -> ProcessPoolExecutor:
    """Processes of the product with this Redis; they read their settings when first asked."""
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "inventory_project.settings",
        "REDIS_URL": redis_url,
        "LOCAL_DIR": folder,
    }
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(PROCESSES)
    return ProcessPoolExecutor(PROCESSES, context, initializer=_remember, initargs=(start,))


def ask(pool: ProcessPoolExecutor, who: str, limit: int, count: int) -> Hits:
    """So many requests of one caller, some from each process, all at once."""
    each, rest = divmod(count, PROCESSES)
    parts = [
        pool.submit(_hit, Limit("benchmark", limit, who), each + (number < rest))
        for number in range(PROCESSES)
    ]
    hits = [part.result() for part in parts]
    return Hits(
        sum(hit.allowed for hit in hits),
        sum(hit.errors for hit in hits),
        [microseconds for hit in hits for microseconds in hit.microseconds],
    )


def _remember(start: Barrier) -> None:
    global _start
    _start = start


def _hit(limit: Limit, count: int) -> Hits:
    _start.wait(START_SECONDS_MAX)  # also: no process does the work of another
    allowed, errors, microseconds = 0, 0, []
    for _ in range(count):
        begin = time.perf_counter()
        try:
            allowed += take(limit, 1).allowed
        except Exception:  # noqa: BLE001 - what it is the caller would have seen as a 500
            errors += 1
        microseconds.append((time.perf_counter() - begin) * 1e6)
    return Hits(allowed, errors, microseconds)


def write_table(findings: dict[str, Any]) -> str:
    """The same for a person."""
    return "\n".join(f"{name:<22} {value}" for name, value in findings.items())


if __name__ == "__main__":
    sys.exit(main())
