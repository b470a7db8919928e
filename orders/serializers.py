"""What the sales addresses answer, and for the schema what they take."""

from typing import Any

from rest_framework import serializers

from inventory_project.api import StrictSerializer
from inventory_project.serializing import (
    EventIdField,
    InstantField,
    MoneyField,
    QuantityField,
    SkuField,
    TextField,
    write_money,
    write_quantity,
)
from orders.models import ParkReason, SaleEvent
from stock.models import Movement

SALE_STATUSES = ("pending", "applied", "parked", "dismissed")


class SaleLineSerializer(serializers.Serializer[SaleEvent]):
    """One line of a sale. Read by parsing.py; this is its description."""

    event_id = EventIdField(help_text="Made by the till before sending, kept through retries.")
    kind = serializers.ChoiceField(choices=["sale", "return"], required=False)
    sku = SkuField(required=False, help_text="Or `barcode`.")
    barcode = serializers.CharField(required=False, max_length=48)
    quantity = QuantityField()
    occurred_at = InstantField()
    amount = MoneyField(required=False, help_text="Line total as charged.")
    receipt = serializers.CharField(required=False, max_length=64, help_text="Groups a basket.")
    device_seq = serializers.IntegerField(required=False, min_value=0)
    store = serializers.CharField(required=False, help_text="Head-office keys say which.")


class SaleBatchSerializer(serializers.Serializer[SaleEvent]):
    """Up to 1,000 events; a bad one is rejected in its place, the others go on."""

    events = SaleLineSerializer(many=True)


class OutcomeSerializer(serializers.Serializer[SaleEvent]):
    event_id = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(choices=["accepted", "duplicate", "conflict", "rejected"])
    code = serializers.CharField(required=False)
    detail = serializers.CharField(required=False)


class OutcomeListSerializer(serializers.Serializer[SaleEvent]):
    results = OutcomeSerializer(many=True)


class SaleSerializer(serializers.Serializer[Any]):
    """A sale event and where it is: waiting in the inbox, or applied to the ledger."""

    event_id = serializers.UUIDField()
    store = serializers.CharField(source="store.code")
    status = serializers.ChoiceField(choices=SALE_STATUSES)
    kind = serializers.CharField()
    sku = serializers.CharField(allow_blank=True)
    barcode = serializers.CharField(required=False)
    quantity = QuantityField()
    amount = MoneyField(allow_null=True)
    receipt = serializers.CharField(allow_blank=True)
    occurred_at = serializers.DateTimeField()
    received_at = serializers.DateTimeField(required=False)
    seq = serializers.IntegerField(required=False, help_text="When applied.")
    recorded_at = serializers.DateTimeField(required=False)
    reason = serializers.ChoiceField(
        choices=ParkReason.choices, required=False, help_text="Why it is parked."
    )
    detail = serializers.CharField(required=False)
    dismiss_reason = serializers.CharField(required=False)

    def to_representation(self, instance: SaleEvent | Movement) -> dict[str, Any]:
        if isinstance(instance, Movement):
            return _present_applied(instance)
        return _present_waiting(instance)


class DismissSerializer(StrictSerializer):
    """Why an event shall never count."""

    reason = TextField(characters_max=250)


def _present_waiting(event: SaleEvent) -> dict[str, Any]:
    answer = _present_both(event) | {
        "status": event.status,
        "sku": event.sku,
        "quantity": write_quantity(event.quantity),
        "received_at": event.received_at,
    }
    optional = {
        "barcode": event.barcode,
        "reason": event.park_reason,
        "detail": event.detail,
        "dismiss_reason": event.dismiss_reason,
    }
    return answer | {name: text for name, text in optional.items() if text}


def _present_applied(movement: Movement) -> dict[str, Any]:
    return _present_both(movement) | {
        "status": "applied",
        "sku": movement.product.sku,
        "quantity": write_quantity(abs(movement.quantity)),
        "seq": movement.seq,
        "recorded_at": movement.recorded_at,
    }


def _present_both(row: SaleEvent | Movement) -> dict[str, Any]:
    return {
        "event_id": row.event_id,
        "store": row.store.code,
        "kind": row.kind,
        "amount": None if row.amount is None else write_money(row.amount),
        "receipt": row.receipt,
        "occurred_at": row.occurred_at,
    }
