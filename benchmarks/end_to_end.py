"""python -m benchmarks.end_to_end: sales accepted and applied while both go on.

Real processes, as script/server starts them on PostgreSQL: web, Celery worker, sweep. Tills post
batches as fast as they are answered; the clock stops when the last event is in the ledger. The
peer works in the same rounds: under its own load, and its worker alone.
"""

import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

import psycopg

from benchmarks import chain, load
from benchmarks.accept import make_batches, make_mixed_batches, make_sales
from benchmarks.bound import measure_bound
from benchmarks.findings import CannotMeasureError, Findings, percentile
from benchmarks.month import Peaks, raise_peaks
from benchmarks.peer.service import Peer, PeerMissingError, get_peer
from benchmarks.program import run_part
from benchmarks.rig import Database, Product, Rig, tell
from script.serve import child_environment
from script.server_binaries import CHECKOUT

BATCH = 1_000
CONNECTIONS = 8
PEER_CONNECTIONS = 64
BATCH_EVENTS_PER_S = 30_000  # the first guess of what to make ready
PEER_SALES_PER_S = 12_000
MADE_BEYOND = 1.6
EMPTY_SECONDS_MAX = 300.0
POLL_S = 0.01
SAMPLE_SECONDS = 0.5
LAG_LOAD_SHARE = 0.5
PROBES_PER_S = 10
LAG_SECONDS_FACTOR = 4  # longer than a load, for enough probes
COUNT_WAITING = "SELECT count(*) FROM orders_saleevent WHERE status = 'pending'"
COUNT_APPLIED = "SELECT sum(last_seq) FROM stock_ledgerhead"


def measure(rig: Rig) -> Findings:
    """Product, bound and peer in turn; then the lag at half the rate, and memory."""
    findings = Findings("end to end")
    database = rig.database()
    peer = _find_peer(rig, findings)
    product = rig.start_product(database, "worker", "sweep", "web")
    watch = _Watch(product)
    port, server = peer.start_server() if peer else (0, None)
    for nth in rig.scale.each_round:
        tell(f"end to end: round {nth} of {rig.scale.rounds} ...")
        _measure_ours(rig, database, product, findings)
        if nth == rig.scale.each_round[0]:
            watch.begin()
        _measure_mixed(rig, database, product, findings)
        if peer is not None:
            _measure_peer(rig, peer, port, findings)
    findings.drop_first()
    _compare(findings, peer is not None)
    if peer is not None and server is not None:
        peer.stop(server)
    _measure_lag(rig, database, product, findings)
    findings.figures |= watch.end()
    _measure_inbox(database, findings)
    product.stop()
    return findings


def _find_peer(rig: Rig, findings: Findings) -> Peer | None:
    try:
        return get_peer(rig)
    except PeerMissingError as error:
        for name in ("end_to_end_vs_peer_drain", "end_to_end_vs_peer_under_load"):
            findings.not_measured[name] = str(error)
        return None


def _measure_ours(rig: Rig, database: Database, product: Product, findings: Findings) -> None:
    """Batches of one store each, as tills catch up; then the bound of just such rows."""
    count = _count(findings, "tills", rig.scale.seconds)
    requests, batches = make_batches(rig, database, count, BATCH)
    _send_and_wait(rig, database, product, findings, "tills", requests)
    events = max(1, rig.scale.events // BATCH)
    sold = [sale for batch in batches[:events] for sale in chain.renew(batch)]
    found = measure_bound(database, sold)
    findings.add("bound_whole_per_s", found.whole_per_second)


def _measure_mixed(rig: Rig, database: Database, product: Product, findings: Findings) -> None:
    """Batches of head office, each over all stores."""
    count = _count(findings, "head_office", rig.scale.seconds)
    requests, _ = make_mixed_batches(rig, database, count, BATCH)
    _send_and_wait(rig, database, product, findings, "head_office", requests)
    sold = make_sales(rig.scale, rig.scale.events)
    findings.add("bound_whole_of_all_stores_per_s", measure_bound(database, sold).whole_per_second)


def _count(findings: Findings, name: str, seconds: float) -> int:
    known = findings.series.get(f"{name}_accepted_per_s")
    return int(seconds * (MADE_BEYOND * known[-1] if known else BATCH_EVENTS_PER_S))


def _send_and_wait(
    rig: Rig, database: Database, product: Product, findings: Findings, name: str,
    requests: Sequence[bytes],
) -> None:  # fmt: skip
    with psycopg.connect(database.app_url, autocommit=True) as connection:
        before = _ask(connection, COUNT_APPLIED)
        began = time.perf_counter()
        loaded = load.send(
            product.port, requests, connections=CONNECTIONS, seconds=rig.scale.seconds
        )
        backlog = _ask(connection, COUNT_WAITING)
        _wait_until_empty(connection)
        seconds = time.perf_counter() - began
        events = loaded.requests * BATCH
        if _ask(connection, COUNT_APPLIED) - before != events:
            raise CannotMeasureError("What was accepted is not what was applied.")
    findings.add(f"{name}_accepted_per_s", loaded.per_second * BATCH)
    findings.add(f"{name}_events_per_s", events / seconds)
    findings.add(f"{name}_backlog_events", backlog)
    findings.add(f"{name}_p99_ms", loaded.percentile_ms(0.99))
    findings.add(f"{name}_client_cpu_share", loaded.cpu_share)


def _wait_until_empty(connection: psycopg.Connection[tuple[int]]) -> None:
    deadline = time.monotonic() + EMPTY_SECONDS_MAX
    waits = "SELECT count(*) FROM (SELECT 1 FROM orders_saleevent WHERE status = 'pending' LIMIT 1)"
    while _ask(connection, f"{waits} AS one"):
        if time.monotonic() > deadline:
            raise CannotMeasureError("The inbox did not get empty.")
        time.sleep(POLL_S)


def _ask(connection: psycopg.Connection[tuple[int]], query: str) -> int:
    row = connection.execute(query).fetchone()  # type: ignore[call-overload]
    assert row is not None
    return int(row[0])


def _measure_peer(rig: Rig, peer: Peer, port: int, findings: Findings) -> None:
    seconds = rig.scale.seconds
    sales = make_sales(rig.scale, int(seconds * PEER_SALES_PER_S))
    under_load = peer.under_load(port, sales, PEER_CONNECTIONS, seconds)
    findings.add("peer_under_load_per_s", under_load)
    findings.add("peer_drain_per_s", peer.drain(make_sales(rig.scale, rig.scale.peer_jobs)))


def _compare(findings: Findings, with_peer: bool) -> None:
    findings.compare("end_to_end_vs_bound", "tills_events_per_s", "bound_whole_per_s")
    findings.compare(
        "end_to_end_of_all_stores_vs_bound",
        "head_office_events_per_s",
        "bound_whole_of_all_stores_per_s",
    )
    if with_peer:
        findings.compare("end_to_end_vs_peer_drain", "tills_events_per_s", "peer_drain_per_s")
        findings.compare(
            "end_to_end_vs_peer_under_load", "tills_events_per_s", "peer_under_load_per_s"
        )
    findings.notes.append(
        "The ratios are those of tills: batches of one store each. `head_office` batches go to all"
        " stores at once."
    )


# --- lag -----------------------------------------------------------------------------------------


def _measure_lag(rig: Rig, database: Database, product: Product, findings: Findings) -> None:
    """From the answer to a single sale until the ledger has it, at half of what is sustained."""
    rate = statistics.median(findings.series["tills_events_per_s"]) * LAG_LOAD_SHARE
    seconds = rig.scale.seconds * LAG_SECONDS_FACTOR
    tell(f"end to end: lag at {rate:,.0f} events/s ...")
    requests, _ = make_batches(rig, database, int(rate * seconds), BATCH)
    probe = _start_probe(rig, database, product, seconds)
    loaded = load.send(
        product.port, requests, connections=CONNECTIONS, seconds=seconds,
        per_second=rate / BATCH,
    )  # fmt: skip
    output, _ = probe.communicate(timeout=EMPTY_SECONDS_MAX)
    if probe.returncode != 0:
        raise CannotMeasureError("The probe of the lag failed; it said above why.")
    lags_ms: list[float] = json.loads(output)
    findings.figures["lag_offered_per_s"] = rate
    findings.figures["lag_accepted_per_s"] = loaded.per_second * BATCH
    findings.figures["lag_probes"] = len(lags_ms)
    findings.figures["lag_p50_ms"] = percentile(lags_ms, 0.50)
    findings.figures["lag_p99_ms"] = percentile(lags_ms, 0.99)
    with psycopg.connect(database.app_url, autocommit=True) as connection:
        _wait_until_empty(connection)


def _start_probe(
    rig: Rig, database: Database, product: Product, seconds: float
) -> subprocess.Popen[str]:
    sales = make_sales(rig.scale, max(2, int(seconds * PROBES_PER_S)))
    probes = [
        (
            sale.store_id,
            sale.event_id,
            chain.device_key_of(database.seller, sale.store_id),
            chain.write_lines([sale])[0],
        )
        for sale in sales
    ]
    command = [sys.executable, "-m", "benchmarks.lag"]
    log = rig.folder / "lag.log"
    probe = rig.start_program(command, child_environment(product.place), CHECKOUT, log)
    assert probe.stdin is not None
    told = {"url": database.app_url, "port": product.port, "per_s": PROBES_PER_S, "probes": probes}
    print(json.dumps(told), file=probe.stdin, flush=True)
    return probe


# --- memory and the inbox ------------------------------------------------------------------------


class _Watch:
    """Looks at the resident memory of the product's processes while they work."""

    def __init__(self, product: Product) -> None:
        self._pids = product.pids
        self._first: Peaks = {}
        self._peaks: Peaks = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def begin(self) -> None:
        """From here on, after everything has been used once."""
        raise_peaks(self._pids, self._first)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            raise_peaks(self._pids, self._peaks)

    def end(self) -> dict[str, float]:
        """The most that was seen, and by how much it had grown since the first look."""
        self._over.set()
        self._thread.join()
        raise_peaks(self._pids, self._peaks)
        last: Peaks = {}
        raise_peaks(self._pids, last)
        found = {f"{name}_memory_mb_max": mb for name, mb in self._peaks.items()}
        grown = {f"{name}_memory_mb_grown": last[name] - self._first[name] for name in last}
        return found | grown


def _measure_inbox(database: Database, findings: Findings) -> None:
    size = "SELECT pg_total_relation_size('orders_saleevent') / 1048576.0"
    findings.figures["inbox_after_load_mb"] = float(database.run(size)[0][0])


if __name__ == "__main__":
    sys.exit(run_part("end_to_end", measure))
