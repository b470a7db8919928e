"""python -m benchmarks.growth: does it stay as fast when the ledger gets large?

Databases with ledgers of each size stand side by side, with the same levels; the same goods are
applied and the same addresses read in each of them, in turn, round by round.
"""

import sys
from collections.abc import Sequence

from benchmarks import chain
from benchmarks.apply import drain, fill_inbox
from benchmarks.findings import Findings
from benchmarks.program import run_part
from benchmarks.rig import Database, Inside, Rig, tell

PAGES = 100  # addresses of each kind
PAGE_ROWS = 10  # of history and changes: there are as many in the smallest ledger
# Pages that are full in every ledger, else a larger one would have more to write.
BUSY = """
SELECT store_id, product_id FROM stock_movement GROUP BY store_id, product_id
HAVING count(*) > {rows} ORDER BY hashint8(store_id * 100003 + product_id) LIMIT {pages}
"""


def measure(rig: Rig) -> Findings:
    """Apply and three kinds of reading, in each ledger."""
    findings = Findings("growth")
    sizes = rig.scale.growth
    databases = [rig.database(f"growth_{size}", size) for size in sizes]
    processes = rig.start_inside(*databases)
    pages = _list_pages(databases[0])
    for nth in rig.scale.each_round:
        tell(f"growth: round {nth} of {rig.scale.rounds} ...")
        sales = chain.make_sales(rig.scale.events, rig.scale.stores, rig.scale.products)
        for size, database, process in zip(sizes, databases, processes, strict=True):
            fill_inbox(database, chain.renew(sales))
            name = _name(size)
            findings.add(f"apply_{name}_per_s", len(sales) / drain([process], len(sales)))
            _read(findings, database, process, name, pages)
    findings.drop_first()
    for process in processes:
        process.stop()
    _compare(findings, _name(sizes[-1]), _name(sizes[0]))
    if rig.scale.name != "full":
        findings.notes.append(
            f"This size compares {_name(sizes[-1])} movements with {_name(sizes[0])}; the full"
            " form 30m with 1m."
        )
    return findings


def _name(size: int) -> str:
    return f"{size // 1_000_000}m" if size >= 1_000_000 else f"{size / 1000:g}k"


def _list_pages(database: Database) -> dict[str, list[str]]:
    """The addresses of each kind; which stores and products the smallest ledger decides."""
    rows = database.run(BUSY.format(rows=PAGE_ROWS, pages=PAGES))
    busy = [(chain.code_of(store), chain.sku_of(product)) for store, product in rows]
    return {
        "level": [f"/api/stock/levels/?store={code}&product={sku}" for code, sku in busy],
        "history": [
            f"/api/stock/movements/?store={code}&product={sku}&limit={PAGE_ROWS}"
            for code, sku in busy
        ],
        "changes": [
            f"/api/stock/changes/?store={code}&after=1&limit={PAGE_ROWS}" for code, _ in busy
        ],
    }


def _read(
    findings: Findings, database: Database, process: Inside, name: str,
    pages: dict[str, list[str]],
) -> None:  # fmt: skip
    key = chain.head_office_key_of(database.seller, 0)
    for kind, paths in pages.items():
        seconds = process.do("get", paths=paths, key=key)["seconds"]
        findings.add(f"{kind}_{name}_per_s", len(paths) / seconds)


def _compare(findings: Findings, large: str, small: str) -> None:
    findings.compare("growth_apply", f"apply_{large}_per_s", f"apply_{small}_per_s")
    kinds: Sequence[str] = ("level", "history", "changes")
    for kind in kinds:
        findings.compare(f"growth_read_{kind}", f"{kind}_{large}_per_s", f"{kind}_{small}_per_s")
    findings.ratios["growth_read"] = min(
        (findings.ratios[f"growth_read_{kind}"] for kind in kinds), key=lambda ratio: ratio.median
    )


if __name__ == "__main__":
    sys.exit(run_part("growth", measure))
