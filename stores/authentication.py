"""Doors for devices (`Authorization: Api-Key <prefix>.<secret>`) and for staff (session)."""

import hashlib
import hmac
import logging
from typing import Any

from django.db import connection, models
from django.utils import timezone as clock
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from inventory_project.rows import adapt_value
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
_FIND_WORKING_KEY = f"""
SELECT {", ".join(f"key.{name}" for name in _KEY_FIELDS)},
       {", ".join(f"store.{name}" for name in _STORE_FIELDS)}
  FROM stores_storekey AS key
  LEFT JOIN stores_store AS store ON store.id = key.store_id
 WHERE key.prefix = %s
   AND key.revoked_at IS NULL AND store.retired_at IS NULL
   AND key.valid_from <= %s AND (key.expires_at IS NULL OR key.expires_at > %s)
"""


def find_working_key(prefix: str) -> StoreKey | None:
    """The key of this prefix that opens doors now, with its store: not revoked, in its time, of a
    store that is not retired."""
    now = adapt_value(connection, clock.now())
    with connection.cursor() as cursor:
        cursor.execute(_FIND_WORKING_KEY, [prefix, now, now])
        row = cursor.fetchone()
    if row is None:
        return None
    of_key, of_store = row[: len(_KEY_FIELDS)], row[len(_KEY_FIELDS) :]
    key = StoreKey.from_db(connection.alias, _KEY_FIELDS, of_key)
    key.store = Store.from_db(connection.alias, _STORE_FIELDS, of_store) if key.store_id else None
    return key


def hash_secret(secret: str) -> str:
    """SHA-256 in hex. The secret is 256 random bits, so no slow hash is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


class ApiKeyAuthentication(BaseAuthentication):
    """Looks the key up on every request, so a revoked one fails on the next."""

    def authenticate(self, request: Request) -> tuple[Principal, StoreKey] | None:
        header = request.META.get("HTTP_AUTHORIZATION", "")
        if not header:
            self._warn_of_key_in_address(request)
            return None
        key = self._find_key(header)
        if key is None:
            raise AuthenticationFailed("This key does not open anything.", code="key_refused")
        return Principal(store=key.store, key=key), key

    def authenticate_header(self, request: Request) -> str:
        return SCHEME

    def _find_key(self, header: str) -> StoreKey | None:
        scheme, _, credential = header.partition(" ")
        prefix, _, secret = credential.strip().partition(".")
        if scheme.lower() != SCHEME.lower() or len(credential) > KEY_CHARACTERS_MAX:
            return None
        if not (prefix.isascii() and prefix.isalnum() and secret.isascii()):
            return None
        key = find_working_key(prefix)
        # Compared even when there is no such prefix: the time must not tell which one is real.
        expected = key.secret_sha256 if key else _NOBODYS_HASH
        return key if hmac.compare_digest(hash_secret(secret), expected) and key else None

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
