"""What happens in the shop of tests/shop.py, through the product's own doors; needs Django."""

import json
import sys
import uuid
from datetime import UTC, datetime, timedelta

from django.core.management import call_command

from accounts.models import User
from catalog import editing
from catalog.editing import Code
from catalog.models import Product
from orders import sales
from orders.models import SaleEvent
from stock import ledger
from stores import registry
from stores.models import Store
from stores.principals import Principal
from tests import make

PRODUCTS = 40
BATCH = 1_000
RECEIVED_UNITS = 1_000
MORNING = datetime(2026, 3, 1, 4, tzinfo=UTC)


def main(sales_count):
    """Make the shop, and print what a test has to know."""
    call_command("migrate", verbosity=0)
    json.dump(work(sales_count, MORNING), sys.stdout)


def sell_once(*, applies):
    """Accept a sale; without `applies` it waits in the inbox, as when nothing sweeps."""
    till = Principal(store=Store.objects.get())
    line = sales.SaleLine(uuid.uuid4(), "sale", 1000, MORNING, sku="SKU-001")
    sales.accept(principal=till, lines=[line])
    if applies:
        make.apply_all()
    return line.event_id


def sell_for_ever():
    """Sell one after another; print the id of each sale that was accepted."""
    while True:
        print(sell_once(applies=False).hex, flush=True)


def work(sales_count, morning):
    """Three tills, forty products, so many sales, and some of every kind that waits."""
    store = make.make_store("SHOP", name="My shop", address="Mall Road", timezone="Asia/Karachi")
    head_office = registry.issue_key(name="script/server", store=None)
    till, spare, lost = (registry.issue_key(name=f"till {n}", store=store) for n in (1, 2, 3))
    registry.revoke_key(lost.key)
    admin = User.objects.create_superuser("admin", password="correct horse battery")
    _fill_shelves(store, admin, morning)
    device = Principal(store=store, key=till.key)
    sold = _sell(device, sales_count, morning)
    _leave_waiting(store, device, admin, morning)
    by_head_office = sales.SaleLine(
        uuid.uuid4(), "sale", 1000, morning, sku="SKU-001", store_code="SHOP"
    )
    sales.accept(principal=Principal(key=head_office.key), lines=[by_head_office])
    make.apply_all()
    _leave_pending(device, morning)
    return {
        "till": till.credential, "spare": spare.credential, "lost": lost.credential,
        "head_office": head_office.credential, "sold": sold,
    }  # fmt: skip


def _fill_shelves(store, admin, morning):
    tea, old = make.make_category("Tea"), make.make_category("Old")
    editing.retire_category(old)
    for n in range(PRODUCTS):
        editing.create_product(
            sku=f"SKU-{n:03d}", name=f"Product {n}", category=tea if n % 2 else old, price="12.50",
            unit=("each", "kg", "litre")[n % 3],
            barcodes=[Code(f"CODE{n}"), Code(f"PACK{n}", 12)] if n < 5 else [],
        )  # fmt: skip
    lines = [
        ledger.Line(
            event_id=uuid.uuid4(), kind="receipt", sku=f"SKU-{n:03d}", occurred_at=morning,
            quantity=RECEIVED_UNITS * 1000 + n, amount=n * 10_000 or None, receipt="DN-1",
        )
        for n in range(PRODUCTS)
    ]  # fmt: skip
    ledger.move_by_hand(store=store, lines=lines, actor_id=admin.pk, device_id=None)
    last = Product.objects.get(sku=f"SKU-{PRODUCTS - 1:03d}")
    editing.change_product(last, negative_stock="refuse")
    editing.retire_product(last)


def _sell(device, count, morning):
    """Sell so many lines; returns the first as its till sends it."""
    first = None
    for start in range(0, count, BATCH):
        lines = [
            sales.SaleLine(
                uuid.uuid4(), "return" if n % 50 == 49 else "sale", 1 + n % 2_000,
                morning + timedelta(seconds=n, microseconds=n % 3), amount=n * 7,
                sku="" if n % 10 == 3 else f"SKU-{n % (PRODUCTS - 1):03d}",
                barcode=f"PACK{n % 5}" if n % 10 == 3 else "", receipt=f"R-{n // 3}", device_seq=n,
            )
            for n in range(start, min(start + BATCH, count))
        ]  # fmt: skip
        sales.accept(principal=device, lines=lines)
        make.apply_all()
        first = first or lines[0]
    return {
        "event_id": str(first.event_id), "sku": first.sku, "quantity": "0.001",
        "occurred_at": first.occurred_at.isoformat(), "amount": "0.00", "receipt": "R-0",
        "device_seq": 0,
    }  # fmt: skip


def _leave_waiting(store, device, admin, morning):
    """One parked because nobody knows the product, one dated ahead, one dismissed."""
    lines = [
        sales.SaleLine(uuid.uuid4(), "sale", 1500, morning, sku="NOBODY-KNOWS"),
        sales.SaleLine(uuid.uuid4(), "sale", 1000, morning.replace(year=2190), sku="SKU-001"),
        sales.SaleLine(uuid.uuid4(), "sale", 2000, morning, barcode="UNREADABLE"),
    ]
    sales.accept(principal=device, lines=lines)
    make.apply_all()
    sales.dismiss(
        principal=Principal(user=admin), store=store, event_id=lines[2].event_id, reason="A joke"
    )


def _leave_pending(device, morning):
    """Two accepted and not applied when the shop stopped; one has failed before."""
    lines = [
        sales.SaleLine(uuid.uuid4(), "sale", 1000, morning, sku="SKU-002"),
        sales.SaleLine(uuid.uuid4(), "sale", 12_000, morning, barcode="CODE3"),
    ]
    sales.accept(principal=device, lines=lines)
    SaleEvent.objects.filter(event_id=lines[1].event_id).update(
        attempts=2, detail="ValueError: once", next_try_at=morning + timedelta(days=1)
    )
