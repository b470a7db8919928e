"""python -m benchmarks.bound: what the hardware allows for the rows that one event needs.

COPY into the inbox, COPY into the ledger, bulk UPDATE of the same sorted level keys and of the
heads: each by itself, in a transaction of its own, one after another on one connection, with all
indexes and constraints of the product's tables, batches as large as the product's.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import chain
from benchmarks.chain import Sale
from benchmarks.findings import CannotMeasureError, Findings
from benchmarks.program import run_part
from benchmarks.rig import Database, Rig
from script.server_binaries import find_postgresql

BATCH_EVENTS = 5_000  # SALES_APPLY_EVENTS_MAX
PGBENCH_CLIENTS = (1, 8)
# An inbox of its own: nobody shall apply what is measured here.
MAKE_INBOX = "CREATE TABLE IF NOT EXISTS bound_inbox (LIKE orders_saleevent INCLUDING ALL)"
MAKE_KEYS = """
CREATE TEMPORARY TABLE IF NOT EXISTS bound_key
       (batch int, store_id bigint, product_id bigint, quantity bigint, seq bigint);
CREATE TEMPORARY TABLE IF NOT EXISTS bound_head (batch int, store_id bigint, seq bigint);
TRUNCATE bound_key, bound_head
"""
UPDATE_LEVELS = """
UPDATE stock_level AS level
   SET quantity = level.quantity + key.quantity, updated_seq = key.seq
  FROM (SELECT * FROM bound_key WHERE batch = %s ORDER BY store_id, product_id) AS key
 WHERE level.store_id = key.store_id AND level.product_id = key.product_id
"""
UPDATE_HEADS = """
UPDATE stock_ledgerhead AS head
   SET last_seq = key.seq
  FROM (SELECT * FROM bound_head WHERE batch = %s ORDER BY store_id) AS key
 WHERE head.store_id = key.store_id
"""


@dataclass
class Bound:
    """Seconds that each kind of row took for these events."""

    events: int = 0
    inbox_s: float = 0.0
    ledger_s: float = 0.0
    levels_s: float = 0.0
    heads_s: float = 0.0
    keys: int = 0

    @property
    def apply_per_second(self) -> float:
        """Ledger, levels and heads."""
        return self.events / (self.ledger_s + self.levels_s + self.heads_s)

    @property
    def whole_per_second(self) -> float:
        """All of it: what an event costs from the till to the level."""
        return self.events / (self.inbox_s + self.ledger_s + self.levels_s + self.heads_s)


def measure_bound(database: Database, sales: Sequence[Sale], batch: int = BATCH_EVENTS) -> Bound:
    """Write the rows of these sales the fastest way there is. The books are right afterwards.

    Sorted by store as the product's batches are; everything is made ready before it is timed.
    """
    ordered = sorted(sales, key=lambda sale: sale.store_id)
    parts = [ordered[at : at + batch] for at in range(0, len(ordered), batch)]
    found = Bound(len(ordered))
    with psycopg.connect(database.superuser_url, autocommit=True) as connection:
        connection.execute(MAKE_INBOX)
        heads, levels = _read_books(connection, ordered)
        ready = [_make_ready(part, heads, levels) for part in parts]
        found.keys = _load_keys(connection, ready)
        for number, part in enumerate(ready):
            found.inbox_s += _time_copy(
                connection, chain.COPY_INBOX.format(table="bound_inbox"), part.inbox
            )
            found.ledger_s += _time_copy(connection, chain.COPY_LEDGER, part.ledger)
            found.levels_s += _time_update(connection, UPDATE_LEVELS, number)
            found.heads_s += _time_update(connection, UPDATE_HEADS, number)
        connection.execute("TRUNCATE bound_inbox")
    return found


@dataclass
class _Ready:
    inbox: bytes
    ledger: bytes
    keys: dict[tuple[int, int], tuple[int, int]]  # what a level moves by, and its last seq
    heads: dict[int, int]


def _read_books(
    connection: psycopg.Connection[Any], sales: Sequence[Sale]
) -> tuple[dict[int, int], dict[tuple[int, int], int]]:
    heads = dict(connection.execute("SELECT store_id, last_seq FROM stock_ledgerhead").fetchall())
    keys = {(sale.store_id, sale.product_id) for sale in sales}
    rows = connection.execute(
        "SELECT store_id, product_id, quantity FROM stock_level"
        " WHERE (store_id, product_id) IN (SELECT * FROM unnest(%s::bigint[], %s::bigint[]))",
        [[store for store, _ in keys], [product for _, product in keys]],
    )
    return heads, {(store, product): quantity for store, product, quantity in rows}


def _make_ready(
    sales: Sequence[Sale], heads: dict[int, int], levels: dict[tuple[int, int], int]
) -> _Ready:
    before, seqs = dict(heads), {}
    moved: dict[tuple[int, int], int] = {}
    seq = dict(heads)
    for store_id, product_id, _ in sales:
        seq[store_id] += 1
        key = store_id, product_id
        moved[key] = moved.get(key, 0) - chain.UNIT_THOUSANDTHS
        seqs[key] = seq[store_id]
    inbox, ledger = chain.write_inbox(sales), chain.write_ledger(sales, heads, levels)
    keys = {key: (moved[key], seqs[key]) for key in sorted(moved)}
    return _Ready(inbox, ledger, keys, {s: at for s, at in heads.items() if at != before[s]})


def _load_keys(connection: psycopg.Connection[Any], ready: Sequence[_Ready]) -> int:
    connection.execute(MAKE_KEYS)
    keys = [
        f"{number}\t{store}\t{product}\t{quantity}\t{seq}\n"
        for number, part in enumerate(ready)
        for (store, product), (quantity, seq) in part.keys.items()
    ]
    chain.copy_in(connection, "COPY bound_key FROM STDIN", "".join(keys).encode())
    heads = [
        f"{number}\t{store}\t{seq}\n"
        for number, part in enumerate(ready)
        for store, seq in sorted(part.heads.items())
    ]
    chain.copy_in(connection, "COPY bound_head FROM STDIN", "".join(heads).encode())
    connection.execute("ANALYZE bound_key, bound_head")
    return len(keys)


def _time_copy(connection: psycopg.Connection[Any], statement: str, rows: bytes) -> float:
    began = time.perf_counter()
    chain.copy_in(connection, statement, rows)
    return time.perf_counter() - began


def _time_update(connection: psycopg.Connection[Any], statement: str, batch: int) -> float:
    began = time.perf_counter()
    connection.execute(statement, [batch])  # type: ignore[call-overload]
    return time.perf_counter() - began


# --- the part -----------------------------------------------------------------------------------


def measure(rig: Rig) -> Findings:
    """The bound of events spread over the chain, and TPC-B of pgbench at the same settings."""
    findings = Findings("bound")
    database = rig.database()
    scale = rig.scale
    for _ in scale.each_round:
        found = measure_bound(
            database, chain.make_sales(scale.events, scale.stores, scale.products)
        )
        findings.add("copy_inbox_per_s", found.events / found.inbox_s)
        findings.add("copy_ledger_per_s", found.events / found.ledger_s)
        findings.add("update_levels_keys_per_s", found.keys / found.levels_s)
        findings.add("bound_apply_per_s", found.apply_per_second)
        findings.add("bound_whole_per_s", found.whole_per_second)
    findings.drop_first()
    _measure_tpc_b(rig, findings)
    return findings


def _measure_tpc_b(rig: Rig, findings: Findings) -> None:
    programs = find_postgresql()
    if not (programs / "pgbench").exists():
        findings.not_measured["pgbench_tpc_b"] = f"there is no pgbench in {programs}"
        return
    url = rig.make_empty_database("pgbench")
    tiny = rig.scale.name == "tiny"
    length = ("-t", "20") if tiny else ("-T", str(int(rig.scale.seconds)))
    _run_pgbench(programs, url, "-i", "-q", "-s", "1" if tiny else "50")
    for clients in PGBENCH_CLIENTS:
        output = _run_pgbench(
            programs, url, "-n", "-M", "prepared", "-c", str(clients), "-j", "2", *length
        )
        line = next(line for line in output.splitlines() if line.startswith("tps = "))
        findings.figures[f"pgbench_tpc_b_{clients}_per_s"] = float(line.split()[2])


def _run_pgbench(programs: Path, url: str, *options: str) -> str:
    done = subprocess.run(
        [programs / "pgbench", *options, url], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CannotMeasureError(f"pgbench failed:\n{done.stderr.strip()[-500:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(run_part("bound", measure))
