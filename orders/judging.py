"""Lines of sales on their way into the inbox: which are new, and what is told of each.

Nothing is written here; sales.py does that in between.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from inventory_project.rows import be_among, run_planned
from orders import statements
from stock.digest import digest_event
from stores.models import Store
from stores.principals import Principal

Key = tuple[int, uuid.UUID]


class SaleLine(NamedTuple):
    """One line of a sale as the till told it; quantity in thousandths, amount in 1/10,000.

    `barcode` in its comparable form; `store_code` is None when the till's own store is meant.
    """

    event_id: uuid.UUID
    kind: str
    quantity: int
    occurred_at: datetime
    sku: str = ""
    barcode: str = ""
    amount: int | None = None
    receipt: str = ""
    device_seq: int | None = None
    store_code: str | None = None


class Outcome(NamedTuple):
    """What the till is told of one event: accepted, duplicate, conflict or rejected."""

    event_id: uuid.UUID | None  # None when what was told was no id
    status: str
    code: str = ""
    detail: str = ""


class Parcel(NamedTuple):
    """Lines of one sender, to be accepted together with those of others."""

    principal: Principal
    lines: Sequence[SaleLine]


class Place(NamedTuple):
    """What accepting needs to know of a store."""

    store_id: int
    timezone: str


class New(NamedTuple):
    """The first line of an id: where its outcome belongs, and what is stored of it."""

    place: int
    line: SaleLine
    store: Place
    digest: bytes
    principal: Principal


@dataclass(slots=True)
class Judged:
    """Lines on their way in: outcomes by place, the first line of each id, its copies, and what
    of it was known already."""

    outcomes: list[Outcome | None] = field(default_factory=list)
    new: dict[Key, New] = field(default_factory=dict)
    copies: list[tuple[int, SaleLine, Key, bytes]] = field(default_factory=list)
    known: dict[Key, bytes] = field(default_factory=dict)


def judge(parcels: Sequence[Parcel]) -> Judged:
    """Sort out what needs no look at inbox and ledger: unknown stores, and copies among the
    lines."""
    judged = Judged()
    outcomes, new = judged.outcomes, judged.new
    for parcel in parcels:
        principal = parcel.principal
        stores = _find_stores(principal, {line.store_code for line in parcel.lines})
        for line in parcel.lines:
            store = stores.get(line.store_code)
            if store is None:
                outcomes.append(_reject_store(line))
                continue
            key, digest = (store.store_id, line.event_id), _digest(line)
            if key in new:
                judged.copies.append((len(outcomes), line, key, digest))
            else:
                new[key] = New(len(outcomes), line, store, digest, principal)
            outcomes.append(None)
    return judged


def _reject_store(line: SaleLine) -> Outcome:
    return Outcome(line.event_id, "rejected", "unknown_store", "There is no such store.")


def tell_outcomes(judged: Judged) -> list[Outcome]:
    """The second of two equal ids is judged by what is stored: what was known, else the first of
    them."""
    outcomes = judged.outcomes
    for key, new in judged.new.items():
        outcomes[new.place] = _compare(new.line, new.digest, judged.known.get(key))
    for place, line, key, digest in judged.copies:
        first = judged.new[key].digest
        outcomes[place] = _compare(line, digest, judged.known.get(key, first))
    return [outcome for outcome in outcomes if outcome is not None]


def _find_stores(principal: Principal, codes: set[str | None]) -> dict[str | None, Place]:
    if principal.store is not None:
        own = principal.store
        place = Place(own.pk, own.timezone)
        return {code: place for code in codes if code in (None, own.code)}
    named = [code for code in codes if code]
    if not named:
        return {}
    if principal.key is not None:
        among, params = be_among(connection, named)
        rows = run_planned(connection, statements.FIND_STORES.format(among=among), params)
    else:
        visible = Store.objects.writable_by(principal).filter(code__in=named)
        rows = list(visible.values_list("code", "pk", "timezone"))
    return {code: Place(store_id, timezone) for code, store_id, timezone in rows}


def _digest(line: SaleLine) -> bytes:
    return digest_event(
        line.kind, line.sku, line.barcode, line.quantity, line.occurred_at.isoformat(),
        line.amount, line.receipt,
    )  # fmt: skip


def _compare(line: SaleLine, digest: bytes, known: bytes | None) -> Outcome:
    if known is None:
        return Outcome(line.event_id, "accepted")
    if known == digest:
        return Outcome(line.event_id, "duplicate")
    return Outcome(
        line.event_id,
        "conflict",
        "event_conflict",
        "This event_id is known with other content; the first one stays.",
    )
