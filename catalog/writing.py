"""Products as the API writes them.

From columns and not by serializers, which take ten times as long over a page; they read what is
sent, and say in the schema what is written here. tests/test_products_api.py holds both together.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from catalog.models import Barcode, Product
from inventory_project.fields import format_money, whole

PRODUCT_COLUMNS = (
    "pk", "sku", "name", "category__name", "unit", "tenthousandths", "negative_stock",
    "retired_at", "version",
)  # fmt: skip


def read_columns(products: QuerySet[Product]) -> QuerySet[Product, Any]:
    """These products as rows of PRODUCT_COLUMNS, for `write_products`."""
    priced = products.annotate(tenthousandths=whole("price"))
    return priced.values_list(*PRODUCT_COLUMNS, named=True)


def write_products(rows: Iterable[Any]) -> list[dict[str, Any]]:
    """Products in the order of the rows, each with its barcodes; one query more."""
    rows = list(rows)
    barcodes = _write_barcodes([row.pk for row in rows])
    return [
        {
            "sku": row.sku,
            "name": row.name,
            "category": row.category__name,
            "unit": row.unit,
            "price": format_money(row.tenthousandths),
            "negative_stock": row.negative_stock,
            "barcodes": barcodes[row.pk],
            "retired_at": row.retired_at,
            "version": row.version,
        }
        for row in rows
    ]


def write_product(product: Product) -> dict[str, Any]:
    """One product as it is in the database now."""
    return write_products(read_columns(Product.objects.filter(pk=product.pk)))[0]


def _write_barcodes(product_ids: list[int]) -> defaultdict[int, list[dict[str, Any]]]:
    found: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    barcodes = Barcode.objects.filter(product_id__in=product_ids).order_by("pk")
    for product_id, code, units in barcodes.values_list("product_id", "code", "units"):
        found[product_id].append({"code": code, "units": units})
    return found
