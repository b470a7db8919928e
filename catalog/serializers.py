from typing import Any

from rest_framework import serializers

from catalog.editing import Code, clean_barcode, clean_units
from catalog.models import Category, ProductChange, Unit
from inventory_project.api import ParsedField, StrictSerializer
from inventory_project.serializing import MoneyField, SkuField, TextField
from stores.models import NegativeStock

BARCODES_PER_PRODUCT_MAX = 50


class BarcodeSerializer(StrictSerializer):
    code = ParsedField(parse=clean_barcode)
    units = ParsedField(parse=clean_units, required=False)

    def to_internal_value(self, data: Any) -> Code:
        return Code(**super().to_internal_value(data))


class CategorySerializer(StrictSerializer):
    """A category as the API shows and takes it."""

    name = TextField(characters_max=120)
    retired_at = serializers.DateTimeField(read_only=True)


class ProductSerializer(StrictSerializer):
    """A product as the API shows and takes it."""

    sku = SkuField()
    name = TextField(characters_max=250)
    category = serializers.SlugRelatedField(
        slug_field="name", queryset=Category.objects.all(), required=False, allow_null=True
    )
    unit = serializers.ChoiceField(choices=Unit.choices, required=False)
    price = MoneyField(required=False)
    negative_stock = serializers.ChoiceField(
        choices=NegativeStock.choices, allow_blank=True, required=False
    )
    barcodes = BarcodeSerializer(many=True, required=False, max_length=BARCODES_PER_PRODUCT_MAX)  # type: ignore[call-arg]
    retired_at = serializers.DateTimeField(read_only=True)
    version = serializers.IntegerField(read_only=True)

    def validate_sku(self, value: str) -> str:
        if self.instance is not None and value != self.instance.sku:
            raise serializers.ValidationError("A product keeps its SKU for ever.", code="fixed")
        return value


class ProductChangeSerializer(serializers.ModelSerializer[ProductChange]):
    class Meta:
        model = ProductChange
        fields = ["version", "subject", "key", "action", "after", "changed_at"]
