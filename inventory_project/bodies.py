"""Bodies: JSON in UTF-8 read strictly, answers written by orjson."""

import json
from collections.abc import Callable
from typing import Any, NoReturn

import msgspec
import orjson
from django.conf import settings
from rest_framework import exceptions
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from inventory_project.errors import InvalidValue, TooMany


class LengthRequired(exceptions.APIException):
    status_code = 411
    default_code = "length_required"
    default_detail = "Send Content-Length with the body."


class JSONRenderer(BaseRenderer):
    """Answers by orjson. Also the fallback for refused Accept headers, so errors stay JSON."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None
    ) -> bytes:
        # UTC as Z everywhere: serializers write it so, plain datetimes would say +00:00.
        return b"" if data is None else orjson.dumps(data, option=orjson.OPT_UTC_Z)


def _refuse_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidValue("duplicate_key", "The body says the same key twice in one object.")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidValue("not_a_number", "NaN and Infinity are not JSON.")


def make_decoder(*, parse_float: Callable[[str], Any] | None = None) -> json.JSONDecoder:
    """A strict reader of JSON; `parse_float` is given a number with a point as it was written."""
    return json.JSONDecoder(
        object_pairs_hook=_refuse_duplicate_keys,
        parse_constant=_refuse_constant,
        parse_float=parse_float,
    )


STRICT = make_decoder()


class StrictJSONParser(BaseParser):
    """JSON in UTF-8, of a declared length, without anything a lenient parser takes in silence:
    duplicate keys, NaN, a byte-order mark, floats read as something near."""

    media_type = "application/json"
    decoder = STRICT

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        return parse_json(read_body(parser_context["request"], stream), self.decoder)


def read_sent(request: Request) -> Any:
    """The JSON document a request carries.

    Raises what the parser raises, and for no body at all: rest_framework would take that for an
    empty object, and a change of nothing would be answered as done.
    """
    if not request.META.get("CONTENT_LENGTH"):
        if request.META.get("HTTP_TRANSFER_ENCODING"):
            raise LengthRequired
        raise exceptions.ParseError("The body is empty.")
    if request.META["CONTENT_LENGTH"].strip() == "0":
        raise exceptions.ParseError("The body is empty.")
    return request.data


def _refuse_encodings(request: Request) -> None:
    charset = request.content_type.lower().partition("charset=")[2].partition(";")[0].strip('" ')
    if charset not in ("", "utf-8", "utf8"):
        raise exceptions.UnsupportedMediaType(
            "application/json", detail="Only JSON in UTF-8 is taken here."
        )
    if request.META.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise exceptions.UnsupportedMediaType(
            "application/json", detail="Send the body without Content-Encoding."
        )


def read_body(request: Request, stream: Any) -> bytes:
    """The bytes of a body in UTF-8 of a declared length. Raises LengthRequired, TooMany, 415."""
    _refuse_encodings(request)
    length = request.META.get("CONTENT_LENGTH") or ""
    if not (length.isascii() and length.isdecimal() and len(length) < 20):
        raise LengthRequired
    if int(length) > settings.REQUEST_BYTES_MAX:
        raise TooMany(f"The body must have at most {settings.REQUEST_BYTES_MAX} bytes.")
    try:
        body: bytes = stream.read(int(length))
    except OSError as error:
        raise exceptions.ParseError("The body ended early.") from error
    if len(body) < int(length):
        raise exceptions.ParseError("The body ended early.")
    return body


def read_as(body: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    """Read a body of a known shape; None for any other, and whatever the strict reader might read
    otherwise or refuse."""
    if b"\\" in body:
        return None
    try:
        read = decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return read if _says_no_more(body, read) else None


def _says_no_more(body: bytes, read: Any) -> bool:
    """Whether a body without backslashes says no more than was read of it.

    msgspec keeps the last of two equal keys. Without a backslash every quotation mark begins or
    ends a text, so a key that was dropped is missed when what was read is written again. The
    dashes are those of ids, which msgspec would also take without.
    """
    try:
        again = msgspec.json.encode(read)
    except (TypeError, ValueError, OverflowError):  # such as a number of more than 64 bits
        return False
    return again.count(b'"') == body.count(b'"') and again.count(b"-") == body.count(b"-")


def parse_json(body: bytes, decoder: json.JSONDecoder = STRICT) -> Any:
    """Read a JSON document. Raises rest_framework's ParseError with what is wrong with it."""
    try:
        return decoder.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise exceptions.ParseError("The body is not UTF-8.") from error
    except RecursionError as error:
        raise exceptions.ParseError("The body is nested too deeply.") from error
    except InvalidValue as error:
        raise exceptions.ParseError(error.detail) from error
    except ValueError as error:
        raise exceptions.ParseError("The body is not valid JSON.") from error
