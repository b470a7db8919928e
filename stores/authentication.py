"""Doors for devices (`Authorization: Api-Key <prefix>.<secret>`) and for staff (session)."""

import hashlib
import hmac
import logging
from collections.abc import Callable, Collection, Sequence
from functools import cache, lru_cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, models
from django.utils import timezone as clock
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from accounts.proofs import is_second_factor_given
from inventory_project.rows import adapt_value, be_among, run_planned
from stores.key_use import note_use
from stores.models import Store, StoreKey
from stores.principals import Principal

logger = logging.getLogger(__name__)

SCHEME = "Api-Key"
KEY_CHARACTERS_MAX = 200
_NOBODYS_HASH = hashlib.sha256(b"nobody").hexdigest()


# Asked by every request, where writing this statement by the ORM took most of the time.
# Times are left out, SQLite's cursor gives them as text; a working key's store is not retired.
_KEY_FIELDS = [
    f.attname for f in StoreKey._meta.concrete_fields if not isinstance(f, models.DateTimeField)
]
_STORE_FIELDS = [f.attname for f in Store._meta.concrete_fields if f.name != "created_at"]
_FIND_WORKING_KEYS = f"""
SELECT {", ".join(f"key.{name}" for name in _KEY_FIELDS)},
       {", ".join(f"store.{name}" for name in _STORE_FIELDS)}
  FROM stores_storekey AS key
  LEFT JOIN stores_store AS store ON store.id = key.store_id
 WHERE key.prefix {{known}}
   AND key.revoked_at IS NULL AND store.retired_at IS NULL
   AND key.valid_from <= %s AND (key.expires_at IS NULL OR key.expires_at > %s)
"""
_PREFIX_PLACE = _KEY_FIELDS.index("prefix")
_KNOWN_PRINCIPALS_MAX = 10_000
_KNOWN_STORES_MAX = 3_000
_store_ids: dict[str, int | None] = {}  # of keys that opened a door, by their prefix

Row = tuple[Any, ...]


def find_working_key(prefix: str) -> StoreKey | None:
    """The key of this prefix that opens doors now, with its store: not revoked, in its time, of a
    store that is not retired."""
    row = _find_rows({prefix}).get(prefix)
    return None if row is None else _make_key(row, _make_store)


def find_principals(headers: Sequence[str]) -> list[Principal | None]:
    """Who sent each of these Authorization headers; None for a key that opens nothing.

    One statement for all of them. Principals are shared between requests: only to be read.
    """
    credentials = [_read_credential(header) for header in headers]
    prefixes = {credential[0] for credential in credentials if credential}
    rows = _find_rows(prefixes) if prefixes else {}
    return [credential and _open(credential, rows) for credential in credentials]


def _open(credential: tuple[str, str], rows: dict[str, Row]) -> Principal | None:
    prefix, secret = credential
    row = rows.get(prefix)
    principal = None if row is None else _make_principal(row)
    key = principal.key if principal else None
    return principal if _is_secret_of(key, secret) else None


def _find_rows(prefixes: Collection[str]) -> dict[str, Row]:
    now = adapt_value(connection, clock.now())
    known, params = be_among(connection, prefixes)
    rows = run_planned(connection, _FIND_WORKING_KEYS.format(known=known), [*params, now, now])
    return {row[_PREFIX_PLACE]: row for row in rows}


def _make_store(row: Row) -> Store:
    return Store.from_db(DEFAULT_DB_ALIAS, _STORE_FIELDS, row)


def _make_key(row: Row, make_store: Callable[[Row], Store]) -> StoreKey:
    of_key, of_store = row[: len(_KEY_FIELDS)], row[len(_KEY_FIELDS) :]
    key = StoreKey.from_db(DEFAULT_DB_ALIAS, _KEY_FIELDS, of_key)
    key.store = make_store(of_store) if key.store_id else None
    return key


_find_made_store = lru_cache(_KNOWN_STORES_MAX)(_make_store)  # one for all tills of a store


@lru_cache(_KNOWN_PRINCIPALS_MAX)
def _make_principal(row: Row) -> Principal:
    """Remembered by all that the row says: the row itself is read on every request."""
    key = _make_key(row, _find_made_store)
    if len(_store_ids) >= _KNOWN_PRINCIPALS_MAX:
        _store_ids.clear()
    _store_ids[key.prefix] = key.store_id
    return Principal(store=key.store, key=key)


def recall_store_id(prefix: str) -> int | None:
    """The store of a key that this process has let in, without a look at the database: to share
    places in a crowd, never to let anybody in."""
    return _store_ids.get(prefix)


@cache
def _make_nobodys_row() -> Row:
    key, store = StoreKey(store_id=-1), Store()
    of_key = [getattr(key, name) for name in _KEY_FIELDS]
    return (*of_key, *(getattr(store, name) for name in _STORE_FIELDS))


def _read_credential(header: str) -> tuple[str, str] | None:
    """Prefix and secret, of a header that could be one of ours."""
    scheme, _, credential = header.partition(" ")
    prefix, _, secret = credential.strip().partition(".")
    if scheme.lower() != SCHEME.lower() or len(credential) > KEY_CHARACTERS_MAX:
        return None
    if not (prefix.isascii() and prefix.isalnum() and secret.isascii()):
        return None
    return prefix, secret


def _is_secret_of(key: StoreKey | None, secret: str) -> bool:
    # Compared even when there is no such prefix: the time must not tell which one is real.
    expected = key.secret_sha256 if key else _NOBODYS_HASH
    if not hmac.compare_digest(hash_secret(secret), expected) or key is None:
        return False
    note_use(key.pk)
    return True


def hash_secret(secret: str) -> str:
    """SHA-256 in hex. The secret is 256 random bits, so no slow hash is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


class KeyRefused(AuthenticationFailed):
    """No such key, or it does not work now, or its secret is wrong: all told alike."""

    default_code = "key_refused"
    default_detail = "This key does not open anything."
    auth_header = SCHEME


class ApiKeyAuthentication(BaseAuthentication):
    """Looks the key up on every request, so a revoked one fails on the next."""

    def authenticate(self, request: Request) -> tuple[Principal, StoreKey] | None:
        header = request.META.get("HTTP_AUTHORIZATION", "")
        if not header:
            self._warn_of_key_in_address(request)
            return None
        key = self._find_key(header)
        if key is None:
            raise KeyRefused
        return Principal(store=key.store, key=key), key

    def authenticate_header(self, request: Request) -> str:
        return SCHEME

    def _find_key(self, header: str) -> StoreKey | None:
        credential = _read_credential(header)
        if credential is None:
            return None
        prefix, secret = credential
        key = find_working_key(prefix)
        if key is None:  # made all the same: it takes longer than anything else here
            _make_key(_make_nobodys_row(), _make_store)
        return key if _is_secret_of(key, secret) else None

    def _warn_of_key_in_address(self, request: Request) -> None:
        # An address ends up in logs and histories. Name the parameter, never its value.
        names = {"key", "api_key", "apikey", "api-key", "token", "authorization"}
        found = names & {name.lower() for name in request.GET}
        if found:
            logger.warning("A key was sent in the address (%s); revoke it.", ", ".join(found))


class StaffSessionAuthentication(SessionAuthentication):
    """A person of staff signed in to the back office, from the same browser; CSRF is checked."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        answer = super().authenticate(request)
        if answer is None or not answer[0].is_staff:
            return None
        if not is_second_factor_given(request._request, answer[0]):
            # StaffAuthenticationMiddleware has said so already; this door does not rely on it.
            return None
        return Principal(user=answer[0]), None

    def enforce_csrf(self, request: Request) -> None:
        try:
            super().enforce_csrf(request)
        except PermissionDenied as error:
            # Django's reason repeats the Origin or Referer it was sent.
            raise PermissionDenied("The CSRF token is missing or wrong.", "csrf") from error


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "stores.authentication.ApiKeyAuthentication"
    name = "ApiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Api-Key <prefix>.<secret>`",
        }


class StaffSessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "stores.authentication.StaffSessionAuthentication"
    name = "StaffSession"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}
