"""python -m benchmarks.month: how fast a running product takes a month of a real chain."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg

from examples.iowa.__main__ import read_count, read_month_name
from examples.iowa.month import Month
from script.server_binaries import CHECKOUT

SAMPLE_SECONDS = 1.0
Peaks = dict[str, float]  # megabytes in memory by process
PROC = Path("/proc")
KB_A_MB = 2**10


class CannotMeasureError(Exception):
    """The benchmark ends here; the text is one sentence for a person."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns 0 when there are numbers, 2 when there are none."""
    parser = ArgumentParser(prog="python -m benchmarks.month", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder, see examples/iowa/README.md")
    add("--month", type=read_month_name, default="2022-10", help="is sent in batches")
    add("--server", type=Path, default=Path(".local/server.json"), help="of script/server")
    add("--rate", type=read_count, default=200, help="single sales a second, of the month before")
    add("--rate-lines", type=read_count, default=6000, help="how many single sales")
    add("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args(arguments)
    try:
        findings, peaks_mb = measure(options)
    except (CannotMeasureError, KeyboardInterrupt) as error:
        print(f"benchmarks.month: {str(error) or 'Stopped; no numbers.'}", file=sys.stderr)
        return 2
    print(json.dumps(findings) if options.json else write_table(findings, peaks_mb.get("sweep")))
    return 0


def measure(options: Namespace) -> tuple[dict[str, Any], Peaks]:
    """Send both months; returns what --json prints and the peaks. Raises CannotMeasureError."""
    engine, database = read_database(read_server(options.server)["database"])
    month: Month = options.month
    before = Month.parse(f"{month.first - timedelta(days=1):%Y-%m}")
    for name in (month.name, before.name):  # now, not after minutes of sending the other one
        if not any(options.data.glob(f"sales_{name}.csv*")):
            raise CannotMeasureError(f"There is no sales_{name}.csv.gz in {options.data}.")
    peaks_mb: Peaks = {}
    batches = send(options, month, peaks_mb, "--batch", "500")
    single = ("--rate", str(options.rate), "--limit-lines", str(options.rate_lines))
    singles = send(options, before, peaks_mb, *single)
    versions = {name: version(name) for name in ("django", "granian", "celery")}
    return {
        "events_per_s": batches["events_per_s"],
        "single_per_s": singles["events_per_s"],
        "lag_p99_ms": singles["applied_lag_p99_ms"],
        "worker_mb_max": peaks_mb.get("worker"),
        "web_mb_max": peaks_mb.get("web"),
        "engine": engine,
        "cores": os.cpu_count(),
        "versions": {"python": sys.version.split()[0], **versions, engine: database},
    }, peaks_mb


def read_server(path: Path) -> dict[str, Any]:
    """What script/server wrote for programs. Raises CannotMeasureError."""
    try:
        facts: dict[str, Any] = json.loads(path.read_text())
        needed = {name: str(facts[name]) for name in ("url", "head_office_key")}
        return needed | {"pids": dict(facts["pids"]), "database": str(facts["env"]["DATABASE_URL"])}
    except (OSError, ValueError, TypeError, KeyError) as error:
        told = f"script/server has written no {path}; start it, or name its file with --server."
        raise CannotMeasureError(told) from error


def read_database(url: str) -> tuple[str, str]:
    """The engine and its version. Raises CannotMeasureError."""
    if url.startswith("sqlite"):
        return "sqlite", sqlite3.sqlite_version
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            return "postgresql", connection.info.parameter_status("server_version") or "unknown"
    except psycopg.Error as error:
        raise CannotMeasureError("The database that server.json names does not answer.") from error


def send(options: Namespace, month: Month, peaks_mb: Peaks, *extra: str) -> dict[str, Any]:
    """Run the till client and raise the peaks; returns its report. Raises CannotMeasureError."""
    facts = read_server(options.server)
    command = [sys.executable, "-m", "examples.iowa", "--data", str(options.data.absolute())]
    command += ["--month", month.name, "--url", facts["url"], "--key", facts["head_office_key"]]
    client = subprocess.Popen([*command, *extra], cwd=CHECKOUT, stdout=subprocess.PIPE)
    try:
        while client.poll() is None:
            # Read again: script/server writes the pid of a process that it started again.
            raise_peaks(read_server(options.server)["pids"], peaks_mb)
            time.sleep(SAMPLE_SECONDS)
    finally:
        client.terminate()  # when we give up; to one that has ended it does nothing
        output = client.communicate()[0]
    if client.returncode != 0:
        raise CannotMeasureError(f"{month.name} did not go through; the client said above why.")
    report: dict[str, Any] = json.loads(output)
    if known := report["duplicate"]:  # answered, but there was nothing to apply
        raise CannotMeasureError(f"{known:,} lines of {month.name} were on the server before.")
    return report


def raise_peaks(pids: dict[str, int], peaks_mb: Peaks) -> None:
    """Look at the memory of processes and their descendants; leaves out what /proc does not show.

    A page that several processes share is shared out among them (PSS): a forked worker has most
    of its pages from its parent, and the sum over the family is what the machine has less.
    """
    children: dict[int, list[int]] = {}
    for entry in PROC.glob("[0-9]*/stat"):
        try:
            fields = entry.read_bytes().rpartition(b")")[2].split()  # a name may have spaces
        except OSError:  # it ended since it was listed
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    for name, pid in pids.items():
        if kb := _sum_memory_kb(pid, children):
            peaks_mb[name] = max(round(kb / KB_A_MB, 1), peaks_mb.get(name, 0))


def _sum_memory_kb(pid: int, children: dict[int, list[int]]) -> int:
    return _read_memory_kb(pid) + sum(
        _sum_memory_kb(one, children) for one in children.get(pid, ())
    )


def _read_memory_kb(pid: int) -> int:
    """0 for a process that has ended, and where nobody says."""
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_bytes().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(b"Pss:"))


def write_table(findings: dict[str, Any], sweep_mb: float | None) -> str:
    """The same for a person."""
    versions = ", ".join(f"{name} {of}" for name, of in findings["versions"].items())
    rows = [*(findings | {"sweep_mb_max": sweep_mb, "versions": versions}).items()]
    return "\n".join(f"{name:<14} {'not measured' if v is None else v}" for name, v in rows)


if __name__ == "__main__":
    sys.exit(main())
