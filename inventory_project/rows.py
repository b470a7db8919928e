"""Python rows as the VALUES of one statement, in the types each database stores."""

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper


def place_values(count: int, columns: int) -> str:
    """`(%s, %s), (%s, %s)` for `count` rows of `columns` values."""
    row = "(" + ", ".join(["%s"] * columns) + ")"
    return ", ".join([row] * count)


def flatten_values(connection: BaseDatabaseWrapper, rows: Iterable[Sequence[Any]]) -> list[Any]:
    """The values of all rows, one after another, as this database stores them."""
    return [adapt_value(connection, value) for row in rows for value in row]


def adapt_value(connection: BaseDatabaseWrapper, value: Any) -> Any:
    """A value as Django itself would store it: SQLite has no UUID and no time type."""
    if isinstance(value, uuid.UUID):
        return value if connection.features.has_native_uuid_field else value.hex
    if isinstance(value, dt.datetime):
        return connection.ops.adapt_datetimefield_value(value)
    if isinstance(value, dt.date):
        return connection.ops.adapt_datefield_value(value)
    return value


def read_uuid(value: Any) -> uuid.UUID:
    """A UUID as a raw cursor gives it."""
    return value if isinstance(value, uuid.UUID) else uuid.UUID(value)
