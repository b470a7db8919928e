"""python -m benchmarks.soak: what an hour of sales leaves behind.

Web, Celery worker and sweep on PostgreSQL; single sales at an even rate, and three times a minute
a look at the memory of the processes, the inbox, and how the levels were updated. Whatever grows,
leaks or bloats shows as a difference between the first minute and the last.
"""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks import chain, load
from benchmarks.accept import make_sales
from benchmarks.apply import LEVEL_UPDATES
from benchmarks.findings import CannotMeasureError
from benchmarks.month import Peaks, raise_peaks
from benchmarks.rig import QUICK, Database, Product, Rig, tell
from script.serve import SetUpError
from script.server_binaries import PrivateServerError

MINUTES = 60
SALES_PER_S = 300
CONNECTIONS = 16
# The web server closes a connection that says nothing for 30 s, and the last of ours may.
LOOKS_A_MINUTE = 3
SALES_MADE_AT_ONCE = 1_000
SIZES = """
SELECT pg_total_relation_size('orders_saleevent') / 1048576.0,
       pg_total_relation_size('stock_level') / 1048576.0,
       (SELECT count(*) FROM orders_saleevent WHERE status = 'pending')
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Sell for so long; returns 0 when there are numbers, 2 when there are none."""
    options = _parse(arguments)
    try:
        with Rig(QUICK, with_peer=False) as rig:
            found = _sell(rig, rig.database(), options)
            movements = rig.check_books(rig.database())
    except (CannotMeasureError, PrivateServerError, SetUpError, KeyboardInterrupt) as error:
        print(f"benchmarks.soak: {str(error) or 'Stopped; no numbers.'}", file=sys.stderr)
        return 2
    tell(f"All books are right: {movements:,} movements.")
    for name, value in found.items():
        print(f"{name:<28} {value:>12,.1f}")
    if options.json:
        print(json.dumps(found))
    return 0


def _parse(arguments: Sequence[str] | None) -> Namespace:
    parser = ArgumentParser(prog="python -m benchmarks.soak", allow_abbrev=False)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="how long (%(default)s)")
    parser.add_argument(
        "--rate", type=int, default=SALES_PER_S, help="sales a second (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    options = parser.parse_args(arguments)
    if options.minutes <= 0 or options.rate < 1:
        parser.error("--minutes is more than 0, and --rate at least 1.")
    return options


def _sell(rig: Rig, database: Database, options: Namespace) -> dict[str, float]:
    product = rig.start_product(database, "worker", "sweep", "web")
    requests = chain.write_singles(database.seller, _make_sales_for_ever(rig))
    updates = _ask(database, LEVEL_UPDATES)
    looks: list[dict[str, float]] = []
    count = max(LOOKS_A_MINUTE, round(options.minutes * LOOKS_A_MINUTE))
    for number in range(1, count + 1):
        loaded = load.send(
            product.port, requests, connections=CONNECTIONS, seconds=60 * options.minutes / count,
            per_second=options.rate,
        )  # fmt: skip
        looks.append(_look(database, product, loaded))
        if number % LOOKS_A_MINUTE == 0:
            tell(f"minute {number // LOOKS_A_MINUTE}: {json.dumps(looks[-1])}")
    changed, in_place = (
        after - before for before, after in zip(updates, _ask(database, LEVEL_UPDATES), strict=True)
    )
    return _sum_up(looks) | {"levels_hot_updates_percent": 100 * in_place / max(changed, 1)}


def _make_sales_for_ever(rig: Rig) -> Iterator[chain.Sale]:
    while True:
        yield from make_sales(rig.scale, SALES_MADE_AT_ONCE)


def _look(database: Database, product: Product, loaded: load.Loaded) -> dict[str, float]:
    memory: Peaks = {}
    raise_peaks(product.pids, memory)
    inbox_mb, levels_mb, waiting = _ask(database, SIZES)
    return {
        "sales_per_s": round(loaded.per_second, 1), "p99_ms": round(loaded.percentile_ms(0.99), 1),
        "waiting": waiting, "inbox_mb": round(inbox_mb, 1), "levels_mb": round(levels_mb, 1),
    } | {f"{name}_mb": mb for name, mb in memory.items()}  # fmt: skip


def _sum_up(looks: list[dict[str, float]]) -> dict[str, float]:
    """After one minute, at the end, and the highest of all."""
    return {
        f"{name}_{which}": value
        for name in looks[0]
        for which, value in (
            ("first", looks[LOOKS_A_MINUTE - 1][name]), ("last", looks[-1][name]),
            ("max", max(look[name] for look in looks)),
        )
    }  # fmt: skip


def _ask(database: Database, query: str) -> list[Any]:
    return [float(value) for value in database.run(query)[0]]


if __name__ == "__main__":
    sys.exit(main())
