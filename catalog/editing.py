"""What happens to the catalogue: the one write module of this app.

Every change locks the one CatalogHead row, takes the next version and writes a ProductChange in
the same transaction. So versions commit in order, and the feed of changes is complete.
"""

import secrets
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain, count
from typing import Any

from django.db import DEFAULT_DB_ALIAS, IntegrityError, transaction
from django.utils import timezone as clock
from stdnum import ean

from catalog.changes import (
    describe_category,
    describe_product,
    note_category,
    note_product,
    note_products,
)
from catalog.models import (
    PACK_UNITS_MAX,
    Barcode,
    CatalogHead,
    Category,
    Product,
    ProductChange,
)
from inventory_project.caching import STAMP_BITS
from inventory_project.errors import Conflict, InvalidValue
from inventory_project.fields import (
    GTIN_LENGTHS,
    clean_scanned_barcode,
    clean_sku,
    clean_text,
    to_comparable_barcode,
)
from stores.principals import SYSTEM, Principal

Action = ProductChange.Action
CATEGORY_CHARACTERS_MAX = 120
# Every client takes these parts out of an address before it asks.
_NOT_IN_ADDRESSES = (".", "..")


class SkuTaken(Conflict):
    code = "sku_taken"
    title = "Another product has this SKU"


class CategoryNameTaken(Conflict):
    code = "category_name_taken"
    title = "Another category has this name"


@dataclass(frozen=True, slots=True)
class Code:
    """A barcode as it is printed, and how many units one scan stands for."""

    code: str
    units: int = 1


def clean_barcode(value: Any) -> str:
    """Read a barcode for the catalogue: like a scan, and a GTIN must have the right check digit.

    Raises InvalidValue.
    """
    code = clean_scanned_barcode(value)
    if code.isdecimal() and len(code) in GTIN_LENGTHS and not ean.is_valid(code):
        raise InvalidValue("check_digit", "has a wrong check digit")
    return code


def clean_new_sku(value: Any) -> str:
    """Read the SKU of a product to be made, which has to be found by its address again.

    Raises InvalidValue. A till may still tell of such an SKU: what was sold was sold.
    """
    sku = clean_sku(value)
    if sku in _NOT_IN_ADDRESSES:
        raise InvalidValue("not_an_address", "must not be . or ..")
    return sku


def clean_category_name(value: Any) -> str:
    """Read the name of a category, which is its address, too. Raises InvalidValue."""
    name = clean_text(value, characters_max=CATEGORY_CHARACTERS_MAX)
    if "/" in name or name in _NOT_IN_ADDRESSES:
        raise InvalidValue("not_an_address", "must not contain / and not be . or ..")
    return name


def clean_units(value: Any) -> int:
    """Read how many units a pack holds. Raises InvalidValue."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= PACK_UNITS_MAX:
        raise InvalidValue("out_of_range", f"must be a whole number from 1 to {PACK_UNITS_MAX}")
    return value


@transaction.atomic
def create_product(
    *, by: Principal = SYSTEM, sku: str = "", barcodes: Sequence[Code] = (), **fields: Any
) -> Product:
    """Make a product and return it; `fields` are name, category (Category or None), unit, price
    (Decimal), negative_stock, retired_at. Without an SKU it gets `P<id>`. Raises SkuTaken."""
    version = take_versions(1)
    product = Product(sku=sku or str(uuid.uuid4()), version=version, **fields)
    try:
        with transaction.atomic():
            product.save(force_insert=True)
    except IntegrityError as error:
        if Product.objects.filter(sku=sku).exists():
            raise SkuTaken("Another product has this SKU.", pointer="/sku") from error
        raise
    if not sku:
        _name_by_id(product)
    _set_barcodes(product, barcodes)
    note_product(by, None, product)
    return product


def _name_by_id(product: Product) -> None:
    """Give a product just made the SKU `P<id>`, or `P<id>-2` and so on where that is taken.

    The catalogue's lock is held: nobody else takes the SKU meanwhile, or sees the one before.
    """
    skus = chain([f"P{product.pk}"], (f"P{product.pk}-{nth}" for nth in count(2)))
    product.sku = next(sku for sku in skus if not Product.objects.filter(sku=sku).exists())
    product.save(update_fields=["sku"])


@transaction.atomic
def change_product(
    product: Product,
    *,
    by: Principal = SYSTEM,
    barcodes: Sequence[Code] | None = None,
    **fields: Any,
) -> Product:
    """Change fields, and all barcodes when they are given; returns the product.

    The SKU stays for ever: it is in the journals of every till. What changes nothing makes no
    version.
    """
    head = _lock_head()
    product = Product.objects.select_for_update(of=("self",), no_key=True).get(pk=product.pk)
    before = describe_product(product)
    for name, value in fields.items():
        setattr(product, name, value)
    if barcodes is not None:
        _set_barcodes(product, barcodes)
    if describe_product(product) == before:
        return product
    product.version = _advance(head, 1)
    product.save()
    note_product(by, before, product)
    return product


@dataclass(frozen=True, slots=True)
class ProductRow:
    """A product as a catalogue file tells it; None leaves a product as it is, or at its default.

    A new product needs a name.
    """

    sku: str
    name: str | None = None
    category: str | None = None
    unit: str | None = None
    price: Decimal | None = None
    barcodes: tuple[Code, ...] | None = None


@dataclass(slots=True)
class RowsPlan:
    """What saving rows would do; each row is in one of the three."""

    created: list[ProductRow] = field(default_factory=list)
    changed: list[tuple[Product, ProductRow]] = field(default_factory=list)
    unchanged: int = 0


@transaction.atomic
def save_products(rows: Sequence[ProductRow], *, by: Principal = SYSTEM) -> RowsPlan:
    """Create and change many products at once; returns what was done.

    `rows` has each SKU once. Categories nobody knows are made. Meant for some thousand rows: the
    catalogue is locked until the commit.
    """
    take_versions(0)  # the lock first: what is read now stays true
    plan = plan_products(rows)
    categories = _ensure_categories({row.category for row in rows if row.category}, by)
    before = {product.sku: describe_product(product) for product, _ in plan.changed}
    created = [Product(sku=row.sku, **_fields_of(row, categories)) for row in plan.created]
    changed = [_assign(product, _fields_of(row, categories)) for product, row in plan.changed]
    version = take_versions(len(created) + len(changed))
    for place, product in enumerate([*created, *changed]):
        product.version = version + place
    Product.objects.bulk_create(created)
    _write_changed(changed)
    _replace_barcodes([*zip(created, plan.created, strict=True), *plan.changed])
    note_products(by, [*created, *changed], before)
    return plan


def plan_products(rows: Sequence[ProductRow]) -> RowsPlan:
    """What `save_products` would do now; writes nothing."""
    skus = [row.sku for row in rows]
    existing = Product.objects.filter(sku__in=skus).select_related("category")
    known = {product.sku: product for product in existing.prefetch_related("barcodes")}
    plan = RowsPlan()
    for row in rows:
        product = known.get(row.sku)
        if product is None:
            plan.created.append(row)
        elif _differs(product, row):
            plan.changed.append((product, row))
        else:
            plan.unchanged += 1
    return plan


def _differs(product: Product, row: ProductRow) -> bool:
    told = [
        (row.name, product.name),
        (row.category, product.category.name if product.category else None),
        (row.unit, product.unit),
        (row.price, product.price),
    ]
    if any(value is not None and value != present for value, present in told):
        return True
    present_codes = [(b.code, b.units) for b in product.barcodes.all()]
    return row.barcodes is not None and present_codes != [
        (b.code, b.units) for b in make_barcodes(product, row.barcodes)
    ]


def _fields_of(row: ProductRow, categories: dict[str, Category]) -> dict[str, Any]:
    told = {
        "name": row.name,
        "category": categories[row.category] if row.category else None,
        "unit": row.unit,
        "price": row.price,
    }
    return {name: value for name, value in told.items() if value is not None}


def _assign(product: Product, fields: dict[str, Any]) -> Product:
    for name, value in fields.items():
        setattr(product, name, value)
    return product


def _write_changed(products: Sequence[Product]) -> None:
    """Upsert by SKU: bulk_update's CASE for every row and column takes ten times as long."""
    names = [f.attname for f in Product._meta.concrete_fields if not f.primary_key]
    Product.objects.bulk_create(
        [Product(**{name: getattr(product, name) for name in names}) for product in products],
        update_conflicts=True,
        unique_fields=["sku"],
        update_fields=["name", "category", "unit", "price", "version"],
    )


def _ensure_categories(names: set[str], by: Principal) -> dict[str, Category]:
    known = {category.name: category for category in Category.objects.filter(name__in=names)}
    for name in sorted(names - known.keys()):
        known[name] = create_category(by=by, name=name)
    return known


def _replace_barcodes(saved: Sequence[tuple[Product, ProductRow]]) -> None:
    told = [(product, row.barcodes) for product, row in saved if row.barcodes is not None]
    Barcode.objects.filter(product__in=[product.pk for product, _ in told]).delete()
    Barcode.objects.bulk_create(
        [barcode for product, codes in told for barcode in make_barcodes(product, codes)]
    )


def retire_product(product: Product, *, by: Principal = SYSTEM) -> Product:
    """Take a product out of the range: no new documents, its late events still count."""
    if product.retired_at:
        return product
    return change_product(product, by=by, retired_at=clock.now())


def restore_product(product: Product, *, by: Principal = SYSTEM) -> Product:
    """Put a retired product back into the range."""
    return change_product(product, by=by, retired_at=None)


@transaction.atomic
def create_category(*, by: Principal = SYSTEM, name: str) -> Category:
    """Make a category and return it. Raises CategoryNameTaken."""
    version = take_versions(1)
    category = Category(name=name)
    _save_category(category)
    note_category(by, None, category, version, Action.CREATED)
    return category


@transaction.atomic
def change_category(category: Category, *, by: Principal = SYSTEM, name: str) -> Category:
    """Rename a category; returns it. Raises CategoryNameTaken."""
    version = take_versions(1)
    before = describe_category(category)
    category.name = name
    _save_category(category)
    note_category(by, before, category, version, Action.CHANGED)
    return category


@transaction.atomic
def retire_category(category: Category, *, by: Principal = SYSTEM) -> Category:
    """Take a category out of use; its products keep it."""
    if category.retired_at:
        return category
    version = take_versions(1)
    before = describe_category(category)
    category.retired_at = clock.now()
    _save_category(category)
    note_category(by, before, category, version, Action.RETIRED)
    return category


@transaction.atomic
def restore_category(category: Category, *, by: Principal = SYSTEM) -> Category:
    """Put a retired category back into use."""
    if not category.retired_at:
        return category
    version = take_versions(1)
    before = describe_category(category)
    category.retired_at = None
    _save_category(category)
    note_category(by, before, category, version, Action.RESTORED)
    return category


def take_versions(count: int) -> int:
    """Lock the head and take `count` versions; returns the first. Held until the commit."""
    return _advance(_lock_head(), count)


def _lock_head() -> CatalogHead:
    CatalogHead.objects.get_or_create(id=1)
    return CatalogHead.objects.select_for_update().get(id=1)


def _advance(head: CatalogHead, count: int) -> int:
    if count:
        head.version += count
        head.stamp = secrets.randbits(STAMP_BITS)
        head.save(update_fields=["version", "stamp"])
    return head.version - count + 1


def current_version(using: str = DEFAULT_DB_ALIAS) -> int:
    """The version of the catalogue a follower starts from; 0 for an empty one."""
    heads = CatalogHead.objects.using(using).filter(id=1)
    return heads.values_list("version", flat=True).first() or 0


def make_barcodes(product: Product, codes: Iterable[Code]) -> list[Barcode]:
    """Unsaved barcode rows, each comparable code once; the first mention wins."""
    rows: dict[str, Barcode] = {}
    for code in codes:
        comparable = to_comparable_barcode(code.code)
        rows.setdefault(
            comparable,
            Barcode(product=product, code=code.code, comparable=comparable, units=code.units),
        )
    return list(rows.values())


def _set_barcodes(product: Product, codes: Iterable[Code]) -> None:
    wanted = make_barcodes(product, codes)
    existing = [(b.code, b.units) for b in product.barcodes.all()]
    if existing != [(b.code, b.units) for b in wanted]:
        product.barcodes.all().delete()
        Barcode.objects.bulk_create(wanted)


def _save_category(category: Category) -> None:
    try:
        with transaction.atomic():
            category.save()
    except IntegrityError as error:
        if Category.objects.filter(name=category.name).exclude(pk=category.pk).exists():
            raise CategoryNameTaken("Another category has this name.", pointer="/name") from error
        raise
