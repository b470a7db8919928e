"""The one JSON line at the end, and the sentences that say what does not reconcile."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal

from examples.iowa.following import Follower
from examples.iowa.month import SaleLine
from examples.iowa.reconciling import Findings
from examples.iowa.sending import Tally


@dataclass(frozen=True)
class Report:
    """The keys of the JSON line, in its order. Times are null when nothing was measured."""

    lines: int
    accepted: int
    duplicate: int
    conflict: int
    rejected: int
    parked: int
    net_units: int | str
    expected_net_units: int
    stores: int
    drift: int
    seconds: float
    events_per_s: float
    accept_p50_ms: float | None
    accept_p99_ms: float | None
    applied_lag_p99_ms: float | None

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))


def make_report(
    lines: Sequence[SaleLine],
    tally: Tally,
    follower: Follower,
    findings: Findings,
    applied_at: float,
) -> Report:
    """Put the run into numbers; `applied_at` is when the last event was in the ledger."""
    seconds = max(applied_at - tally.started_at, 0.001)
    taken = tally.outcomes["accepted"] + tally.outcomes["duplicate"]
    return Report(
        lines=len(lines),
        accepted=tally.outcomes["accepted"],
        duplicate=tally.outcomes["duplicate"],
        conflict=tally.outcomes["conflict"],
        rejected=tally.outcomes["rejected"],
        parked=findings.parked,
        net_units=_write_units(findings.net_units),
        expected_net_units=sum(line.bottles for line in lines),
        stores=len({line.store for line in lines}),
        drift=findings.drift,
        seconds=round(seconds, 3),
        events_per_s=round(taken / seconds, 1),
        accept_p50_ms=percentile(tally.answer_ms, 50),
        accept_p99_ms=percentile(tally.answer_ms, 99),
        applied_lag_p99_ms=percentile(follower.lags_ms, 99),
    )


def percentile(values: Sequence[float], percent: int) -> float | None:
    """The value that so many percent do not exceed (nearest rank), to a tenth; None of none."""
    if not values:
        return None
    rank = max(1, math.ceil(len(values) * percent / 100))
    return round(sorted(values)[rank - 1], 1)


def find_faults(
    report: Report, tally: Tally, findings: Findings, *, sent: int, stuck_stores: int
) -> list[str]:
    """A sentence for everything that does not reconcile; none when all is well."""
    faults = []
    if stuck_stores:
        faults.append(f"{stuck_stores:,} stores still have pending events; does a worker run?")
    if report.accepted + report.duplicate != sent:
        faults.append(
            f"Of {sent:,} events sent, {report.accepted:,} were accepted and "
            f"{report.duplicate:,} known already, {report.conflict:,} in conflict, "
            f"{report.rejected:,} rejected: {'; '.join(tally.refusals)}"
        )
    if report.parked:
        faults.append(f"{report.parked:,} events are parked.")
    if report.net_units != report.expected_net_units:
        faults.append(
            f"The server's month has {report.net_units} units, "
            f"the file {report.expected_net_units}."
        )
    if report.drift:
        faults.append(
            f"{report.drift:,} sums differ, such as these: {'; '.join(findings.examples)}."
        )
    return faults


def _write_units(units: Decimal) -> int | str:
    return int(units) if units == units.to_integral_value() else str(units)
