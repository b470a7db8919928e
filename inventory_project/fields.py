"""Exact numbers, instants and texts: how they are read, stored and written.

Quantity and money are whole numbers in the database (thousandths of a unit, 1/10,000 of the
currency), so SQLite and PostgreSQL agree to the last digit and no sum passes through a float.
"""

import re
import unicodedata
import uuid
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models

from inventory_project.errors import InvalidValue

QUANTITY_PLACES = 3
MONEY_PLACES = 4
QUANTITY_THOUSANDTHS_MAX = 1_000_000 * 10**QUANTITY_PLACES
MONEY_TENTHOUSANDTHS_MAX = 1_000_000_000 * 10**MONEY_PLACES
SKU_CHARACTERS_MAX = 64
BARCODE_CHARACTERS_MAX = 48
GTIN_LENGTHS = (8, 12, 13, 14)
_UNIT_THOUSANDTHS: int = 10**QUANTITY_PLACES
_PLAIN_UNITS_MAX = 1_000  # whole units as nearly all sales have them, taken without a second look

# [0-9] and not \d: the latter takes digits of every script, full-width ones among them.
_DECIMAL = re.compile(r"-?[0-9]{1,15}(?:\.([0-9]{1,9}))?")
_CANONICAL_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_SEVENTH_DECIMAL = slice(26, 27)  # or a digit of the offset, where there are few decimals
_TOO_FINE = re.compile(r"(\.[0-9]{6})[0-9]+")
_BARCODE = re.compile(rf"[\x21-\x7e]{{1,{BARCODE_CHARACTERS_MAX}}}")
_YEAR_MIN, _YEAR_MAX = 1970, 2199
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")
_SKU_PUNCTUATION = frozenset("._-+#&:()*")
# What nearly all are, in one look: each character by itself is what a batch would wait for.
_PLAIN_SKU = re.compile(rf"[A-Za-z0-9._+#&:()*-]{{1,{SKU_CHARACTERS_MAX}}}")


def parse_fixed_point(value: Any, places: int) -> int:
    """Read a JSON integer or decimal string as a whole number of 10**-places.

    Raises InvalidValue: a JSON float has lost digits before it arrives here, a boolean is no
    number, and text must be plain ASCII digits.
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise InvalidValue(
            "not_exact", 'must be a JSON integer or a decimal string such as "1.250"'
        )
    if isinstance(value, int):
        if abs(value) >= 10**15:
            raise InvalidValue("too_large", "has too many digits")
        return value * int(10**places)
    match = _DECIMAL.fullmatch(value)
    if match is None:
        raise InvalidValue("not_a_number", 'must be a plain decimal number such as "1.250"')
    missing = places - len(match[1] or "")
    if missing < 0:
        raise InvalidValue("too_many_decimals", f"must have at most {places} decimals")
    return int(value.replace(".", "")) * int(10**missing)


def parse_quantity(value: Any) -> int:
    """Read a quantity above 0 and up to 1,000,000 units; returns thousandths."""
    if type(value) is int and 0 < value <= _PLAIN_UNITS_MAX:
        return value * _UNIT_THOUSANDTHS
    thousandths = parse_fixed_point(value, QUANTITY_PLACES)
    if thousandths <= 0:
        raise InvalidValue("min_value", "must be more than 0")
    if thousandths > QUANTITY_THOUSANDTHS_MAX:
        raise InvalidValue("max_value", "must be at most 1000000")
    return thousandths


def parse_signed_quantity(value: Any) -> int:
    """Read a quantity that may be negative but not 0; returns thousandths."""
    thousandths = parse_fixed_point(value, QUANTITY_PLACES)
    if thousandths == 0:
        raise InvalidValue("zero", "must not be 0")
    if abs(thousandths) > QUANTITY_THOUSANDTHS_MAX:
        raise InvalidValue("max_value", "must be between -1000000 and 1000000")
    return thousandths


def parse_money(value: Any) -> int:
    """Read an amount of 0 or more in the store's currency; returns 1/10,000 of it."""
    tenthousandths = parse_fixed_point(value, MONEY_PLACES)
    if tenthousandths < 0:
        raise InvalidValue("min_value", "must not be negative")
    if tenthousandths > MONEY_TENTHOUSANDTHS_MAX:
        raise InvalidValue("max_value", "must be at most 1000000000")
    return tenthousandths


def format_quantity(thousandths: int) -> int | str:
    """Whole units as a JSON integer, anything finer as a string of three decimals."""
    units, rest = divmod(abs(thousandths), 1000)
    if rest == 0:
        return thousandths // 1000
    return f"{'-' if thousandths < 0 else ''}{units}.{rest:03d}"


def format_money(tenthousandths: int) -> str:
    """A decimal string with two to four places."""
    units, rest = divmod(abs(tenthousandths), 10_000)
    decimals = f"{rest:04d}"
    decimals = decimals[:2] + decimals[2:].rstrip("0")
    return f"{'-' if tenthousandths < 0 else ''}{units}.{decimals}"


def parse_event_id(value: Any) -> uuid.UUID:
    """Read a UUID in its 36-character form; braces, urn: and the nil UUID are refused."""
    if not isinstance(value, str) or _CANONICAL_UUID.fullmatch(value) is None:
        raise InvalidValue(
            "not_a_uuid", "must be a UUID such as 0192f0c1-7d3a-7c3e-9b1a-0242ac120002"
        )
    event_id = uuid.UUID(value)
    if event_id.int == 0:
        raise InvalidValue("nil_uuid", "must not be the nil UUID")
    return event_id


def parse_instant(value: Any) -> datetime:
    """Read an RFC 3339 instant with its offset; returns it in UTC.

    A till that sends no offset would be placed in somebody else's day, so that is refused.
    """
    if not isinstance(value, str) or _INSTANT.fullmatch(value) is None:
        raise InvalidValue(
            "not_an_instant", "must be a time with an offset such as 2026-03-01T09:30:00+05:30"
        )
    try:
        instant = datetime.fromisoformat(_cut_to_microseconds(value.upper()))
        if not _YEAR_MIN <= instant.year <= _YEAR_MAX:
            raise InvalidValue("out_of_range", f"must be of a year {_YEAR_MIN} to {_YEAR_MAX}")
        return instant if instant.tzinfo is UTC else instant.astimezone(UTC)
    except InvalidValue:
        raise
    except ValueError as error:
        raise InvalidValue("not_an_instant", "is no such day or time") from error


def parse_day(value: str, zone: tzinfo) -> datetime:
    """Read a day such as 2026-03-01: the instant at which it begins in that zone, in UTC."""
    try:
        start = datetime.strptime(value, "%Y-%m-%d")
    except ValueError as error:
        raise InvalidValue("not_an_instant", "is no such day") from error
    if not _YEAR_MIN <= start.year <= _YEAR_MAX:
        raise InvalidValue("out_of_range", f"must be of a year {_YEAR_MIN} to {_YEAR_MAX}")
    return start.replace(tzinfo=zone).astimezone(UTC)


def _cut_to_microseconds(value: str) -> str:
    if not value[_SEVENTH_DECIMAL].isdigit():
        return value
    return _TOO_FINE.sub(r"\1", value)


def clean_text(value: Any, *, characters_max: int, required: bool = True) -> str:
    """Read one line of text: NFC, trimmed, no control or bidirectional override characters."""
    if not isinstance(value, str):
        raise InvalidValue("not_text", "must be text")
    if len(value) > characters_max:
        raise InvalidValue("max_length", f"must have at most {characters_max} characters")
    # Nearly all text is plain ASCII, and looking at each character is what a batch would wait for.
    if value.isascii() and value.isprintable() and value.strip():
        return value.strip()
    if any(
        unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in _BIDI_CONTROLS for c in value
    ):
        raise InvalidValue("control_character", "must not contain control characters")
    text = unicodedata.normalize("NFC", value.strip())
    if required and not text:
        raise InvalidValue("blank", "must not be blank")
    if len(text) > characters_max:
        raise InvalidValue("max_length", f"must have at most {characters_max} characters")
    return text


def clean_sku(value: Any) -> str:
    """Read an SKU: letters, marks and digits of any script and `._-+#&:()*`, in NFC.

    Zero-width and bidirectional characters make two SKUs that look like one, so no format
    characters are taken.
    """
    if isinstance(value, str) and _PLAIN_SKU.fullmatch(value):
        return value
    text = clean_text(value, characters_max=SKU_CHARACTERS_MAX)
    if any(c not in _SKU_PUNCTUATION and unicodedata.category(c)[0] not in "LMN" for c in text):
        raise InvalidValue("sku_character", "may contain letters, digits and ._-+#&:()* only")
    return text


def clean_scanned_barcode(value: Any) -> str:
    """Read a barcode as a scanner gives it: 1 to 48 printable ASCII characters without spaces."""
    if not isinstance(value, str) or _BARCODE.fullmatch(value) is None:
        raise InvalidValue(
            "not_a_barcode", f"must be 1 to {BARCODE_CHARACTERS_MAX} printable ASCII characters"
        )
    return value


def to_comparable_barcode(code: str) -> str:
    """The form barcodes are compared in: GTIN-8, -12, -13 and -14 are one number of 14 digits."""
    if code.isdecimal() and len(code) in GTIN_LENGTHS:
        return code.zfill(14)
    return code


class FixedPointField(models.BigIntegerField):  # type: ignore[type-arg]
    """A Decimal in Python, a bigint of 10**-places in the database."""

    places: int = 0

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Decimal | None:
        return None if value is None else Decimal(value).scaleb(-self.places)

    def to_python(self, value: Any) -> Decimal | None:
        if value is None or value == "":
            return None
        try:
            return Decimal(parse_fixed_point(_as_exact(value), self.places)).scaleb(-self.places)
        except InvalidValue as error:
            raise ValidationError(error.detail, code=error.code) from error

    def get_prep_value(self, value: Any) -> Any:
        if value is None or hasattr(value, "resolve_expression"):
            return value
        return parse_fixed_point(_as_exact(value), self.places)

    @property
    def validators(self) -> list[Any]:
        # The inherited range is that of a bigint, which here would be off by 10**places.
        return list(self._validators)  # type: ignore[attr-defined]

    def formfield(self, **kwargs: Any) -> forms.Field | None:  # type: ignore[override]
        return models.Field.formfield(
            self, **{"form_class": forms.DecimalField, "decimal_places": self.places, **kwargs}
        )


class QuantityField(FixedPointField):
    """Thousandths of the product's unit."""

    places = QUANTITY_PLACES


class MoneyField(FixedPointField):
    """1/10,000 of the store's currency."""

    places = MONEY_PLACES


def whole(name: str) -> "models.ExpressionWrapper[Any]":
    """A field of fixed point as the whole number that is stored; its Decimal costs a list more
    than its row does."""
    return models.ExpressionWrapper(models.F(name), output_field=models.BigIntegerField())


def _as_exact(value: Any) -> Any:
    return format(value, "f") if isinstance(value, Decimal) else value
