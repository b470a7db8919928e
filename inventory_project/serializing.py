"""Serializer fields for the values of fields.py, with what the schema says of them."""

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field

from inventory_project import fields
from inventory_project.api import ParsedField
from inventory_project.errors import InvalidValue
from inventory_project.reading import read_one_of

_EXACT = {
    "oneOf": [{"type": "integer"}, {"type": "string", "pattern": r"^-?[0-9]{1,15}(\.[0-9]{1,3})?$"}]
}
_MONEY = {
    "oneOf": [
        {"type": "string", "pattern": r"^-?[0-9]{1,15}(\.[0-9]{1,4})?$"},
        {"type": "integer"},
    ],
    "description": "A decimal string; a whole number is taken, too.",
    "example": "249.50",
}


@extend_schema_field(_EXACT)
class QuantityField(ParsedField):
    """An integer, or a string of three decimals."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(parse=_read_quantity, write=write_quantity, **kwargs)


@extend_schema_field(_MONEY)
class MoneyField(ParsedField):
    """A Decimal inside, a string of two to four decimals outside."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(parse=_read_money, write=write_money, **kwargs)


@extend_schema_field(OpenApiTypes.DATETIME)
class InstantField(ParsedField):
    """An RFC 3339 time with its offset; written in UTC."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(parse=fields.parse_instant, **kwargs)


@extend_schema_field(OpenApiTypes.UUID)
class EventIdField(ParsedField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(parse=fields.parse_event_id, write=str, **kwargs)


@extend_schema_field({"type": "string", "minLength": 1, "maxLength": fields.SKU_CHARACTERS_MAX})
class SkuField(ParsedField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(parse=fields.clean_sku, **kwargs)


class TextField(ParsedField):
    """One clean line of text."""

    def __init__(self, *, characters_max: int, blank: bool = False, **kwargs: Any) -> None:
        clean = partial(fields.clean_text, characters_max=characters_max, required=not blank)
        super().__init__(parse=clean, **kwargs)
        self._spectacular_annotation = {"field": {"type": "string", "maxLength": characters_max}}


class WordField(ParsedField):
    """One of some words, exactly."""

    def __init__(self, *, words: Sequence[str], **kwargs: Any) -> None:
        super().__init__(parse=read_one_of(*words), **kwargs)
        self._spectacular_annotation = {"field": {"type": "string", "enum": list(words)}}


class YesNoField(ParsedField):
    """true or false, not "yes", 1 or "on"."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(parse=_read_boolean, **kwargs)
        self._spectacular_annotation = {"field": {"type": "boolean"}}


def _read_boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidValue("not_a_boolean", "must be true or false")
    return value


def _read_quantity(value: Any) -> Decimal:
    return Decimal(fields.parse_quantity(value)).scaleb(-fields.QUANTITY_PLACES)


def _read_money(value: Any) -> Decimal:
    return Decimal(fields.parse_money(value)).scaleb(-fields.MONEY_PLACES)


def write_quantity(value: Any) -> int | str:
    """A model's quantity as the API writes it."""
    return fields.format_quantity(int(Decimal(value).scaleb(fields.QUANTITY_PLACES)))


def write_money(value: Any) -> str:
    """A model's amount as the API writes it."""
    return fields.format_money(int(Decimal(value).scaleb(fields.MONEY_PLACES)))
