"""What the stock addresses answer, and for the schema what they take."""

from rest_framework import serializers

from inventory_project.serializing import (
    EventIdField,
    InstantField,
    MoneyField,
    QuantityField,
    SkuField,
)
from stock.models import Level, Movement, Reason
from stock.parsing import KINDS_BY_HAND


class LevelSerializer(serializers.ModelSerializer[Level]):
    """What a store has of a product. A product that is not listed has none."""

    store = serializers.CharField(source="store.code")
    product = serializers.CharField(source="product.sku")
    name = serializers.CharField(source="product.name")
    unit = serializers.CharField(source="product.unit")
    quantity = QuantityField()

    class Meta:
        model = Level
        fields = ["store", "product", "name", "unit", "quantity", "updated_seq"]


class MovementSerializer(serializers.ModelSerializer[Movement]):
    """One movement, as history and as feed."""

    store = serializers.CharField(source="store.code")
    product = serializers.CharField(source="product.sku")
    quantity = QuantityField()
    balance_after = QuantityField()
    amount = MoneyField(allow_null=True)

    class Meta:
        model = Movement
        fields = [
            "store", "seq", "product", "kind", "quantity", "balance_after", "amount",
            "event_id", "occurred_at", "recorded_at", "business_date", "receipt", "reason",
            "reverses_seq",
        ]  # fmt: skip


class MovementFeedSerializer(serializers.Serializer[Movement]):
    """A page of a store's feed."""

    results = MovementSerializer(many=True)
    last_seq = serializers.IntegerField(help_text="Ask again after this one.")
    more = serializers.BooleanField(help_text="There is more already.")


class MovementLineSerializer(serializers.Serializer[Movement]):
    """One movement by hand. Read by parsing.py; this is its description."""

    event_id = EventIdField(help_text="Made by the device before sending, kept through retries.")
    kind = serializers.ChoiceField(choices=[kind.value for kind in KINDS_BY_HAND])
    sku = SkuField(required=False, help_text="Or `barcode`.")
    barcode = serializers.CharField(required=False, max_length=48)
    quantity = QuantityField(help_text="Above 0; only an adjustment is signed.")
    occurred_at = InstantField()
    amount = MoneyField(required=False, help_text="Cost of the line.")
    receipt = serializers.CharField(required=False, max_length=64, help_text="Delivery note.")
    reason = serializers.ChoiceField(
        choices=Reason.choices, required=False, help_text="For waste and adjustment."
    )
    store = serializers.CharField(required=False, help_text="Head-office keys say which.")


class MovementBatchSerializer(serializers.Serializer[Movement]):
    """Up to 1,000 movements, all or none."""

    store = serializers.CharField(required=False, help_text="Head-office keys say which.")
    movements = MovementLineSerializer(many=True)


class RecordedSerializer(serializers.Serializer[Movement]):
    event_id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=["recorded", "duplicate"])
    seq = serializers.IntegerField()
    balance_after = QuantityField()


class RecordedListSerializer(serializers.Serializer[Movement]):
    results = RecordedSerializer(many=True)
