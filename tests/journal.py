"""Sales as the write module takes them, and what became of them, in plain values.

The checks here share no code with the product: they read every row and add up in Python.
"""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from orders import sales
from orders.judging import SaleLine
from orders.models import SaleEvent
from stock import ledger
from stock.models import LedgerHead, Level, Movement
from stores.models import Store, StoreKey
from stores.principals import Principal

MORNING = datetime(2026, 3, 2, 7, tzinfo=UTC)
THOUSANDTHS = 1000
HEAD_OFFICE = Principal(key=StoreKey())


def line(sku: str = "TEA", units: float = 1, **fields: Any) -> SaleLine:
    """A sale of so many units."""
    values = {
        "event_id": uuid.uuid4(),
        "kind": "sale",
        "sku": "" if "barcode" in fields else sku,
        "quantity": round(units * THOUSANDTHS),
        "occurred_at": MORNING,
    }
    return SaleLine(**(values | fields))


def accept(store: Store, *lines: SaleLine) -> list[str]:
    """Send lines as a device of this store; returns what the till is told."""
    outcomes = sales.accept(principal=Principal(store=store), lines=lines)
    return [outcome.status for outcome in outcomes]


def by_hand(store: Store, *lines: ledger.Line) -> list[str]:
    recorded = ledger.move_by_hand(store=store, lines=lines, actor_id=None, device_id=None)
    return [one.status for one in recorded]


def hand_line(
    kind: str = "receipt", sku: str = "TEA", units: float = 10, **fields: Any
) -> ledger.Line:
    values = {
        "event_id": uuid.uuid4(),
        "kind": kind,
        "sku": "" if "barcode" in fields else sku,
        "quantity": round(units * THOUSANDTHS),
        "occurred_at": MORNING,
    }
    return ledger.Line(**(values | fields))


def history(store: Store) -> list[tuple[Any, ...]]:
    """(seq, kind, SKU, signed units, balance after), in the order of truth."""
    rows = Movement.objects.for_store(store).order_by("seq").select_related("product")
    return [(m.seq, m.kind, m.product.sku, m.quantity, m.balance_after) for m in rows]


def levels(store: Store) -> dict[str, Any]:
    rows = Level.objects.for_store(store).select_related("product")
    return {level.product.sku: level.quantity for level in rows}


def waiting(store: Store) -> dict[uuid.UUID, tuple[str, str]]:
    """The status and reason of each event in the inbox."""
    rows = SaleEvent.objects.for_store(store)
    return {row.event_id: (row.status, row.park_reason) for row in rows}


def incoherences(stores: Sequence[Store] = ()) -> list[str]:
    """Everything that breaks: balance = sum of movements, `seq` without gaps, the chain.

    In these stores, or in all.
    """
    scope = {"store__in": stores} if stores else {}
    found = []
    seqs: dict[int, int] = defaultdict(int)
    sums: dict[tuple[int, int], Any] = defaultdict(int)
    last: dict[tuple[int, int], int] = {}
    rows = Movement.objects.filter(**scope).order_by("store_id", "seq")
    for store, seq, product, quantity, after in rows.values_list(
        "store_id", "seq", "product_id", "quantity", "balance_after"
    ):
        seqs[store] += 1
        sums[store, product] += quantity
        last[store, product] = seq
        if seq != seqs[store]:
            found.append(f"store {store}: seq {seq} where {seqs[store]} is next")
        if after != sums[store, product]:
            found.append(f"store {store} seq {seq}: balance {after}, not {sums[store, product]}")
    kept = {
        (store, product): (quantity, seq)
        for store, product, quantity, seq in Level.objects.filter(**scope).values_list(
            "store_id", "product_id", "quantity", "updated_seq"
        )
    }
    expected = {key: (total, last[key]) for key, total in sums.items()}
    found += [
        f"level {key}: {kept.get(key)}, not {expected.get(key)}"
        for key in kept.keys() | expected.keys()
        if kept.get(key) != expected.get(key)
    ]
    heads = dict(LedgerHead.objects.filter(**scope).values_list("store_id", "last_seq"))
    found += [
        f"head of store {store}: {heads.get(store)}, not {seq}"
        for store, seq in seqs.items()
        if heads.get(store) != seq
    ]
    return found
