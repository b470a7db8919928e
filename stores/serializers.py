from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from inventory_project.api import ParsedField, StrictSerializer
from inventory_project.errors import InvalidValue
from inventory_project.fields import clean_text
from inventory_project.serializing import TextField, WordField, YesNoField
from stores import contacts
from stores.models import (
    STORE_CODE_CHARACTERS_MAX,
    NegativeStock,
    validate_currency,
    validate_store_code,
    validate_timezone,
)


def _read_valid(validate: Callable[[str], None]) -> Callable[[Any], str]:
    """A reader of a line of text that the model's validator agrees with."""

    def read(value: Any) -> str:
        text = clean_text(value, characters_max=40)
        try:
            validate(text)
        except ValidationError as error:
            raise InvalidValue(error.code or "invalid", error.messages[0]) from error
        return text

    return read


@extend_schema_field(
    {
        "type": "string",
        "pattern": r"^(?!current$)[A-Za-z0-9][A-Za-z0-9._-]*$",
        "maxLength": STORE_CODE_CHARACTERS_MAX,
    }
)
class StoreCodeField(ParsedField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(parse=_read_valid(validate_store_code), **kwargs)


@extend_schema_field({"type": "string", "example": "Asia/Karachi"})
class TimezoneField(ParsedField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(parse=_read_valid(validate_timezone), **kwargs)


@extend_schema_field({"type": "string", "pattern": "^[A-Z]{3}$", "example": "PKR"})
class CurrencyField(ParsedField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(parse=_read_valid(validate_currency), **kwargs)


class ContactPartField(ParsedField):
    def __init__(self, *, clean: Callable[[Any], str], characters_max: int, **kwargs: Any) -> None:
        super().__init__(parse=clean, required=False, **kwargs)
        self._spectacular_annotation = {"field": {"type": "string", "maxLength": characters_max}}


class StoreSerializer(StrictSerializer):
    """A store as the API shows and takes it."""

    code = StoreCodeField()
    name = TextField(characters_max=120)
    address = TextField(characters_max=250, blank=True, required=False)
    timezone = TimezoneField(required=False)
    currency = CurrencyField(required=False)
    negative_stock = WordField(words=["", *NegativeStock.values], required=False)
    retired = YesNoField(required=False, write_only=True)
    retired_at = serializers.DateTimeField(read_only=True, allow_null=True)
    created_at = serializers.DateTimeField(read_only=True)

    def validate_code(self, value: str) -> str:
        if self.instance is not None and value != self.instance.code:
            raise serializers.ValidationError("A store keeps its code for ever.", code="fixed")
        return value

    def validate_retired(self, value: bool) -> bool:
        if self.instance is not None:
            raise serializers.ValidationError("Use the retire address.", code="fixed")
        return value


class ContactSerializer(StrictSerializer):
    """Whom to call about a store. A part that is not sent stays as it is."""

    name = ContactPartField(clean=contacts.clean_name, characters_max=contacts.NAME_CHARACTERS_MAX)
    phone = ContactPartField(
        clean=contacts.clean_phone, characters_max=contacts.PHONE_CHARACTERS_MAX
    )
    email = ContactPartField(
        clean=contacts.clean_email, characters_max=contacts.EMAIL_CHARACTERS_MAX
    )


class StoreDetailSerializer(StoreSerializer):
    """A store with what is shown to head office only, and in no list."""

    contact = ContactSerializer(
        required=False, help_text="Head office only: others neither see nor send it."
    )
