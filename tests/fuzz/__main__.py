"""`script/fuzz`: made-up requests, as everybody, to the project's real processes.

    script/fuzz --cases 10000 [--role device] [--seed 1] [--json]

Requests are made from the schema (schemathesis, all checks) and half of them are about things that
exist. The limits are raised for the run, so that 429 does not hide what would have been answered.
No answer may be 500, every refusal has to be a problem document, nothing of the inside or of
another store may be in an answer or a log, and afterwards the ledger has to be sound.

The last line says what became of each role, in JSON. Exit 1 when anything of that was not so.
"""

import argparse
import json
import signal
import sys
import time
from typing import Any

import schemathesis

from tests.faults.lab import Lab, laboratory
from tests.fuzz.driver import Caller, Fuzzer, read_schema
from tests.fuzz.judge import FAILURES_TOLD_MAX, Tally, find_secrets
from tests.fuzz.names import HIDDEN, MARKS, ROLES

PROGRESS_S = 5
EMPTY_S_MAX = 60


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with laboratory("postgresql", cast="tests.fuzz.cast") as lab:
        tallies = {role: fuzz(lab, role, options) for role in options.roles}
        wrong = look_behind(lab)
    for role, tally in tallies.items():
        tell_failures(role, tally)
    for sentence in wrong:
        print(f"FAILED {sentence}")
    told = {role: tally.tell() for role, tally in tallies.items()}
    print(json.dumps(told) if options.json else tell_table(told))
    return 0 if all(tally.is_clean for tally in tallies.values()) and not wrong else 1


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="script/fuzz", description="Made-up requests, as everybody.", allow_abbrev=False
    )
    parser.add_argument("--cases", type=int, default=10_000, help="for each role; default 10000")
    parser.add_argument("--role", choices=ROLES, action="append", dest="roles")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="the last line in JSON")
    options = parser.parse_args(arguments)
    options.roles = options.roles or ROLES
    return options


def fuzz(lab: Lab, role: str, options: argparse.Namespace) -> Tally:
    """So many cases as this role, told while they are sent."""
    caller = Caller(role, lab.facts["callers"][role], secrets_for(lab, role))
    progress = Progress(role, options.cases)
    fuzzer = Fuzzer(
        lab.place.url, caller, lab.facts["known"], options.cases, options.seed, progress.tell
    )
    earlier = schemathesis.openapi.from_dict(lab.facts["earlier"])
    tally = fuzzer.run(read_schema(lab.place.url), earlier)
    progress.end(tally)
    return tally


def secrets_for(lab: Lab, role: str) -> dict[str, str]:
    hidden = {f"what only {store} may see": MARKS[store] for store in HIDDEN[role]}
    return secrets_of(lab) | hidden


def secrets_of(lab: Lab) -> dict[str, str]:
    """Texts that belong into no answer and no log, by what they are."""
    assert lab.postgresql is not None and lab.valkey is not None
    found = {"the SECRET_KEY": lab.place.environment["SECRET_KEY"]}
    for server in (lab.postgresql, lab.valkey):
        found |= {
            f"the {name} of {server.name}": str(value)
            for name, value in server.facts.items()
            if name.endswith("password")
        }
    for role, headers in lab.facts["callers"].items():
        if "Authorization" in headers:
            found[f"the secret of {role}"] = headers["Authorization"].partition(".")[2]
        if "Cookie" in headers:
            found[f"the session of {role}"] = headers["Cookie"][len("sessionid=") :].split(";")[0]
    return found | {"a folder of ours": str(lab.checkout)}


def look_behind(lab: Lab) -> list[str]:
    """What is wrong after all: in the ledger, in the logs, with the processes."""
    wrong = []
    report = json.loads(lab.manage("checkledger", "--json"))
    if not report["ok"]:
        wrong.append(f"The ledger is not sound: {report['counts']}")
    secrets = secrets_of(lab)
    del secrets["a folder of ours"]  # a log is ours to read
    for name, role in lab.roles.items():
        log = lab.log_of(name)
        wrong += [f"The log of {name} holds {found}." for found in find_secrets(log, secrets)]
        wrong += [f"The log of {name} holds a traceback."] * ("Traceback" in log)
        wrong += [f"{name} ended: {role.ends}"] * bool(role.ends)
    return wrong


class Progress:
    """A line each few seconds."""

    def __init__(self, role: str, cases: int) -> None:
        self._role, self._cases = role, cases
        self._began = self._told = time.monotonic()

    def tell(self, tally: Tally) -> None:
        now = time.monotonic()
        if now - self._told < PROGRESS_S:
            return
        self._told = now
        rate = tally.cases / (now - self._began)
        print(
            f"{self._role}: {tally.cases:,} of {self._cases:,}, {rate:.0f}/s, "
            f"{len(tally.failures)} failed",
            flush=True,
        )

    def end(self, tally: Tally) -> None:
        took = time.monotonic() - self._began
        print(f"{self._role}: {tally.cases:,} in {took:.0f} s, {len(tally.failures)} failed",
              flush=True)  # fmt: skip


def tell_failures(role: str, tally: Tally) -> None:
    for failure in tally.failures[:FAILURES_TOLD_MAX]:
        print(f"FAILED {failure}")
    more = len(tally.failures) - FAILURES_TOLD_MAX
    if more > 0:
        print(f"FAILED {role}: {more} more.")


def tell_table(told: dict[str, Any]) -> str:
    lines = [f"{'role':<20} {'cases':>7} {'5xx':>4} {'no problem':>10}  by status"]
    for role, facts in told.items():
        statuses = " ".join(f"{status}:{count}" for status, count in facts["by_status"].items())
        counts = f"{facts['cases']:>7} {facts['s5xx']:>4} {facts['not_problem']:>10}"
        lines.append(f"{role:<20} {counts}  {statuses}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
