from rest_framework import serializers

from inventory_project.api import StrictSerializer
from inventory_project.serializing import TextField, YesNoField
from stores.models import (
    STORE_CODE_CHARACTERS_MAX,
    NegativeStock,
    validate_currency,
    validate_store_code,
    validate_timezone,
)


class StoreSerializer(StrictSerializer):
    """A store as the API shows and takes it."""

    code = serializers.RegexField(
        r"^(?!current$)[A-Za-z0-9][A-Za-z0-9._-]*$",
        max_length=STORE_CODE_CHARACTERS_MAX,
        validators=[validate_store_code],
    )
    name = TextField(characters_max=120)
    address = TextField(characters_max=250, blank=True, required=False)
    timezone = serializers.CharField(max_length=40, required=False, validators=[validate_timezone])
    currency = serializers.CharField(max_length=3, required=False, validators=[validate_currency])
    negative_stock = serializers.ChoiceField(
        choices=NegativeStock.choices, allow_blank=True, required=False
    )
    retired = YesNoField(required=False, write_only=True)
    retired_at = serializers.DateTimeField(read_only=True)
    created_at = serializers.DateTimeField(read_only=True)

    def validate_code(self, value: str) -> str:
        if self.instance is not None and value != self.instance.code:
            raise serializers.ValidationError("A store keeps its code for ever.", code="fixed")
        return value

    def validate_retired(self, value: bool) -> bool:
        if self.instance is not None:
            raise serializers.ValidationError("Use the retire address.", code="fixed")
        return value
