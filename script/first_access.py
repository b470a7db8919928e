"""Make the way in to a fresh database: an administrator, two keys and something to sell.

Runs inside Django: `manage.py shell -c "from script.first_access import main; main()"`. Reads the
credentials of an earlier start as JSON, keeps those that still work, and writes all as JSON.
"""

import json
import secrets
import sys
from typing import Any

from django.conf import settings

from accounts.models import User
from catalog.models import Product, Unit
from inventory_project.fields import QUANTITY_PLACES
from stock.models import Level
from stores.authentication import hash_secret
from stores.models import Store, StoreKey
from stores.registry import issue_key, register_store

ADMIN_USER = "admin"
KEY_NAME = "script/server"
PLENTY_UNITS = 20
SHOP_CODE, SHOP_NAME = "SHOP", "My shop"


def main() -> None:
    """Read the earlier credentials, write the present ones."""
    json.dump(ensure_access(json.load(sys.stdin)), sys.stdout)


def ensure_access(earlier: dict[str, Any]) -> dict[str, Any]:
    """Return admin_user, admin_password, head_office_key, store_key, store and sku.

    `sku` is None where nothing is sold, the keys are None where no store is open. `earlier` is
    such an answer or empty; what still works in it stays.
    """
    store_key, store = _ensure_store_key(earlier.get("store_key", ""))
    return {
        "admin_user": ADMIN_USER,
        "admin_password": _ensure_admin(earlier.get("admin_password", "")),
        "head_office_key": _ensure_head_office_key(earlier.get("head_office_key", ""), store),
        "store_key": store_key,
        "store": store.code if store else None,
        "sku": _find_sku(store),
    }


def _ensure_admin(password: str) -> str:
    user = User.objects.filter(username=ADMIN_USER).first()
    if user and password and user.is_active and user.is_superuser and user.check_password(password):
        return password
    password = secrets.token_urlsafe(12)
    user = user or User(username=ADMIN_USER)
    user.is_active = user.is_staff = user.is_superuser = True
    user.set_password(password)
    user.save()
    return password


def _ensure_head_office_key(credential: str, store: Store | None) -> str | None:
    """None in a shop that is closed: with a new key it would sell on after it was moved."""
    key = _find_key(credential)
    if key and key.store is None:
        return credential
    if settings.SHOP and store is None:
        return None
    return issue_key(name=KEY_NAME, store=None).credential


def _ensure_store_key(credential: str) -> tuple[str | None, Store | None]:
    key = _find_key(credential)
    if key and key.store:
        return credential, key.store
    store = Store.objects.active().order_by("code").first()
    if settings.SHOP and not Store.objects.exists():
        store = register_store(code=SHOP_CODE, name=SHOP_NAME)
    if store is None:
        return None, None
    return issue_key(name=KEY_NAME, store=store).credential, store


def _find_key(credential: str) -> StoreKey | None:
    prefix, _, secret = (credential or "").partition(".")
    keys = StoreKey.objects.working().select_related("store")
    return keys.filter(prefix=prefix, secret_sha256=hash_secret(secret)).first()


def _find_sku(store: Store | None) -> str | None:
    """Prefer what the store has plenty of, so that the printed sale leaves a level to look at."""
    levels = Level.objects.filter(
        store=store,
        quantity__gte=PLENTY_UNITS * 10**QUANTITY_PLACES,
        product__unit=Unit.EACH,
        product__retired_at__isnull=True,
    )
    if level := levels.select_related("product").order_by("product__sku").first():
        return str(level.product.sku)
    product = Product.objects.active().filter(unit=Unit.EACH).order_by("sku").first()
    return product.sku if product else None
