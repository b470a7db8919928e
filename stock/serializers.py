"""What the stock addresses answer, and for the schema what they take."""

from typing import Any

from rest_framework import serializers

from inventory_project.serializing import (
    EventIdField,
    InstantField,
    MoneyField,
    QuantityField,
    SkuField,
    write_money,
    write_quantity,
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

    def to_representation(self, instance: Level) -> dict[str, Any]:
        """By hand: a page of 1,000 rows costs the declared fields five times as much."""
        return {
            "store": instance.store.code,
            "product": instance.product.sku,
            "name": instance.product.name,
            "unit": instance.product.unit,
            "quantity": write_quantity(instance.quantity),
            "updated_seq": instance.updated_seq,
        }


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

    def to_representation(self, instance: Movement) -> dict[str, Any]:
        """By hand, for the same reason; these are the pages every till follows."""
        return {
            "store": instance.store.code,
            "seq": instance.seq,
            "product": instance.product.sku,
            "kind": instance.kind,
            "quantity": write_quantity(instance.quantity),
            "balance_after": write_quantity(instance.balance_after),
            "amount": None if instance.amount is None else write_money(instance.amount),
            "event_id": instance.event_id,
            "occurred_at": instance.occurred_at,
            "recorded_at": instance.recorded_at,
            "business_date": instance.business_date,
            "receipt": instance.receipt,
            "reason": instance.reason,
            "reverses_seq": instance.reverses_seq,
        }


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
