"""Fields by their earlier names. A number may be a JSON number or, as forms send it, text."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

from rest_framework.request import Request

from catalog.editing import clean_category_name
from compat.bodies import Written
from inventory_project.bodies import read_sent
from inventory_project.errors import InvalidValue
from inventory_project.fields import (
    MONEY_PLACES,
    clean_text,
    parse_event_id,
    parse_money,
    parse_quantity,
)
from inventory_project.reading import Readers, read_object, read_one_of

# Far below the end of a bigint, which no id will reach.
ID_DIGITS_MAX = 18


def read_id(value: Any) -> int:
    """Read the id of a product or store. Raises InvalidValue."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not (isinstance(text, str) and text.isascii() and text.isdecimal()):
        raise InvalidValue("not_an_id", "must be a whole number")
    if len(text) > ID_DIGITS_MAX:
        raise InvalidValue("not_an_id", f"must have at most {ID_DIGITS_MAX} digits")
    return int(text)


def _exactly(parse: Callable[[Any], int]) -> Callable[[Any], int]:
    """Let a reader of exact numbers take those with a point, too."""
    return lambda value: parse(value.text if isinstance(value, Written) else value)


def _read_price(value: Any) -> Decimal:
    return Decimal(_exactly(parse_money)(value)).scaleb(-MONEY_PLACES)


_read_product_name = partial(clean_text, characters_max=250)
_read_store_name = partial(clean_text, characters_max=120)
_read_address = partial(clean_text, characters_max=250, required=False)
_read_time = partial(clean_text, characters_max=40)

FIRST_PRODUCT: Readers = {"name": _read_product_name, "category": clean_category_name}
SECOND_PRODUCT: Readers = {"name": _read_product_name, "price": _read_price}
THIRD_PRODUCT: Readers = {"productName": _read_product_name, "productPrice": _read_price}
SECOND_STORE: Readers = {"name": _read_store_name, "address": _read_address}
THIRD_STORE: Readers = {
    "storeName": _read_store_name,
    "storeAddres": _read_address,
    "storeAddress": _read_address,
}
MOVEMENT: Readers = {
    "quantity": _exactly(parse_quantity),
    "movementtype": read_one_of("add", "sales", "remove"),
    "event_id": parse_event_id,
}
ORDER: Readers = {
    "storeId": read_id,
    "quantity": _exactly(parse_quantity),
    "event_id": parse_event_id,
}
HISTORY: Readers = {"storeId": read_id, "from": _read_time, "to": _read_time}
_NOT_NEEDED = {"event_id", "storeAddres", "storeAddress"}


def read_fields(request: Request, readers: Readers) -> dict[str, Any]:
    """The checked fields of a body, all of them but the event's id needed. Raises Invalid."""
    return read_object(read_sent(request), readers, frozenset(readers.keys() - _NOT_NEEDED))
