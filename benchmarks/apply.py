"""python -m benchmarks.apply: draining a full inbox, by workers that do what the product's do.

The inbox is filled by COPY with rows as accepting leaves them; then `orders.draining.drain` runs
in one, two or four processes until nothing waits. Each round measures every case and the bound.
"""

import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from benchmarks import chain
from benchmarks.bound import measure_bound
from benchmarks.chain import UNIFORM, ZIPF, ZIPF_HOT, Sale
from benchmarks.findings import CannotMeasureError, Findings, Ratio
from benchmarks.program import run_part
from benchmarks.rig import Database, Inside, Rig, tell

FILL_BATCH_EVENTS = 1_000
LEVEL_UPDATES = """
SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'stock_level'
"""


@dataclass(frozen=True)
class Case:
    """One way to fill an inbox and to drain it."""

    name: str
    workers: int = 1
    zipf: float = ZIPF
    replays: float = 0.0  # share of events that the ledger has already


USUAL = Case("usual")
CASES = (
    USUAL,
    Case("uniform_products", zipf=UNIFORM),
    Case("hot_products", zipf=ZIPF_HOT),
    Case("replays_5", replays=0.05),
    Case("replays_50", replays=0.5),
    Case("workers_2", workers=2),
    Case("workers_4", workers=4),
    Case("workers_4_hot_products", workers=4, zipf=ZIPF_HOT),
)


def measure(rig: Rig) -> Findings:
    """All cases round by round, then bare statements and an old snapshot, likewise in turn."""
    findings = Findings("apply")
    database = rig.database()
    workers = rig.start_inside(*[database] * rig.scale.workers)
    for nth in rig.scale.each_round:
        tell(f"apply: round {nth} of {rig.scale.rounds} ...")
        for case in CASES:
            findings.add(f"{case.name}_events_per_s", _measure_case(rig, database, workers, case))
        bound = measure_bound(database, _make(rig, USUAL))
        findings.add("bound_apply_per_s", bound.apply_per_second)
        _check_deadlocks(findings, database)
    findings.drop_first()
    findings.compare("apply_vs_bound", "usual_events_per_s", "bound_apply_per_s")
    findings.compare("replays_vs_none", "replays_50_events_per_s", "usual_events_per_s")
    hot_before = _read_updates(database, workers)
    _measure_bare_sql(rig, database, workers[0], findings)
    updates, hot = (
        after - before
        for before, after in zip(hot_before, _read_updates(database, workers), strict=True)
    )
    findings.figures["levels_hot_updates_percent"] = 100 * hot / max(updates, 1)
    _measure_old_snapshot(rig, database, workers[0], findings)
    _measure_inbox_size(database, findings)
    findings.plans |= _explain(rig, database, workers[0])
    for worker in workers:
        worker.stop()
    return findings


def fill_inbox(database: Database, sales: Sequence[Sale]) -> None:
    """Lay the sales into the inbox, in batches as tills send them."""
    statement = chain.COPY_INBOX.format(table="orders_saleevent")
    with psycopg.connect(database.superuser_url, autocommit=True) as connection:
        for at in range(0, len(sales), FILL_BATCH_EVENTS):
            rows = chain.write_inbox(sales[at : at + FILL_BATCH_EVENTS])
            chain.copy_in(connection, statement, rows)


def drain(workers: Sequence[Inside], expected: int, command: str = "drain") -> float:
    """Let the workers empty the inbox together; returns seconds. Raises CannotMeasureError."""
    began = time.perf_counter()
    for worker in workers:
        worker.ask(command)
    taken = sum(worker.answer()["taken"] for worker in workers)
    seconds = time.perf_counter() - began
    if taken != expected:
        raise CannotMeasureError(f"{taken:,} of {expected:,} events were taken from the inbox.")
    return seconds


def _make(rig: Rig, case: Case) -> list[Sale]:
    return chain.make_sales(rig.scale.events, rig.scale.stores, rig.scale.products, zipf=case.zipf)


def _measure_case(rig: Rig, database: Database, workers: Sequence[Inside], case: Case) -> float:
    sales = _make(rig, case)
    known = sales[: int(len(sales) * case.replays)]
    if known:  # they were sold before, and come again among the others
        fill_inbox(database, known)
        drain(workers[:1], len(known))
        sales = _shuffle(sales, known)
    before = _count_movements(database)
    fill_inbox(database, sales)
    seconds = drain(workers[: case.workers], len(sales))
    if _count_movements(database) - before != len(sales) - len(known):
        raise CannotMeasureError(f"{case.name}: the ledger did not grow by what was sold.")
    return len(sales) / seconds


def _shuffle(sales: Sequence[Sale], known: Sequence[Sale]) -> list[Sale]:
    """The known ones spread evenly over the others."""
    rest = sales[len(known) :]
    both = [*((n / len(known), sale) for n, sale in enumerate(known)),
            *((n / len(rest), sale) for n, sale in enumerate(rest))]  # fmt: skip
    return [sale for _, sale in sorted(both)]


def _measure_bare_sql(rig: Rig, database: Database, worker: Inside, findings: Findings) -> None:
    """The same goods in the same stores, so that the same claims and lanes are right again."""
    sales = _make(rig, USUAL)
    fill_inbox(database, sales)
    drain([worker], len(sales), "capture")
    ours, bare = [], []
    for _ in range(rig.scale.rounds):
        fill_inbox(database, chain.renew(sales))
        ours.append(len(sales) / drain([worker], len(sales)))
        fill_inbox(database, chain.renew(sales))
        before = _count_movements(database)
        bare.append(len(sales) / worker.do("replay")["seconds"])
        if _count_movements(database) - before != len(sales):
            raise CannotMeasureError("The bare statements did not apply the same inbox.")
    findings.ratios["apply_code_vs_bare_sql"] = Ratio.of(ours, bare)
    findings.figures["bare_sql_events_per_s"] = statistics.median(bare)


def _measure_old_snapshot(rig: Rig, database: Database, worker: Inside, findings: Findings) -> None:
    """A report that looks at the database as it was; what is deleted stays until it ends."""
    without, beside = [], []
    for _ in range(rig.scale.rounds):
        without.append(_measure_case(rig, database, [worker], USUAL))
    with psycopg.connect(database.superuser_url) as report:
        report.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        report.execute("SELECT count(*) FROM orders_saleevent")
        for _ in range(rig.scale.rounds):
            beside.append(_measure_case(rig, database, [worker], USUAL))
    ratio = Ratio.of(beside, without)
    findings.figures["old_snapshot_vs_none"] = ratio.median
    findings.figures["old_snapshot_last_round_vs_none"] = beside[-1] / statistics.median(without)


def _measure_inbox_size(database: Database, findings: Findings) -> None:
    size = "SELECT pg_total_relation_size('orders_saleevent') / 1048576.0"
    findings.figures["inbox_after_load_mb"] = float(database.run(size)[0][0])
    database.run("VACUUM orders_saleevent", superuser=True)
    findings.figures["inbox_after_vacuum_mb"] = float(database.run(size)[0][0])


def _count_movements(database: Database) -> int:
    return int(database.run("SELECT sum(last_seq) FROM stock_ledgerhead")[0][0])


def _read_updates(database: Database, workers: Sequence[Inside]) -> tuple[int, int]:
    """Updates of levels so far, and those in place."""
    for worker in workers:
        worker.do("wake")
    (row,) = database.run(LEVEL_UPDATES)
    return int(row[0]), int(row[1])


def _check_deadlocks(findings: Findings, database: Database) -> None:
    query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    findings.figures["deadlocks"] = float(database.run(query)[0][0])


def _explain(rig: Rig, database: Database, worker: Inside) -> dict[str, str]:
    """Plans of accepting, applying and reading: the product's own statements as it runs them."""
    scale = rig.scale
    fill_inbox(database, _make(rig, USUAL))
    batch = chain.make_sales(1_000, scale.stores, scale.products, store_id=1)
    bodies = [f'{{"events":[{",".join(chain.write_lines(batch))}]}}']
    bodies += chain.write_lines(chain.make_sales(1, scale.stores, scale.products, store_id=1))
    store, sku = chain.code_of(1), chain.sku_of(1)
    paths = [
        f"/api/stock/levels/?store={store}&product={sku}",
        f"/api/stock/movements/?store={store}&product={sku}",
        f"/api/stock/changes/?store={store}&after=10",
    ]
    plans: dict[str, str] = worker.do(
        "explain",
        paths=paths,
        posts=bodies,
        key=chain.head_office_key_of(database.seller, 0),
        device_key=chain.device_key_of(database.seller, 1),
    )
    return plans


if __name__ == "__main__":
    sys.exit(run_part("apply", measure))
