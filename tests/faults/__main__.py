"""`script/faults`: rounds of faults on the project's real processes, bugs to test the harness with.

    script/faults --rounds 100 --seed 1 [--json] [--engine sqlite] [--kinds kill_web,disk_full]
                  [--no-planted] [--simulate 2000]

Every round says how it ended as it ends; the last line is the sum, with --json in JSON. Exit 1 when
a round is red, a planted bug is not found or a seed of the simulation fails.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.faults.kinds import KINDS
from tests.faults.lab import CHECKOUT, laboratory
from tests.faults.planted import BUGS, Bug, make_copy, plant
from tests.faults.rounds import Result, Runner, choose_kinds, summarise
from tests.faults.seeds import run_seeds

ROUNDS_TO_FIND_IT = 6


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"seed {options.seed}", flush=True)
    results = run_rounds(options) if options.rounds else []
    told = summarise(results, options.seed)
    told["planted_bugs_found"], told["planted"] = None, {}
    if options.planted:
        told["planted"] = {bug.name: find_bug(bug, options.seed) for bug in options.planted}
        found = sum(bool(where) for where in told["planted"].values())
        told["planted_bugs_found"] = f"{found}/{len(told['planted'])}"
    if options.simulate:
        told["simulation"] = run_seeds(options.seed, options.simulate, 2)
    red = bool(told["red"]) or not all(told["planted"].values())
    red = red or bool(told.get("simulation", {}).get("red"))
    print(json.dumps(told) if options.json else tell(told))
    return 1 if red else 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="script/faults", description="Break it in every way, see that nothing is lost.",
        allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="the last line in JSON")
    parser.add_argument("--engine", choices=("postgresql", "sqlite"), default="postgresql")
    parser.add_argument("--kinds", default=",".join(KINDS), help="of: " + ", ".join(KINDS))
    parser.add_argument("--planted", default="all", help="bugs to plant, or none; default all")
    parser.add_argument("--simulate", type=int, default=2_000, metavar="SEEDS")
    options = parser.parse_args(arguments)
    wanted = options.planted.split(",")
    options.planted = [bug for bug in BUGS if wanted == ["all"] or bug.name in wanted]
    options.kinds = options.kinds.split(",")
    return options


def run_rounds(options: argparse.Namespace) -> list[Result]:
    """The rounds, each told as it ends."""
    results = []
    with laboratory(options.engine) as lab:
        runner = Runner(lab)
        kinds = choose_kinds(options.kinds, options.engine, options.rounds, options.seed)
        for number, kind in enumerate(kinds):
            results.append(runner.run(number, kind, options.seed + number))
            print(results[-1].tell(), flush=True)
    return results


def find_bug(bug: Bug, seed: int) -> str:
    """Plant a bug in a copy and run its rounds; says what found it, empty when nothing did."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kiryana-planted-") as folder:
        Path(folder).chmod(0o755)
        copy = make_copy(Path(folder))
        plant(bug, copy)
        with laboratory("postgresql", copy) as lab:
            runner = Runner(lab)
            for number in range(ROUNDS_TO_FIND_IT):
                kind = KINDS[bug.faults[number % len(bug.faults)]]
                result = runner.run(number, kind, seed + number)
                if result.is_red:
                    first = next(f"{n}: {t[0]}" for n, t in result.findings.items() if t)
                    found = f"round {number} of {kind.name}: {first}"
                    seconds = time.monotonic() - began
                    print(f"found  {bug.name} in {seconds:.0f} s, {found}", flush=True)
                    return found
    print(f"MISSED {bug.name}", flush=True)
    return ""


def tell(told: dict[str, Any]) -> str:
    """The sum for a person."""
    return (
        f"{told['rounds']} rounds, {len(told['red'])} red, {len(told['void'])} void; "
        f"{told['events']:,} events, {told['lost']} lost, {told['doubled']} doubled, "
        f"{told['drift']} drift; planted bugs {told['planted_bugs_found']}; "
        f"recovery {told['recovery_s']}; skipped: {', '.join(told['skipped']) or 'nothing'}"
    )


if __name__ == "__main__":
    assert CHECKOUT.is_dir()
    sys.exit(main())
