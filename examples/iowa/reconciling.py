"""Compares what the server says with the file, and what it says with itself."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from examples.iowa.api import Api
from examples.iowa.month import Month, SaleLine
from examples.iowa.progress import Progress
from examples.iowa.threads import Threads

STUCK_SECONDS_MAX = 60.0
LOOK_AGAIN_SECONDS = 0.2
EXAMPLES_KEPT = 5
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

Sums = Mapping[str, Decimal]


@dataclass
class Findings:
    """What the server holds of the month, and every (store, product) that differs."""

    net_units: Decimal = Decimal(0)
    parked: int = 0
    drift: int = 0
    examples: list[str] = field(default_factory=list)
    last_recorded_at: datetime = LONG_AGO

    def add(self, other: "Findings") -> None:
        """Count another store's findings in."""
        self.net_units += other.net_units
        self.parked += other.parked
        self.drift += other.drift
        self.examples += other.examples[: EXAMPLES_KEPT - len(self.examples)]
        self.last_recorded_at = max(self.last_recorded_at, other.last_recorded_at)

    def compare(self, store: str, what: str, left: Sums, right: Sums, between: str) -> None:
        """Note the products for which two sums differ; an absent one is 0."""
        for sku in sorted(left.keys() | right.keys()):
            ours, theirs = left.get(sku, Decimal(0)), right.get(sku, Decimal(0))
            if ours != theirs:
                self.drift += 1
                self.examples.append(
                    f"store {store}, product {sku}: {what} {ours} {between} {theirs}"
                )


def wait_until_applied(api: Api, stores: Sequence[str], *, threads: int) -> int:
    """Wait until no store has a pending event; returns how many still have when nothing moves."""
    left: dict[str, str] = dict.fromkeys(stores, "")
    moved_at = time.monotonic()
    with Threads(api, threads) as pool:
        while True:
            oldest = zip(left, pool.map(lambda store: _find_pending(api, store), left), strict=True)
            still = {store: event_id for store, event_id in oldest if event_id}
            if not still:
                return 0
            if still != left:
                left, moved_at = still, time.monotonic()
            elif time.monotonic() - moved_at > STUCK_SECONDS_MAX:
                return len(still)
            time.sleep(LOOK_AGAIN_SECONDS)


def reconcile(
    api: Api, month: Month, lines: Iterable[SaleLine], stores: Iterable[str], *, threads: int
) -> Findings:
    """Look at every store: its month against the lines, its levels against all its movements."""
    expected: dict[str, list[SaleLine]] = {store: [] for store in stores}
    for line in lines:
        expected.setdefault(line.store, []).append(line)
    total, known = Findings(), {store["code"] for store in api.pages("/api/stores/")}

    def look(store: str) -> Findings:
        find = reconcile_store if store in known else _find_nothing
        return find(api, month, store, expected[store])

    with (
        Progress("Reconciling stores", len(expected)) as progress,
        Threads(api, threads) as pool,
    ):
        for findings in pool.map(look, sorted(expected)):
            total.add(findings)
            progress.advance(1)
    return total


def reconcile_store(api: Api, month: Month, store: str, lines: Sequence[SaleLine]) -> Findings:
    """One store's findings."""
    findings = Findings(parked=_count_parked(api, store, lines))
    sold, findings.last_recorded_at = _read_month(api, month, store)
    findings.net_units = sum(sold.values(), Decimal(0))
    findings.compare(store, "the month has sold", sold, _sum_lines(lines), "but the file says")
    findings.compare(
        store, "the level is", _read_levels(api, store), _sum_changes(api, store),
        "but its movements add up to",
    )  # fmt: skip
    return findings


def _find_nothing(api: Api, month: Month, store: str, lines: Sequence[SaleLine]) -> Findings:
    """A store that the server does not know has sold nothing there."""
    findings = Findings()
    findings.compare(store, "the month has sold", {}, _sum_lines(lines), "but the file says")
    return findings


def _find_pending(api: Api, store: str) -> str:
    """The id of the store's oldest pending event, or nothing."""
    path = "/api/orders/sales/"
    answer = api.get(path, status="pending", store=store, limit=1, allowed=(200, 404))
    rows = answer.body["results"] if answer.status == 200 else []
    return str(rows[0]["event_id"]) if rows else ""


def _count_parked(api: Api, store: str, lines: Sequence[SaleLine]) -> int:
    """How many of these lines wait for a person."""
    if not lines:
        return 0
    ours = {line.event_id for line in lines}
    parked = api.pages("/api/orders/sales/", status="parked", store=store)
    return sum(event["event_id"] in ours for event in parked)


def _sum_lines(lines: Sequence[SaleLine]) -> Sums:
    bottles: Counter[str] = Counter()
    for line in lines:
        bottles[line.sku] += line.bottles
    return {sku: Decimal(count) for sku, count in bottles.items()}


def _read_month(api: Api, month: Month, store: str) -> tuple[Sums, datetime]:
    """Units sold less units returned by product, and when the last was recorded."""
    sold: dict[str, Decimal] = {}
    last = LONG_AGO
    rows = api.pages(
        "/api/stock/movements/", store=store, **{"from": month.first, "to": month.behind}
    )
    for row in rows:
        if row["kind"] in ("sale", "return"):
            sold[row["product"]] = sold.get(row["product"], Decimal(0)) - Decimal(row["quantity"])
            last = max(last, datetime.fromisoformat(row["recorded_at"]))
    return sold, last


def _read_levels(api: Api, store: str) -> Sums:
    rows = api.pages("/api/stock/levels/", store=store)
    return {row["product"]: Decimal(row["quantity"]) for row in rows}


def _sum_changes(api: Api, store: str) -> Sums:
    sums: dict[str, Decimal] = {}
    for row in api.changes(store):
        sums[row["product"]] = sums.get(row["product"], Decimal(0)) + Decimal(row["quantity"])
    return sums
