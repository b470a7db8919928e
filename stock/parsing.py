"""The body of `POST /api/stock/movements/`, checked line by line before anything is asked."""

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
    parse_signed_quantity,
    to_comparable_barcode,
)
from inventory_project.reading import Readers, read_object, read_one_of, refuse_both_or_neither
from stock.ledger import Line
from stock.models import Kind, Reason

KINDS_BY_HAND = (Kind.RECEIPT, Kind.RETURN, Kind.WASTE, Kind.ADJUSTMENT)
# Goods that vanish without a customer or a vendor need a reason; the others are their own.
KINDS_WITH_REASON = frozenset((Kind.WASTE, Kind.ADJUSTMENT))

_READERS: Readers = {
    "event_id": parse_event_id,
    "kind": read_one_of(*(kind.value for kind in KINDS_BY_HAND)),
    "sku": clean_sku,
    "barcode": lambda value: to_comparable_barcode(clean_scanned_barcode(value)),
    "quantity": parse_signed_quantity,
    "occurred_at": parse_instant,
    "amount": parse_money,
    "receipt": partial(clean_text, characters_max=64),
    "reason": read_one_of(*Reason.values),
}
_STORE_READER = {"store": partial(clean_text, characters_max=32)}
_REQUIRED = frozenset(("event_id", "kind", "quantity", "occurred_at"))


def parse_lines(data: Any) -> tuple[list[Line], str | None, bool]:
    """Read one movement, or `{"movements": [...]}`; both may name a `store`.

    Returns the lines, the store's code if named, and whether it was a batch. Raises Invalid
    with pointers into the body, TooMany.
    """
    if not isinstance(data, dict):
        raise Invalid([("", "not_an_object", "must be a JSON object")])
    rest = dict(data)
    code = None
    if "store" in rest:
        code = read_object({"store": rest.pop("store")}, _STORE_READER, frozenset())["store"]
    if "movements" not in rest:
        return [_parse_line(rest)], code, False
    return _parse_batch(rest), code, True


def _parse_batch(data: dict[str, Any]) -> list[Line]:
    rows = data.pop("movements")
    if data:
        raise Invalid([("", "unknown_field", "beside movements only store is known")])
    if not isinstance(rows, list) or not rows:
        raise Invalid([("/movements", "empty", "must be a list of at least one movement")])
    if len(rows) > settings.BATCH_EVENTS_MAX:
        raise TooMany(f"At most {settings.BATCH_EVENTS_MAX} movements at once.")
    lines, errors = [], []
    for number, row in enumerate(rows):
        try:
            lines.append(_parse_line(row))
        except Invalid as error:
            errors += [(f"/movements/{number}{p}", code, text) for p, code, text in error.errors]
    if errors:
        raise Invalid(errors)
    return lines


def _parse_line(data: Any) -> Line:
    values = read_object(data, _READERS, _REQUIRED)
    refuse_both_or_neither(values, "sku", "barcode")
    kind = values["kind"]
    if kind != Kind.ADJUSTMENT and values["quantity"] < 0:
        raise Invalid([("/quantity", "min_value", "must be more than 0")])
    if kind in KINDS_WITH_REASON and "reason" not in values:
        raise Invalid([("/reason", "required", f"is needed for {kind}")])
    if kind not in KINDS_WITH_REASON and "reason" in values:
        raise Invalid([("/reason", "unexpected", f"is not taken for {kind}")])
    return Line(**values)
