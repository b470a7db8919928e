"""Seals over the movements, store by store: made behind the ledger's back, in nobody's way.

A store's numbers have no gaps and its head says the last one that is committed, so all up to it
are there. Movements are only read, and the one thing written is the seal.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Any

from django.db import DEFAULT_DB_ALIAS, IntegrityError, connection, connections, transaction
from django.db.models import F, OuterRef, Q, Subquery
from django.utils import timezone as clock

from accounts.sealing import ENTRIES, read_heads_of, seal_entries, to_seal
from catalog.sealing import AUDITED, CHANGES, seal_changes
from inventory_project.heads import Heads
from inventory_project.sealing import (
    SEAL_FIELDS,
    Chain,
    Checked,
    Keys,
    Seal,
    Wrong,
    check_chain,
    make_seals,
)
from stock.models import LedgerHead, LedgerSeal, Movement
from stores.models import Store

# A store's movements wait for a seal until there are so many, or for so long: a seal takes 200
# bytes, and eight for each movement.
MOVEMENTS_TO_SEAL = 1_000
SEAL_AFTER = timedelta(minutes=5)
SEALS_PER_STATEMENT = 50

MOVEMENT_COLUMNS = (
    "store_id", "seq", "product_id", "quantity", "balance_after", "amount", "occurred_at",
    "recorded_at", "actor_id", "device_id", "reverses_seq", "business_date", "event_id", "digest",
    "kind", "reason", "receipt",
)  # fmt: skip
_COLUMNS = {"first": "first_seq", "last": "last_seq"}
FIELDS = [_COLUMNS.get(name, name) for name in SEAL_FIELDS]


@dataclass(slots=True)
class Sealed:
    """What was sealed: rows of the audit and the catalogue, movements, and the new heads."""

    movements: int = 0
    stores: int = 0
    heads: Heads = field(default_factory=dict)

    def add(self, chain: str, seal: Seal) -> None:
        self.heads[chain] = (seal.last, seal.head.hex())


def chain_of(store_id: int) -> Chain:
    """A store's movements as a chain."""
    return Chain(
        name=f"ledger {store_id}",
        table="stock_movement",
        key="seq",
        forms={1: MOVEMENT_COLUMNS},
        where=f"store_id = {int(store_id)}",
    )


def seal_all(keys: Keys, *, seconds_max: float = float("inf"), waits: bool = False) -> Sealed:
    """Seal the audit, the catalogue's changes and the movements; returns what was sealed.

    With `waits` a store is passed over while few of its movements are new. Stops at the first
    store it comes to behind `seconds_max`: the next call goes on there.
    """
    began = time.monotonic()
    sealed = Sealed()
    for chain, seal in ((ENTRIES, seal_entries(keys)), (CHANGES, seal_changes(keys))):
        if seal:
            sealed.add(chain.name, seal)
    for head in _find_unsealed(waits=waits):
        _seal_store(head, keys, sealed)
        if time.monotonic() - began > seconds_max:
            break
    return sealed


def _seal_store(head: LedgerHead, keys: Keys, sealed: Sealed) -> None:
    chain = chain_of(head.pk)
    newest = LedgerSeal.objects.filter(store_id=head.pk).order_by("-first_seq")
    row = newest.values_list(*FIELDS).first()
    tip = to_seal(row) if row else None
    new = make_seals(connection, chain, keys, tip=tip, until=head.last_seq, now=clock.now())
    while seals := list(islice(new, SEALS_PER_STATEMENT)):
        try:
            with transaction.atomic():
                LedgerSeal.objects.bulk_create(
                    LedgerSeal(store_id=head.pk, **_values(seal)) for seal in seals
                )
        except IntegrityError:
            return  # another sealer began at the same place: the chain goes on from its seals
        sealed.add(chain.name, seals[-1])
        sealed.movements += sum(seal.rows for seal in seals)
    sealed.stores += 1


def _find_unsealed(*, waits: bool) -> list[LedgerHead]:
    """Heads of stores that have movements without a seal, each with where its seals end."""
    newest = LedgerSeal.objects.filter(store_id=OuterRef("pk")).order_by("-first_seq")
    heads = LedgerHead.objects.annotate(
        sealed=Subquery(newest.values("last_seq")[:1]),
        sealed_at=Subquery(newest.values("sealed_at")[:1]),
    )
    behind = heads.filter(Q(sealed=None) | Q(last_seq__gt=F("sealed")), last_seq__gte=1)
    if waits:
        many = Q(last_seq__gte=F("sealed") + MOVEMENTS_TO_SEAL)
        long_ago = Q(sealed_at__lt=clock.now() - SEAL_AFTER)
        behind = behind.filter(Q(sealed=None) | many | long_ago)
    return list(behind.order_by("pk"))


def _values(seal: Seal) -> dict[str, Any]:
    return {_COLUMNS.get(name, name): getattr(seal, name) for name in SEAL_FIELDS}


def read_tips() -> Heads:
    """The heads of all chains' newest seals."""
    newest = LedgerSeal.objects.filter(store_id=OuterRef("pk")).order_by("-first_seq")
    tips = LedgerHead.objects.annotate(
        last=Subquery(newest.values("last_seq")[:1]), head=Subquery(newest.values("head")[:1])
    ).exclude(last=None)
    rows = tips.values_list("pk", "last", "head")
    heads = {chain_of(pk).name: (last, bytes(head).hex()) for pk, last, head in rows}
    return heads | read_heads_of(AUDITED)


# --- checking ---------------------------------------------------------------------------------


def check_seals(
    keys: Keys,
    *,
    store: Store | None = None,
    heads: Mapping[str, Mapping[int, str]] | None = None,
    using: str = DEFAULT_DB_ALIAS,
) -> list[Checked]:
    """Check the seals of one store, or of every store that has a movement or a seal."""
    ids = [store.pk] if store else _find_stores(heads or {}, using)
    return [check_store(pk, keys, heads=heads, using=using) for pk in ids]


def _find_stores(heads: Mapping[str, Any], using: str) -> list[int]:
    found = {int(name.split()[1]) for name in heads if name.startswith("ledger ")}
    for model in (LedgerHead, LedgerSeal):
        found.update(model.objects.using(using).values_list("store_id", flat=True).distinct())
    return sorted(found)


def check_store(
    store_id: int,
    keys: Keys,
    *,
    heads: Mapping[str, Mapping[int, str]] | None = None,
    using: str = DEFAULT_DB_ALIAS,
) -> Checked:
    """Check a store's seals, and that behind them nothing stands beyond the ledger's head."""
    chain = chain_of(store_id)
    seals = LedgerSeal.objects.using(using).filter(store_id=store_id).order_by("first_seq")
    rows = map(to_seal, seals.values_list(*FIELDS).iterator(chunk_size=500))
    checked = check_chain(connections[using], chain, keys, rows, (heads or {}).get(chain.name))
    checked.wrong = checked.wrong or _check_unsealed(store_id, checked.last, using)
    return checked


def _check_unsealed(store_id: int, sealed: int, using: str) -> Wrong | None:
    """A movement that the head does not know of was not booked by us."""
    movements = Movement.objects.using(using).filter(store_id=store_id).order_by("-seq")
    # The movements first: the head that is read after them knows them all.
    top = movements.values_list("seq", flat=True).first() or 0
    heads = LedgerHead.objects.using(using).filter(pk=store_id)
    known = heads.values_list("last_seq", flat=True).first() or 0
    name = chain_of(store_id).name
    if known < sealed:
        return Wrong(name, "removed", f"the ledger's head says {known}, the seals go to {sealed}")
    if top > known:
        return Wrong(name, "inserted", f"{top}, which the ledger's head does not know of")
    return None
