"""The catalogue of a shop that moves into a chain. The same SKU is the same product.

Of a product that both have, the chain's own stays as it is; what differs is told. Another unit is
refused: every quantity of the shop would mean something else.

An SKU that the program gave, `P<id>`, says nothing: every shop has a P1. There the name and unit
have to be the same as well, or a barcode; else the shop's product gets an SKU of its own, if that
is wanted.
"""

import re
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, count, islice
from typing import Any

from catalog import editing
from catalog.changes import describe_product
from catalog.editing import Code, ProductRow
from catalog.models import Barcode, Category, Product
from catalog.scanning import AmbiguousBarcode, Scanned, choose_scanned, find_scanned
from inventory_project.errors import Conflict
from stores.principals import SYSTEM, Principal

ROWS_PER_STATEMENT = 1_000
TOLD_MAX = 20
GIVEN_SKU = re.compile(r"P[0-9]+(-[0-9]+)?")  # of editing.create_product
COMPARED = ("name", "category", "price", "negative_stock", "barcodes", "retired_at")


class UnitsDiffer(Conflict):
    """Products of both have different units; `facts` lists the first of them."""

    code = "units_differ"


class GivenSkusMet(Conflict):
    """Two products have the same SKU only because the program numbered both."""

    code = "given_skus_met"


class OtherMeaning(Conflict):
    """Sales that wait would be counted to another product here."""

    code = "other_meaning"


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the chain's product is not the shop's, as both are written for people."""

    sku: str
    field: str
    shop: str
    chain: str


@dataclass(slots=True)
class Adopted:
    """What became of another database's products: our ids and changed SKUs by theirs, how many
    were new to us or known, and what differs."""

    ids: dict[int, int] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    new: int = 0
    matched: int = 0
    differences: list[Difference] = field(default_factory=list)


def adopt_products(
    products: Sequence[Product],
    categories: Iterable[Category],
    *,
    rename_as: str = "",
    by: Principal = SYSTEM,
) -> Adopted:
    """Make what we lack of another database's categories and products.

    A product whose given SKU is another product's here becomes `<rename_as>-<SKU>`. Call it in a
    transaction: the catalogue is locked until its end. Raises UnitsDiffer, and GivenSkusMet
    without `rename_as`.
    """
    editing.take_versions(0)  # the lock first: what is compared now stays true
    ours = _find_ours(product.sku for product in products)
    strangers = [p for p in products if p.sku in ours and not _is_same(p, ours[p.sku])]
    if strangers and not rename_as:
        raise GivenSkusMet(_tell_strangers(strangers, ours))
    renamed = _find_free_skus(strangers, rename_as, {product.sku for product in products})
    both = [(p, ours[p.sku]) for p in products if p.sku in ours and p.sku not in renamed]
    _refuse_other_units(both)
    new = [p for p in products if p.sku not in ours or p.sku in renamed]
    differences = [found for theirs, own in both for found in _differences(theirs, own)]
    differences += _find_shared_codes(products, {own.pk: theirs.sku for theirs, own in both})
    _adopt_categories(categories, by)
    ids = {theirs.pk: own.pk for theirs, own in both} | _make(new, renamed, by)
    return Adopted(ids, renamed, len(new), len(both), differences)


def _is_same(theirs: Product, own: Product) -> bool:
    """Whether products of the same SKU are the same."""
    if not GIVEN_SKU.fullmatch(theirs.sku):
        return True
    if theirs.unit == own.unit and theirs.name.casefold() == own.name.casefold():
        return True
    there, here = ({b.comparable for b in p.barcodes.all()} for p in (theirs, own))
    return not there.isdisjoint(here)


def _tell_strangers(strangers: Sequence[Product], ours: dict[str, Product]) -> str:
    told = [f"{p.sku} ({p.name} in the shop, {ours[p.sku].name} in the chain)" for p in strangers]
    return (
        f"The program numbered products here and there, and these are not the same: {_list(told)}. "
        "Where they are, give them the same name and unit. For the others call it with "
        "--rename-given-skus: they get SKUs of their own, and tills have to read the catalogue "
        "before they sell again."
    )


def _list(told: Sequence[str]) -> str:
    more = f" and {len(told) - TOLD_MAX} more" if len(told) > TOLD_MAX else ""
    return f"{', '.join(told[:TOLD_MAX])}{more}"


def _find_free_skus(
    strangers: Sequence[Product], prefix: str, theirs: Container[str]
) -> dict[str, str]:
    """New SKUs by the ones that are taken; free here, where the catalogue's lock is held, and
    there."""
    return {p.sku: _find_free_sku(f"{prefix}-{p.sku}", theirs) for p in strangers}


def _find_free_sku(wanted: str, theirs: Container[str]) -> str:
    for sku in chain([wanted], (f"{wanted}-{nth}" for nth in count(2))):
        if sku not in theirs and not Product.objects.filter(sku=sku).exists():
            return sku
    raise AssertionError("count() ends nowhere")


def _make(new: Sequence[Product], renamed: dict[str, str], by: Principal) -> dict[int, int]:
    """Make these products; returns our ids by theirs."""
    skus = {product.pk: renamed.get(product.sku, product.sku) for product in new}
    for batch in _cut(new):
        rows = [_to_row(product, skus[product.pk]) for product in batch]
        editing.save_products(rows, by=by)
    made = _find_ours(skus.values())
    for product in new:
        if product.negative_stock or product.retired_at:
            editing.change_product(
                made[skus[product.pk]], by=by,
                negative_stock=product.negative_stock, retired_at=product.retired_at,
            )  # fmt: skip
    return {pk: made[sku].pk for pk, sku in skus.items()}


def _adopt_categories(categories: Iterable[Category], by: Principal) -> None:
    known = set(Category.objects.values_list("name", flat=True))
    for theirs in categories:
        if theirs.name in known:
            continue
        category = editing.create_category(by=by, name=theirs.name)
        if theirs.retired_at:
            editing.retire_category(category, by=by)


def _to_row(product: Product, sku: str) -> ProductRow:
    return ProductRow(
        sku=sku,
        name=product.name,
        category=product.category.name if product.category else None,
        unit=product.unit,
        price=product.price,
        barcodes=tuple(Code(b.code, b.units) for b in product.barcodes.all()),
    )


def _find_ours(skus: Iterable[str]) -> dict[str, Product]:
    ours = {}
    for batch in _cut(skus):
        found = Product.objects.filter(sku__in=batch)
        for product in found.select_related("category").prefetch_related("barcodes"):
            ours[product.sku] = product
    return ours


def _refuse_other_units(both: Sequence[tuple[Product, Product]]) -> None:
    other = [
        f"{theirs.sku} ({theirs.unit} in the shop, {own.unit} in the chain)"
        for theirs, own in both
        if theirs.unit != own.unit
    ]
    if other:
        raise UnitsDiffer(f"The same SKU is counted in another unit: {_list(other)}.")


def _differences(theirs: Product, own: Product) -> Iterator[Difference]:
    there, here = describe_product(theirs), describe_product(own)
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


def _find_shared_codes(
    products: Sequence[Product], matched: dict[int, str]
) -> Iterator[Difference]:
    """Codes that a product of ours has, too, and not the same one: a scan would mean either, or
    ours. `matched` has their SKUs by the ids of ours."""
    skus = defaultdict(list)
    for product in products:
        for barcode in product.barcodes.all():
            skus[barcode.comparable].append(product.sku)
    for batch in _cut(sorted(skus)):
        ours = Barcode.objects.filter(comparable__in=batch).select_related("product")
        for barcode in ours:
            for sku in skus[barcode.comparable]:
                if matched.get(barcode.product_id) != sku:
                    yield Difference(sku, "barcode of both", barcode.code, barcode.product.sku)


def refuse_other_meaning(
    products: Sequence[Product], codes: Iterable[tuple[str, str]], adopted: Adopted
) -> None:
    """See to it that what waits to be sold means the same product here, and as many of it.

    `products` are the other database's, adopted already; `codes` are (sku, comparable barcode) as
    sent there, one of them empty. What nobody knew there may be known here, but for an SKU that
    the program gave. Raises OtherMeaning.
    """
    candidates = _read_candidates(products)
    other = []
    for batch in _cut(sorted(set(codes))):
        sent_here = {(adopted.renamed.get(sku, sku), barcode) for sku, barcode in batch}
        here = find_scanned(sent_here)
        for sku, barcode in batch:
            if not candidates[sku, barcode] and not GIVEN_SKU.fullmatch(sku):
                continue
            there = _choose(candidates[sku, barcode])
            own = _choose(here[adopted.renamed.get(sku, sku), barcode])
            meant = there and (adopted.ids[there.product.pk], there.units)
            if meant != (own and (own.product.pk, own.units)):
                other.append(f"{sku or barcode} ({_write_scanned(there)} in the shop, "
                             f"{_write_scanned(own)} in the chain)")  # fmt: skip
    if other:
        raise OtherMeaning(
            f"Sales wait that would be counted to another product: {_list(other)}. Let the shop "
            "count them first (start it once) and dismiss what is parked there, or put it right."
        )


def _read_candidates(products: Sequence[Product]) -> dict[tuple[str, str], list[Scanned]]:
    """What may be meant by each SKU and code, of products at hand."""
    candidates = defaultdict(list)
    for product in products:
        candidates[product.sku, ""].append(Scanned(product))
        for barcode in product.barcodes.all():
            candidates["", barcode.comparable].append(Scanned(product, barcode.units))
    return candidates


def _choose(candidates: Sequence[Scanned]) -> Scanned | None:
    """The one product that a sale would be counted to."""
    try:
        return choose_scanned(candidates) if candidates else None
    except AmbiguousBarcode:
        return None


def _write_scanned(scanned: Scanned | None) -> str:
    if scanned is None:
        return "no one product"
    return scanned.product.sku + (f" * {scanned.units}" if scanned.units > 1 else "")


def _cut(rows: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(rows)
    while batch := list(islice(rest, ROWS_PER_STATEMENT)):
        yield batch
