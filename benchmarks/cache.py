"""python -m benchmarks.cache: what a kept list costs, what making it costs, and who makes it."""

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import django
from django.utils.module_loading import import_string

from examples.iowa.__main__ import read_count
from script.private_servers import real_servers
from script.server_binaries import CHECKOUT, PrivateServerError

THREADS = 8  # a process
ROUNDS = 5
LIMIT_OUT_OF_REACH = str(10**9)
LISTS = {"page": "api/catalog/products/?limit=1000", "whole": "allProducts"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns 0, or 2 when there are no numbers."""
    parser = ArgumentParser(prog="python -m benchmarks.cache", description=__doc__)
    add = parser.add_argument
    add("--products", type=read_count, default=10_000, help="default 10,000")
    add("--milliseconds", type=read_count, default=500, help="a measurement; default 500")
    add("--processes", type=read_count, default=8, help=f"of {THREADS} callers each; default 8")
    add("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args(arguments)
    try:
        findings = measure(options.products, options.processes, options.milliseconds / 1000)
    except (PrivateServerError, subprocess.CalledProcessError, KeyboardInterrupt) as error:
        print(f"benchmarks.cache: {str(error) or 'Stopped; no numbers.'}", file=sys.stderr)
        return 2
    print(json.dumps(findings) if options.json else write_table(findings))
    return 0


def measure(products: int, processes: int, seconds: float) -> dict[str, Any]:
    """On PostgreSQL and Valkey/Redis: the environment's, else private ones."""
    with tempfile.TemporaryDirectory() as folder, real_servers(Path(folder)) as servers:
        os.environ |= servers | {
            "LOCAL_DIR": folder,
            "LOG_LEVEL": "ERROR",
            "LIMIT_HEAD_OFFICE": LIMIT_OUT_OF_REACH,
            "LIMIT_EARLIER": LIMIT_OUT_OF_REACH,
        }
        migrate(servers)
        with start_processes(processes) as pool:
            key = pool.submit(run, "load", products).result()
            rounds = pool.submit(run, "measure", key, LISTS, ROUNDS, seconds).result()
        # Anew: who measured has shared all it may in a minute.
        with start_processes(processes) as pool:
            made = [storm(pool, key, path, processes) for path in LISTS.values()]
        del os.environ["REDIS_URL"]
        with start_processes(processes) as pool:
            alone = storm(pool, key, LISTS["whole"], processes)
    return summarise(rounds) | {
        "products": products,
        "callers": processes * THREADS,
        "recomputations": max(made),
        "recomputations_without_redis": alone,
        "processes": processes,
    }


def migrate(servers: dict[str, str]) -> None:
    role = unquote(urlsplit(servers["DATABASE_URL"]).username or "")
    owner = {"DATABASE_URL": servers["DATABASE_OWNER_URL"], "APP_DATABASE_ROLE": role}
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(command, cwd=CHECKOUT, env=os.environ | owner, check=True)


def start_processes(count: int) -> ProcessPoolExecutor:
    """Processes of the product; they read their settings when they start."""
    context = multiprocessing.get_context("spawn")
    start: Barrier = context.Barrier(count * THREADS)
    return ProcessPoolExecutor(count, context, initializer=_set_up, initargs=(start,))


def _set_up(start: Barrier) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "inventory_project.settings"
    django.setup()
    run("keep_barrier", start)


def run(name: str, *arguments: Any) -> Any:
    """Call this function of benchmarks.list_views: it imports models, which wait for `_set_up`."""
    return import_string(f"benchmarks.list_views.{name}")(*arguments)


def storm(pool: ProcessPoolExecutor, key: str, path: str, processes: int) -> int:
    """A new version, and all callers at once; how many of them asked the database for the rows."""
    pool.submit(run, "change_a_product").result()
    parts = [pool.submit(run, "ask_at_once", key, path, THREADS) for _ in range(processes)]
    return sum(part.result() for part in parts)


def summarise(rounds: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """The lower one of both lists; a ratio is the median of those of each round."""

    def ratio(name: str, one: str, other: str) -> float:
        return statistics.median(found[one] / found[other] for found in rounds[name])

    def lowest(one: str, other: str) -> float:
        return round(min(ratio(name, one, other) for name in rounds), 3)

    rates = {
        name: {
            kind: round(statistics.median(found[kind] for found in founds)) for kind in founds[0]
        }
        for name, founds in rounds.items()
    }
    return {
        "cached_vs_constant": lowest("cached", "constant"),
        "uncached_vs_values": lowest("uncached", "values"),
        "not_modified_vs_constant": lowest("not_modified", "constant"),
        "requests_per_s": rates,
    }


def write_table(findings: dict[str, Any]) -> str:
    """The same for a person."""
    return "\n".join(f"{name:<30} {value}" for name, value in findings.items())


if __name__ == "__main__":
    sys.exit(main())
