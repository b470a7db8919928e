"""The body of `POST /api/orders/sales/`: envelope first, then each event by itself."""

from functools import partial
from typing import Any

from django.conf import settings

from inventory_project.errors import Invalid, TooMany
from inventory_project.fields import (
    clean_scanned_barcode,
    clean_sku,
    clean_text,
    parse_event_id,
    parse_instant,
    parse_money,
    parse_quantity,
    to_comparable_barcode,
)
from inventory_project.reading import (
    Readers,
    read_object,
    read_one_of,
    read_whole_number,
    refuse_both_or_neither,
)
from orders.judging import SaleLine
from orders.models import RECEIPT_CHARACTERS_MAX
from stock.models import Kind

_READERS: Readers = {
    "event_id": parse_event_id,
    "kind": read_one_of(Kind.SALE.value, Kind.RETURN.value),
    "sku": clean_sku,
    "barcode": lambda value: to_comparable_barcode(clean_scanned_barcode(value)),
    "quantity": parse_quantity,
    "occurred_at": parse_instant,
    "amount": parse_money,
    "receipt": partial(clean_text, characters_max=RECEIPT_CHARACTERS_MAX),
    "device_seq": read_whole_number(0, 2**63 - 1),
    "store": partial(clean_text, characters_max=32),
}
_REQUIRED = frozenset(("event_id", "quantity", "occurred_at"))


def read_batch(data: Any) -> list[Any] | None:
    """The events of `{"events": [...]}`, or None when the body is one event.

    Raises Invalid for a broken envelope, TooMany.
    """
    if not isinstance(data, dict):
        raise Invalid([("", "not_an_object", "must be a JSON object")])
    if "events" not in data:
        return None
    if len(data) > 1:
        raise Invalid([("", "unknown_field", "beside events nothing is known here")])
    events = data["events"]
    if not isinstance(events, list) or not events:
        raise Invalid([("/events", "empty", "must be a list of at least one event")])
    if len(events) > settings.BATCH_EVENTS_MAX:
        raise TooMany(f"At most {settings.BATCH_EVENTS_MAX} events at once.")
    return events


def parse_event(data: Any, *, is_device: bool) -> SaleLine:
    """Read one event. Raises Invalid with every field that is wrong."""
    values = read_object(data, _READERS, _REQUIRED)
    refuse_both_or_neither(values, "sku", "barcode")
    values["store_code"] = values.pop("store", None)
    if not is_device and values["store_code"] is None:
        raise Invalid([("/store", "required", "head-office keys say which store")])
    return SaleLine(**{"kind": Kind.SALE.value, **values})
