from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from catalog.editing import (
    CATEGORY_CHARACTERS_MAX,
    Code,
    clean_barcode,
    clean_category_name,
    clean_new_sku,
    clean_units,
)
from catalog.models import BARCODES_PER_PRODUCT_MAX, PACK_UNITS_MAX, Category, ProductChange, Unit
from inventory_project.api import ParsedField, StrictSerializer
from inventory_project.errors import InvalidValue
from inventory_project.fields import BARCODE_CHARACTERS_MAX, SKU_CHARACTERS_MAX, clean_text
from inventory_project.serializing import MoneyField, TextField, WordField
from stores.models import NegativeStock


@extend_schema_field({"type": "string", "minLength": 1, "maxLength": BARCODE_CHARACTERS_MAX})
class BarcodeField(ParsedField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(parse=clean_barcode, **kwargs)


@extend_schema_field({"type": "integer", "minimum": 1, "maximum": PACK_UNITS_MAX})
class UnitsField(ParsedField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(parse=clean_units, **kwargs)


class BarcodeSerializer(StrictSerializer):
    """A barcode of a product, and how many units one scan of it stands for."""

    code = BarcodeField()
    units = UnitsField(required=False)

    def to_internal_value(self, data: Any) -> Code:
        values = super().to_internal_value(data)
        if "code" not in values:
            # In a PATCH rest_framework takes no field for required, not even in a new list.
            raise serializers.ValidationError({"code": ErrorDetail("is missing", "required")})
        return Code(**values)


@extend_schema_field({"type": "string", "minLength": 1, "maxLength": SKU_CHARACTERS_MAX})
class NewSkuField(ParsedField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(parse=clean_new_sku, **kwargs)


@extend_schema_field({"type": "string", "maxLength": CATEGORY_CHARACTERS_MAX, "pattern": "^[^/]*$"})
class CategoryNameField(ParsedField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(parse=clean_category_name, **kwargs)


@extend_schema_field({"type": "string", "maxLength": 120, "description": "Its name."})
class CategoryField(ParsedField):
    """A category by its name."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(parse=_find_category, write=str, **kwargs)


def _find_category(value: Any) -> Category:
    name = clean_text(value, characters_max=120)
    category = Category.objects.filter(name=name).first()
    if category is None:
        raise InvalidValue("unknown_category", "is not the name of a category")
    return category


class CategorySerializer(StrictSerializer):
    """A category as the API shows and takes it."""

    name = CategoryNameField()
    retired_at = serializers.DateTimeField(read_only=True, allow_null=True)


class ProductSerializer(StrictSerializer):
    """A product as the API shows and takes it."""

    sku = NewSkuField()
    name = TextField(characters_max=250)
    category = CategoryField(required=False, allow_null=True)
    unit = WordField(words=Unit.values, required=False)
    price = MoneyField(required=False)
    negative_stock = WordField(words=["", *NegativeStock.values], required=False)
    barcodes = BarcodeSerializer(many=True, required=False, max_length=BARCODES_PER_PRODUCT_MAX)  # type: ignore[call-arg]
    retired_at = serializers.DateTimeField(read_only=True, allow_null=True)
    version = serializers.IntegerField(read_only=True)

    def validate_sku(self, value: str) -> str:
        if self.instance is not None and value != self.instance.sku:
            raise serializers.ValidationError("A product keeps its SKU for ever.", code="fixed")
        return value


@extend_schema_field({"type": ["object", "null"], "description": "As it was; null when new."})
class BeforeField(serializers.JSONField):
    """What a product or category was before the change."""


@extend_schema_field({"type": "object", "description": "As it is from this version on."})
class AfterField(serializers.JSONField):
    """What a product or category is after the change."""


class ProductChangeSerializer(serializers.ModelSerializer[ProductChange]):
    """One change of the catalogue."""

    before = BeforeField()
    after = AfterField()

    class Meta:
        model = ProductChange
        fields = ["version", "subject", "key", "action", "before", "after", "changed_at"]
