"""Movements and orders by their earlier words, told to the modules that write them.

The earlier versions sent no time, so it is ours: of the first telling. A repeated call takes over
that time, or its content would never be the same.
"""

import uuid
from dataclasses import replace
from datetime import datetime

from django.db import transaction
from django.utils import timezone as clock

from catalog import editing
from catalog.models import Category, Product
from inventory_project.errors import DomainError, NotFound
from orders import sales
from orders.judging import Outcome, SaleLine
from orders.models import SaleEvent
from orders.tasks import ring_doorbell
from stock import ledger
from stock.models import Kind, Movement, Reason
from stores.models import Store
from stores.principals import Principal

# Nobody told why goods were removed.
_KINDS = {
    "add": (Kind.RECEIPT.value, ""),
    "sales": (Kind.SALE.value, ""),
    "remove": (Kind.WASTE.value, Reason.OTHER.value),
}


def move(
    *,
    principal: Principal,
    store: Store,
    product: Product,
    movementtype: str,
    quantity: int,
    event_id: uuid.UUID | None = None,
) -> int:
    """Book a movement at once; returns the balance after it, in thousandths.

    The same id again returns the same balance and books nothing. Raises what
    `ledger.move_by_hand` raises.
    """
    kind, reason = _KINDS[movementtype]
    line = ledger.Line(
        event_id=event_id or uuid.uuid4(), kind=kind, quantity=quantity, reason=reason,
        occurred_at=clock.now(), sku=product.sku,
    )  # fmt: skip
    try:
        return _book(principal, store, line)
    except ledger.EventConflict:
        told_at = _find_told_at(store, line.event_id)
        if told_at is None:
            raise
        return _book(principal, store, replace(line, occurred_at=told_at))


def _book(principal: Principal, store: Store, line: ledger.Line) -> int:
    try:
        (recorded,) = ledger.move_by_hand(
            store=store,
            lines=[line],
            actor_id=principal.actor_id,
            device_id=principal.device_id,
        )
    except DomainError as error:
        # The ledger counts lines and speaks of the SKU; here the product stands in the address.
        error.pointer = error.pointer.removeprefix("/0").removesuffix("/sku")
        raise
    return recorded.balance_after


def order(
    *,
    principal: Principal,
    store: Store,
    product: Product,
    quantity: int,
    event_id: uuid.UUID | None = None,
) -> uuid.UUID:
    """Put a sale into the inbox and ring the bell; returns its id, and the sale is on disk.

    Raises EventConflict.
    """
    line = SaleLine(
        event_id=event_id or uuid.uuid4(), kind=Kind.SALE.value, quantity=quantity,
        occurred_at=clock.now(), sku=product.sku, store_code=store.code,
    )  # fmt: skip
    outcome = _tell(principal, line)
    if outcome.status == "conflict" and (told_at := _find_told_at(store, line.event_id)):
        outcome = _tell(principal, line._replace(occurred_at=told_at))
    if outcome.status == "conflict":
        raise ledger.EventConflict(outcome.detail, pointer="/event_id")
    return line.event_id


def _tell(principal: Principal, line: SaleLine) -> Outcome:
    (outcome,) = sales.accept(principal=principal, lines=[line])
    if outcome.status == "rejected":
        raise NotFound(outcome.detail)
    if outcome.status == "accepted":
        ring_doorbell()
    return outcome


def _find_told_at(store: Store, event_id: uuid.UUID) -> datetime | None:
    """When an event was first told. Inbox first: what leaves it is in the ledger by then."""
    for rows in (SaleEvent.objects.for_store(store), Movement.objects.for_store(store)):
        if told := rows.filter(event_id=event_id).first():
            occurred_at: datetime = told.occurred_at
            return occurred_at
    return None


@transaction.atomic
def add_product(*, by: Principal, name: str, category: str) -> Product:
    """Make a product of a category, which is made if nobody knows it; returns the product."""
    editing.take_versions(0)  # the lock first: nobody else makes the same category meanwhile
    found = Category.objects.filter(name=category).first()
    found = found or editing.create_category(by=by, name=category)
    return editing.create_product(by=by, name=name, category=found)
