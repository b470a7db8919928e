"""The catalogue of a shop that moves into a chain. The same SKU is the same product.

Of a product that both have, the chain's own stays as it is; what differs is told. Only another
unit is refused: every quantity of the shop would mean something else.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from catalog import editing
from catalog.editing import Code, ProductRow
from catalog.models import Barcode, Category, Product
from inventory_project.errors import Conflict
from stores.principals import SYSTEM, Principal

ROWS_PER_STATEMENT = 1_000
UNITS_TOLD_MAX = 20
COMPARED = ("name", "category", "price", "negative_stock", "barcodes", "retired_at")


class UnitsDiffer(Conflict):
    """Products of both have different units; `facts` lists the first of them."""

    code = "units_differ"


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the chain's product is not the shop's, as both are written for people."""

    sku: str
    field: str
    shop: str
    chain: str


@dataclass(slots=True)
class Comparison:
    """Products the chain lacks, how many it has, and what differs."""

    new: list[Product] = field(default_factory=list)
    matched: int = 0
    differences: list[Difference] = field(default_factory=list)


def compare(products: Sequence[Product]) -> Comparison:
    """Compare products of another database with ours; writes nothing. Raises UnitsDiffer."""
    ours = _find_ours(products)
    _refuse_other_units(products, ours)
    comparison = Comparison()
    for product in products:
        if product.sku not in ours:
            comparison.new.append(product)
            continue
        comparison.matched += 1
        comparison.differences += _differences(product, ours[product.sku])
    comparison.differences += _find_shared_codes(comparison.new)
    return comparison


def adopt_products(
    products: Sequence[Product], categories: Iterable[Category], *, by: Principal = SYSTEM
) -> dict[int, int]:
    """Make what we lack of another database's categories and products; returns our product ids
    by theirs. Call it in a transaction: the catalogue is locked until its end. Raises UnitsDiffer.
    """
    editing.take_versions(0)  # the lock first: what is compared now stays true
    _adopt_categories(categories, by)
    new = compare(products).new
    for batch in _cut(new):
        editing.save_products([_to_row(product) for product in batch], by=by)
    ours = _find_ours(products)
    for product in new:
        if product.negative_stock or product.retired_at:
            editing.change_product(
                ours[product.sku], by=by,
                negative_stock=product.negative_stock, retired_at=product.retired_at,
            )  # fmt: skip
    return {product.pk: ours[product.sku].pk for product in products}


def _adopt_categories(categories: Iterable[Category], by: Principal) -> None:
    known = set(Category.objects.values_list("name", flat=True))
    for theirs in categories:
        if theirs.name in known:
            continue
        category = editing.create_category(by=by, name=theirs.name)
        if theirs.retired_at:
            editing.retire_category(category, by=by)


def _to_row(product: Product) -> ProductRow:
    return ProductRow(
        sku=product.sku,
        name=product.name,
        category=product.category.name if product.category else None,
        unit=product.unit,
        price=product.price,
        barcodes=tuple(Code(b.code, b.units) for b in product.barcodes.all()),
    )


def _find_ours(products: Sequence[Product]) -> dict[str, Product]:
    ours = {}
    for batch in _cut(products):
        found = Product.objects.filter(sku__in=[product.sku for product in batch])
        for product in found.select_related("category").prefetch_related("barcodes"):
            ours[product.sku] = product
    return ours


def _refuse_other_units(products: Sequence[Product], ours: dict[str, Product]) -> None:
    both = [(product, ours[product.sku]) for product in products if product.sku in ours]
    other = [
        f"{theirs.sku} ({theirs.unit} in the shop, {own.unit} in the chain)"
        for theirs, own in both
        if theirs.unit != own.unit
    ]
    if other:
        more = f" and {len(other) - UNITS_TOLD_MAX} more" if len(other) > UNITS_TOLD_MAX else ""
        raise UnitsDiffer(
            f"The same SKU is counted in another unit: {', '.join(other[:UNITS_TOLD_MAX])}{more}."
        )


def _differences(theirs: Product, own: Product) -> Iterator[Difference]:
    there, here = editing.describe_product(theirs), editing.describe_product(own)
    for name in COMPARED:
        shop, chain = _write(name, there[name]), _write(name, here[name])
        if shop != chain:
            yield Difference(theirs.sku, name.removesuffix("_at"), shop, chain)


def _write(name: str, value: Any) -> str:
    if name == "barcodes":
        return " ".join(sorted(f"{b['code']}*{b['units']}" for b in value))
    if name == "retired_at":
        return "yes" if value else "no"
    return value or ""


def _find_shared_codes(new: Sequence[Product]) -> Iterator[Difference]:
    """Codes of new products that a product of ours has, too: a scan would mean either."""
    skus = {barcode.comparable: p.sku for p in new for barcode in p.barcodes.all()}
    for batch in _cut(sorted(skus)):
        ours = Barcode.objects.filter(comparable__in=batch).select_related("product")
        for barcode in ours:
            sku = skus[barcode.comparable]
            yield Difference(sku, "barcode of both", barcode.code, barcode.product.sku)


def _cut(rows: Sequence[Any]) -> Iterator[list[Any]]:
    rest = iter(rows)
    while batch := list(islice(rest, ROWS_PER_STATEMENT)):
        yield batch
