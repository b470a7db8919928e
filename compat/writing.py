"""Answers in their earlier shapes. Quantities and prices are JSON numbers, exact ones."""

from decimal import Decimal
from typing import Any

import orjson

from catalog.models import Product
from inventory_project.fields import MONEY_PLACES, QUANTITY_PLACES, whole
from stock.models import Kind, Level, Movement

TENTHOUSANDTHS: int = 10**MONEY_PLACES


def write_number(value: Decimal) -> orjson.Fragment:
    """A JSON number with all its digits, which a float would not promise."""
    return orjson.Fragment(format(value.normalize(), "f"))


def write_price(tenthousandths: int) -> int | orjson.Fragment:
    """The same of a price as it is stored; most have no fraction."""
    units, fraction = divmod(tenthousandths, TENTHOUSANDTHS)
    if not fraction:
        return units
    return orjson.Fragment(f"{units}.{fraction:0{MONEY_PLACES}}".rstrip("0"))


def write_thousandths(thousandths: int) -> orjson.Fragment:
    """A quantity of the ledger as a JSON number."""
    return write_number(Decimal(thousandths).scaleb(-QUANTITY_PLACES))


def describe_product(product: Product) -> dict[str, Any]:
    """A product as versions 2 and 3 tell it."""
    return {"id": product.pk, "name": product.name, "price": write_number(product.price)}


def describe_products() -> list[dict[str, Any]]:
    """All products, as `describe_product` would one by one."""
    products = Product.objects.order_by("pk").annotate(tenthousandths=whole("price"))
    return [
        {"id": pk, "name": name, "price": write_price(tenthousandths)}
        for pk, name, tenthousandths in products.values_list("pk", "name", "tenthousandths")
    ]


def describe_first_product(product: Product) -> dict[str, Any]:
    """A product as version 1 tells it."""
    category = product.category.name if product.category else None
    return {"id": product.pk, "name": product.name, "category": category}


def describe_store(store: Any) -> dict[str, Any]:
    """A store, or a row of its columns, as versions 2 and 3 tell it."""
    return {"id": store.pk, "name": store.name, "address": store.address}


def describe_level(level: Level) -> dict[str, Any]:
    """What a store has of a product."""
    return {
        "store_id": level.store_id,
        "product_id": level.product_id,
        "quantity": write_number(level.quantity),
    }


def describe_movement(movement: Movement) -> dict[str, Any]:
    """A movement with the earlier word for it, and unsigned: the word says the direction."""
    return {
        "id": movement.seq,
        "store_id": movement.store_id,
        "product_id": movement.product_id,
        "movementtype": _name_movement(movement),
        "quantity": write_number(abs(movement.quantity)),
        "created_at": movement.occurred_at,
        "event_id": movement.event_id,
    }


def _name_movement(movement: Movement) -> str:
    if movement.kind == Kind.SALE:
        return "sales"
    return "add" if movement.quantity >= 0 else "remove"
