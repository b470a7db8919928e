"""Run every test on SQLite, then on PostgreSQL with Valkey; say what was skipped and why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree  # reads what pytest wrote # nosec B405

from script.private_servers import SERVER_VARIABLES, real_servers
from script.server_binaries import CHECKOUT, PrivateServerError

WORKERS = "2"
# Right when the arguments name tests of the other database only.
NOTHING_COLLECTED_EXIT_CODE = 5


@dataclass
class Outcome:
    """What one run of pytest came to."""

    engine: str
    exit_code: int
    passed: int = 0
    failed: int = 0
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def totals(self) -> str:
        """`N passed, N failed, N skipped`."""
        return f"{self.passed} passed, {self.failed} failed, {self.skipped.total()} skipped"


def main(arguments: list[str]) -> int:
    """Run both and return the exit code: 0 when some test ran and none failed in either run."""
    outcomes = [run_pytest("SQLite", arguments, {})]
    try:
        with real_servers(None) as addresses:
            outcomes.append(run_pytest("PostgreSQL", arguments, addresses))
    except PrivateServerError as error:
        print(f"script/test: {error}", file=sys.stderr)
        outcomes.append(Outcome("PostgreSQL", exit_code=1, failed=1))
    return report(outcomes)


def run_pytest(engine: str, arguments: list[str], addresses: dict[str, str]) -> Outcome:
    """Run pytest with these addresses in its environment (none: SQLite) and count its results."""
    print(f"== Tests on {engine}", flush=True)
    inherited = {name: value for name, value in os.environ.items() if name not in SERVER_VARIABLES}
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.xml"
        command = [sys.executable, "-m", "pytest", "-rs", f"--junitxml={results}"]
        command += parallel(arguments)
        process = subprocess.Popen(command, cwd=CHECKOUT, env=inherited | addresses)
        wait_through_signals(process)
        return count(Outcome(engine, process.returncode), results)


def wait_through_signals(process: subprocess.Popen[bytes]) -> None:
    """Wait for pytest to tidy up even when we are asked to stop, then raise KeyboardInterrupt."""
    asked = []

    def take(number: int, _: object) -> None:
        asked.append(number)
        if number == signal.SIGTERM:  # Ctrl-C has reached pytest already, a SIGTERM has not
            process.send_signal(signal.SIGINT)

    earlier = {number: signal.signal(number, take) for number in (signal.SIGINT, signal.SIGTERM)}
    process.wait()
    for number, handler in earlier.items():
        signal.signal(number, handler)
    if asked:
        raise KeyboardInterrupt


def parallel(arguments: list[str]) -> list[str]:
    """Return the arguments with both cores in use, unless they already say how many."""
    if any(argument.startswith(("-n", "--numprocesses", "--pdb")) for argument in arguments):
        return arguments
    # A file stays on one core, so that a server it starts is started once.
    return ["-n", WORKERS, "--dist", "loadfile", *arguments]


def count(outcome: Outcome, results: Path) -> Outcome:
    """Fill in the numbers from pytest's own result file."""
    if not results.exists():
        outcome.failed += 1
        return outcome
    for case in ElementTree.parse(results).iter("testcase"):  # noqa: S314 - ours # nosec B314
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            outcome.failed += 1
        elif skip is not None:
            outcome.skipped[f"{skip.get('message') or skip.get('type')}"] += 1
        else:
            outcome.passed += 1
    return outcome


def report(outcomes: list[Outcome]) -> int:
    """Print what was skipped and why, then the totals; return the exit code."""
    print("\n== Skipped")
    for outcome in outcomes:
        for reason, times in sorted(outcome.skipped.items()):
            print(f"{outcome.engine}: {times} x {reason}")
        if not outcome.skipped:
            print(f"{outcome.engine}: nothing")
    print("\n== Totals")
    for outcome in outcomes:
        print(f"{outcome.engine}: {outcome.totals}")
    total = Outcome("both", exit_code=0)
    for outcome in outcomes:
        total.passed += outcome.passed
        total.failed += outcome.failed
        total.skipped += outcome.skipped
    print(total.totals)
    codes = [outcome.exit_code for outcome in outcomes]
    good = (
        all(code in (0, NOTHING_COLLECTED_EXIT_CODE) for code in codes)
        and 0 in codes
        and not total.failed
    )
    return 0 if good else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("script/test: stopped.")
