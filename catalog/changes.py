"""What is noted of a change of the catalogue: a row of the feed, which has all of it, and an entry
of the audit, which says from where it came. Called by editing.py, under the catalogue's lock."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from accounts import audit
from catalog.models import Category, Product, ProductChange
from inventory_project.fields import MONEY_PLACES, format_money
from stores.principals import Principal

Action = ProductChange.Action
Facts = dict[str, Any]


def describe_product(product: Product) -> Facts:
    """The product as the feed tells it."""
    return {
        "sku": product.sku,
        "name": product.name,
        "category": product.category.name if product.category else None,
        "unit": product.unit,
        "price": format_money(int(Decimal(product.price).scaleb(MONEY_PLACES))),
        "negative_stock": product.negative_stock,
        "barcodes": [{"code": b.code, "units": b.units} for b in product.barcodes.all()],
        "retired_at": product.retired_at.isoformat() if product.retired_at else None,
    }


def describe_category(category: Category) -> Facts:
    """The category as the feed tells it."""
    return {
        "name": category.name,
        "retired_at": category.retired_at.isoformat() if category.retired_at else None,
    }


def note_product(by: Principal, before: Facts | None, product: Product) -> None:
    """Note what one product has become."""
    _note_one(_make_change(by, before, product))


def note_products(by: Principal, products: Sequence[Product], before: dict[str, Facts]) -> None:
    """One change for each product, told from the database as it stands now; `before` is by SKU.

    The audit gets one entry for all: an import of thousands is not to be written twice, and the
    changes are append-only and sealed like the audit itself.
    """
    saved = Product.objects.filter(pk__in=[product.pk for product in products])
    saved = saved.select_related("category").prefetch_related("barcodes")
    changes = [_make_change(by, before.get(product.sku), product) for product in saved]
    if len(changes) == 1:
        _note_one(changes[0])
    elif changes:
        ProductChange.objects.bulk_create(changes)
        versions = [change.version for change in changes]
        facts = {"products": len(changes), "versions": [min(versions), max(versions)]}
        audit.record(audit.Action.CATALOGUE_CHANGED, after=facts)


def note_category(
    by: Principal, before: Facts | None, category: Category, version: int, action: str
) -> None:
    """Note what a category has become."""
    _note_one(
        ProductChange(
            version=version,
            subject=ProductChange.Subject.CATEGORY,
            subject_id=category.pk,
            key=category.name,
            action=action,
            before=before,
            after=describe_category(category),
            actor_id=by.actor_id,
            device_id=by.device_id,
        )
    )


def _note_one(change: ProductChange) -> None:
    change.save(force_insert=True)
    before = change.before and change.before | {"version": None}
    audit.record(
        audit.Action.CATALOGUE_CHANGED,
        audit.Subject(change.subject, change.subject_id, change.key),
        before=before,
        after=change.after | {"version": change.version},
    )


def _make_change(by: Principal, before: Facts | None, product: Product) -> ProductChange:
    after = describe_product(product)
    return ProductChange(
        version=product.version,
        subject=ProductChange.Subject.PRODUCT,
        subject_id=product.pk,
        key=product.sku,
        action=_name_action(before, after),
        before=before,
        after=after,
        actor_id=by.actor_id,
        device_id=by.device_id,
    )


def _name_action(before: Facts | None, after: Facts) -> str:
    if before is None:
        return Action.CREATED
    if (before["retired_at"] is None) == (after["retired_at"] is None):
        return Action.CHANGED
    return Action.RESTORED if after["retired_at"] is None else Action.RETIRED
