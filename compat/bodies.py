"""Bodies as the earlier versions took them: JSON with decimal numbers, and forms."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from rest_framework import exceptions
from rest_framework.parsers import BaseParser

from inventory_project.bodies import StrictJSONParser, make_decoder, read_body

FORM_FIELDS_MAX = 50


@dataclass(frozen=True, slots=True)
class Written:
    """A JSON number with a point, as it was written: a float would have lost digits."""

    text: str


class EarlierJSONParser(StrictJSONParser):
    """JSON as everywhere, but 249.50 is a price and 0.250 a quantity."""

    decoder = make_decoder(parse_float=Written)


class FormParser(BaseParser):
    """A form in UTF-8; all its values are text. As strict as JSON about copies of a field."""

    media_type = "application/x-www-form-urlencoded"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        body = read_body(parser_context["request"], stream)
        try:
            pairs = parse_qsl(
                body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict",
                max_num_fields=FORM_FIELDS_MAX,
            )  # fmt: skip
        except ValueError as error:
            raise exceptions.ParseError("The body is not a form in UTF-8.") from error
        fields = dict(pairs)
        if len(fields) != len(pairs):
            raise exceptions.ParseError("The body says the same field twice.")
        return fields
