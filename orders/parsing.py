"""The body of `POST /api/orders/sales/`: envelope first, then each event by itself."""

import uuid
from functools import partial
from typing import Any, Literal

import msgspec
from django.conf import settings
from msgspec import UNSET, UnsetType

from inventory_project.bodies import read_as
from inventory_project.errors import Invalid, InvalidValue, TooMany
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

_read_receipt = partial(clean_text, characters_max=RECEIPT_CHARACTERS_MAX)
_read_store = partial(clean_text, characters_max=32)
_read_device_seq = read_whole_number(0, 2**63 - 1)


def _read_barcode(value: Any) -> str:
    return to_comparable_barcode(clean_scanned_barcode(value))


_READERS: Readers = {
    "event_id": parse_event_id,
    "kind": read_one_of(Kind.SALE.value, Kind.RETURN.value),
    "sku": clean_sku,
    "barcode": _read_barcode,
    "quantity": parse_quantity,
    "occurred_at": parse_instant,
    "amount": parse_money,
    "receipt": _read_receipt,
    "device_seq": _read_device_seq,
    "store": _read_store,
}
_SALE = Kind.SALE.value  # an enumeration's value is looked up by a function, each time
_REQUIRED = frozenset(("event_id", "quantity", "occurred_at"))


# --- as nearly all are ------------------------------------------------------------------------


class PlainEvent(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """An event of the right fields and JSON types; its values are still as they were sent."""

    event_id: uuid.UUID
    quantity: int | str
    occurred_at: str
    kind: Literal["sale", "return"] | UnsetType = UNSET
    sku: str | UnsetType = UNSET
    barcode: str | UnsetType = UNSET
    amount: int | str | UnsetType = UNSET
    receipt: str | UnsetType = UNSET
    device_seq: int | UnsetType = UNSET
    store: str | UnsetType = UNSET


class PlainBatch(msgspec.Struct, forbid_unknown_fields=True):
    events: list[PlainEvent]


_PLAIN = msgspec.json.Decoder(PlainEvent)
_PLAIN_BATCH = msgspec.json.Decoder(PlainBatch)


def read_plainly(body: bytes) -> PlainEvent | list[PlainEvent] | None:
    """The events of a body, if all have the right fields and types; None leaves it to who says
    what is wrong, in the words of the functions below."""
    if body.lstrip()[:9] == b'{"events"':
        batch: PlainBatch | None = read_as(body, _PLAIN_BATCH)
        taken = batch and 0 < len(batch.events) <= settings.BATCH_EVENTS_MAX
        return batch.events if batch and taken else None
    event: PlainEvent | None = read_as(body, _PLAIN)
    return event


def make_line(event: PlainEvent, *, is_device: bool) -> SaleLine:
    """A line of an event's values, by the same readers. Raises InvalidValue for a wrong one."""
    if (event.sku is UNSET) == (event.barcode is UNSET) or event.event_id.int == 0:
        raise InvalidValue("", "")
    if event.store is UNSET and not is_device:
        raise InvalidValue("", "")
    return SaleLine(  # in the order of its fields: by name it takes twice as long
        event.event_id,
        event.kind or _SALE,
        parse_quantity(event.quantity),
        parse_instant(event.occurred_at),
        "" if event.sku is UNSET else clean_sku(event.sku),
        "" if event.barcode is UNSET else _read_barcode(event.barcode),
        None if event.amount is UNSET else parse_money(event.amount),
        "" if event.receipt is UNSET else _read_receipt(event.receipt),
        None if event.device_seq is UNSET else _read_device_seq(event.device_seq),
        None if event.store is UNSET else _read_store(event.store),
    )


# --- each field by itself, and what is wrong with it ------------------------------------------


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
    return SaleLine(**{"kind": _SALE, **values})
