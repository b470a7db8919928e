"""Who is behind what happens now, from where, and under which request's id.

The doors say it once, here; a write module asks when it has something to note, and needs no
request in its hands. Outside a request it is the program itself: `manage.py createkey`, say.
"""

import getpass
import re
import socket
import sys
import uuid
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from inventory_project.limits import read_address

REQUEST_ID_HEADER = "X-Request-ID"
REQUEST_ID_PATTERN = r"[A-Za-z0-9._-]{8,64}"

PERSON, KEY, PROGRAM, NOBODY = "person", "key", "program", "nobody"

_request: ContextVar[HttpRequest | None] = ContextVar("request", default=None)


@dataclass(frozen=True, slots=True)
class Origin:
    """`kind` is one of PERSON, KEY, PROGRAM and NOBODY; `name` is a username, the first part of a
    key, or a command and whose it was."""

    kind: str
    id: int | None = None
    name: str = ""
    address: str = ""
    request_id: str = ""


class NameRequests:
    """Middleware: gives each request an id, told in the answer, and remembers whose turn it is.

    The id that a gateway gave is kept where we are told to stand behind one: anybody else could
    write somebody else's.
    """

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request.id = _read_id(request) or uuid.uuid4().hex  # type: ignore[attr-defined]
        token = _request.set(request)
        try:
            response: HttpResponseBase = self.get_response(request)
        finally:
            _request.reset(token)
        response[REQUEST_ID_HEADER] = request.id  # type: ignore[attr-defined]
        return response


def _read_id(request: HttpRequest) -> str:
    given: str = request.META.get("HTTP_X_REQUEST_ID", "")
    is_taken = settings.BEHIND_TLS_GATEWAY and re.fullmatch(REQUEST_ID_PATTERN, given)
    return given if is_taken else ""


def find_origin() -> Origin:
    """Who acts now."""
    request = _request.get()
    return _describe_program() if request is None else describe_request(request)


def describe_sender(meta: Mapping[str, Any], key: Any) -> Origin:
    """Who sent what Django never saw: the key, or, where it is None, nobody we know."""
    if key is None:
        return Origin(NOBODY, address=read_address(meta))
    return Origin(KEY, key.pk, key.prefix, read_address(meta))


def describe_request(request: HttpRequest) -> Origin:
    """Who sent this request: a key, a person signed in, or nobody we know."""
    address, request_id = read_address(request.META), getattr(request, "id", "")
    # rest_framework puts whom it found in the place of Django's user.
    found = getattr(request, "user", None)
    key, person = getattr(found, "key", None), getattr(found, "user", found)
    if key is not None:
        return Origin(KEY, key.pk, key.prefix, address, request_id)
    if getattr(person, "pk", None) is not None:
        return Origin(PERSON, person.pk, person.get_username(), address, request_id)  # type: ignore[union-attr]
    return Origin(NOBODY, address=address, request_id=request_id)


@cache
def _describe_program() -> Origin:
    # Never more than the name of the command: what follows it may be secret.
    path, *words = [Path(sys.argv[0]), *sys.argv[1:]]
    program = path.parent.name if path.name == "__main__.py" else path.name
    command = f"{program} {words[0]}" if program == "manage.py" and words else program
    return Origin(PROGRAM, name=f"{command} as {getpass.getuser()}", address=socket.gethostname())
