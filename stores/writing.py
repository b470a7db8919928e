"""Stores as the API writes them; from columns, as catalog/writing.py says."""

from typing import Any

from django.db.models import QuerySet

from stores.models import Store

STORE_COLUMNS = (
    "code", "name", "address", "timezone", "currency", "negative_stock", "retired_at", "created_at",
)  # fmt: skip


def read_columns(stores: QuerySet[Store]) -> QuerySet[Store, Any]:
    """These stores as rows of STORE_COLUMNS, for `write_store`."""
    return stores.values_list(*STORE_COLUMNS, named=True)


def write_store(row: Any) -> dict[str, Any]:
    """A store, or a row of its columns, as the API shows it."""
    return {name: getattr(row, name) for name in STORE_COLUMNS}
