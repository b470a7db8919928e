"""Run seeds of the simulation on two cores.

    python -m tests.faults.seeds --seeds 2000 [--first 0] [--processes 2]

The last line is JSON: `seeds, first, events, deaths, steps, red [[seed, findings]], seconds`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent.parent
# Runs inside Django, on a database of its own.
INSIDE = "from tests.faults.seeds_inside import main; main()"
RED_SHOWN_MAX = 20


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.faults.seeds", allow_abbrev=False)
    parser.add_argument("--seeds", type=int, default=2_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(arguments)
    told = run_seeds(options.first, options.seeds, options.processes)
    print(json.dumps(told))
    return 1 if told["red"] else 0


def run_seeds(first: int, seeds: int, processes: int, checkout: Path = CHECKOUT) -> dict[str, Any]:
    """Run seeds `first` to `first + seeds - 1` of the code in `checkout`; returns the sums."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kiryana-seeds-") as folder:
        started = [
            _start(
                Path(folder) / str(number),
                range(first + number, first + seeds, processes),
                checkout,
            )
            for number in range(processes)
        ]
        answers = [_read(process) for process in started]
    total: dict[str, Any] = {"seeds": seeds, "first": first}
    for name in ("events", "deaths", "steps"):
        total[name] = sum(answer[name] for answer in answers)
    red = sorted(finding for answer in answers for finding in answer["red"])
    total["red"] = red[:RED_SHOWN_MAX]
    total["seconds"] = round(time.monotonic() - began, 1)
    return total


def _start(folder: Path, seeds: range, checkout: Path) -> subprocess.Popen[str]:
    folder.mkdir()
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DATABASE_URL", "REDIS_URL", "SHOP")
    }
    environment |= {
        "LOCAL_DIR": str(folder),
        "LOG_LEVEL": "CRITICAL",
        "SEEDS": json.dumps([seeds.start, seeds.stop, seeds.step]),
    }
    return subprocess.Popen(
        [sys.executable, "manage.py", "shell", "--verbosity", "0", "-c", INSIDE],
        cwd=checkout, env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def _read(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"the seeds could not be run: exit code {process.returncode}")
    answer: dict[str, Any] = json.loads(out.splitlines()[-1])
    return answer


if __name__ == "__main__":
    sys.exit(main())
