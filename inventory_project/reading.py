"""From a JSON object to checked values, for the doors that take thousands of lines a second.

A serializer would do the same at a many times higher price; the rules themselves are the
functions of fields.py, which serializers use too.
"""

from collections.abc import Callable, Mapping
from typing import Any

from inventory_project.errors import Invalid, InvalidValue

Readers = Mapping[str, Callable[[Any], Any]]


def read_object(data: Any, readers: Readers, required: frozenset[str]) -> dict[str, Any]:
    """Read each field of a JSON object with its reader.

    Raises Invalid with every unknown, missing and wrong field, pointers like `/quantity`. An
    explicit null is a wrong value, not an absent one.
    """
    if not isinstance(data, dict):
        raise Invalid([("", "not_an_object", "must be a JSON object")])
    errors: list[tuple[str, str, str]] = []
    values: dict[str, Any] = {}
    for name, raw in data.items():
        reader = readers.get(name)
        if reader is None:
            errors.append((f"/{shorten_name(name)}", "unknown_field", "is not a known field"))
            continue
        try:
            values[name] = reader(raw)
        except InvalidValue as error:
            errors.append((f"/{name}", error.code, error.detail))
    if not required <= data.keys():
        missing = sorted(required - data.keys())
        errors.extend((f"/{name}", "required", "is missing") for name in missing)
    if errors:
        raise Invalid(errors)
    return values


def shorten_name(name: str) -> str:
    """A field's name is the caller's text: enough of it to be found, in plain characters."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in name[:64])


def read_one_of(*choices: str) -> Callable[[Any], str]:
    """A reader that takes exactly these words."""
    known = frozenset(choices)

    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in known:
            listed = ", ".join(choice or "nothing" for choice in choices)
            raise InvalidValue("not_a_choice", f"must be one of: {listed}")
        return value

    return read


def read_whole_number(low: int, high: int) -> Callable[[Any], int]:
    """A reader of JSON integers from `low` to `high`."""

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InvalidValue("out_of_range", f"must be a whole number from {low} to {high}")
        return value

    return read


def refuse_both_or_neither(values: Mapping[str, Any], first: str, second: str) -> None:
    """Raises Invalid unless exactly one of two fields is there."""
    if (first in values) == (second in values):
        raise Invalid([("", f"{first}_or_{second}", f"needs either {first} or {second}")])
