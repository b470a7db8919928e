"""Does the ledger keep its promises? Asked of the database in one snapshot, changing nothing.

A level is the sum of its movements; `seq` runs from 1 to the head's last without gaps;
`balance_after` is the running sum in the order of `seq`; a level knows the last seq that moved
it. Each check passes once over the movements and returns only what is wrong.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.transaction import TransactionManagementError

from inventory_project.fields import format_quantity
from stores.models import Store

FINDINGS_PER_CHECK_MAX = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where a promise does not hold; `product` and `seq` where one is concerned.

    A quantity is written as the API does. A store or product that is gone is `#` and its id.
    """

    check: str
    store: str
    product: str | None
    seq: int | None
    expected: int | str
    found: int | str
    difference: int | str


@dataclass(slots=True)
class CheckReport:
    """What was looked at and what is wrong; `counts` has the full number by check."""

    stores: int
    levels: int = 0
    movements: int = 0
    findings: list[Finding] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def is_sound(self) -> bool:
        return not any(self.counts.values())


@dataclass(frozen=True, slots=True)
class _Check:
    """`sql` yields store_id, product_id, seq, expected and found of what is wrong."""

    name: str
    sentence: str
    sql: str
    writes: Callable[[int], int | str]


# One pass over the movements serves both directions: a level whose sum is missing, and a sum
# whose level is.
_LEVEL = """
SELECT store_id, product_id, NULL AS seq, sum(moved) AS expected, sum(level) AS found
  FROM (SELECT store_id, product_id, sum(quantity) AS moved, 0 AS level,
               1 AS has_movements, 0 AS has_level
          FROM stock_movement {where} GROUP BY store_id, product_id
         UNION ALL
        SELECT store_id, product_id, 0, quantity, 0, 1 FROM stock_level {where}) AS both_sides
 GROUP BY store_id, product_id
HAVING sum(moved) <> sum(level) OR sum(has_level) = 0 OR sum(has_movements) = 0
"""

# The key makes every seq of a store different and at least 1, so a store without gaps has as
# many movements as its last one says.
_SEQ = """
SELECT store_id, NULL AS product_id, NULL AS seq, max(seq) AS expected, count(*) AS found
  FROM stock_movement {where}
 GROUP BY store_id
HAVING max(seq) <> count(*)
"""

_LAST_SEQ = """
SELECT store_id, NULL AS product_id, NULL AS seq, sum(top) AS expected, sum(last_seq) AS found
  FROM (SELECT store_id, last_seq, 0 AS top FROM stock_ledgerhead {where}
         UNION ALL
        SELECT store_id, 0, max(seq) FROM stock_movement {where} GROUP BY store_id) AS both_sides
 GROUP BY store_id
HAVING sum(last_seq) <> sum(top)
"""

_BALANCE_AFTER = """
SELECT store_id, product_id, seq, running AS expected, balance_after AS found
  FROM (SELECT store_id, product_id, seq, balance_after,
               sum(quantity) OVER (PARTITION BY store_id, product_id ORDER BY seq
                                   ROWS UNBOUNDED PRECEDING) AS running
          FROM stock_movement {where}) AS chain
 WHERE balance_after <> running
"""

_UPDATED_SEQ = """
SELECT level.store_id, level.product_id, last.seq, last.seq AS expected,
       level.updated_seq AS found
  FROM (SELECT * FROM stock_level {where}) AS level
  JOIN (SELECT store_id, product_id, max(seq) AS seq FROM stock_movement {where}
         GROUP BY store_id, product_id) AS last
    ON last.store_id = level.store_id AND last.product_id = level.product_id
 WHERE level.updated_seq <> last.seq
"""

_CHECKS = (
    _Check("level", "Adding up the movements", _LEVEL, format_quantity),
    _Check("seq", "Looking for gaps", _SEQ, int),
    _Check("last_seq", "Looking at the heads", _LAST_SEQ, int),
    _Check("balance_after", "Following the balances", _BALANCE_AFTER, format_quantity),
    _Check("updated_seq", "Looking at the last seq of each level", _UPDATED_SEQ, int),
)

# The number of all findings stands beside each, so that counting is no second pass.
_LIMITED = """
SELECT wrong.*, count(*) OVER () FROM ({sql}) AS wrong
 ORDER BY store_id, product_id, seq LIMIT {rows}
"""


def check_ledger(
    *,
    store: Store | None = None,
    on_progress: Callable[[str], None] | None = None,
    using: str = DEFAULT_DB_ALIAS,
) -> CheckReport:
    """Check the ledger of one store, or of all; returns the report. Writes nothing.

    `on_progress` is told what is being done, one sentence at a time. Must not be called inside a
    transaction: the snapshot is its own.
    """
    with _snapshot(using) as cursor:
        report = _count(cursor, store)
        for check in _CHECKS:
            if on_progress:
                on_progress(f"{check.sentence} ({report.movements:,} movements) ...")
            _run(cursor, check, store, report)
    return report


@contextmanager
def _snapshot(using: str) -> Iterator[Any]:
    """A cursor in one read-only transaction that sees a single moment of the database.

    `atomic()` would take the write lock on SQLite, and tills would wait for the check.
    """
    connection = connections[using]
    if connection.in_atomic_block:
        raise TransactionManagementError("The check needs a transaction of its own.")
    begin = {
        "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        "sqlite": "BEGIN DEFERRED",
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(begin)
        try:
            if connection.vendor == "postgresql":
                cursor.execute("SET LOCAL statement_timeout = 0")
            yield cursor
        finally:
            cursor.execute("ROLLBACK")


def _where(store: Store | None, store_field: str = "store_id") -> str:
    return "" if store is None else f"WHERE {store_field} = {int(store.pk)}"


def _count(cursor: Any, store: Store | None) -> CheckReport:
    report = CheckReport(stores=_ask(cursor, f"stores_store {_where(store, 'id')}"))
    report.levels = _ask(cursor, f"stock_level {_where(store)}")
    report.movements = _ask(cursor, f"stock_movement {_where(store)}")
    return report


def _ask(cursor: Any, of: str) -> int:
    cursor.execute(f"SELECT count(*) FROM {of}")
    return int(cursor.fetchone()[0])


def _run(cursor: Any, check: _Check, store: Store | None, report: CheckReport) -> None:
    sql = check.sql.format(where=_where(store))
    cursor.execute(_LIMITED.format(sql=sql, rows=FINDINGS_PER_CHECK_MAX))
    rows = cursor.fetchall()
    report.counts[check.name] = rows[0][-1] if rows else 0
    codes = _read_keys(cursor, "code", "stores_store", [row[0] for row in rows])
    skus = _read_keys(cursor, "sku", "catalog_product", [row[1] for row in rows])
    for store_id, product_id, seq, expected, found, _ in rows:
        report.findings.append(
            Finding(
                check=check.name,
                store=codes.get(store_id, f"#{store_id}"),
                product=skus.get(product_id, f"#{product_id}") if product_id else None,
                seq=seq,
                expected=check.writes(int(expected)),
                found=check.writes(int(found)),
                difference=check.writes(int(found - expected)),
            )
        )


def _read_keys(cursor: Any, column: str, table: str, ids: Sequence[int | None]) -> dict[int, str]:
    wanted = sorted({number for number in ids if number is not None})
    if not wanted:
        return {}
    marks = ", ".join(["%s"] * len(wanted))
    cursor.execute(f"SELECT id, {column} FROM {table} WHERE id IN ({marks})", wanted)
    return dict(cursor.fetchall())
