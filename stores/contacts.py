"""Whom to call about a store: personal data, for head office and, to read, auditors.

It is in no list, no kept answer and no export; see stores.models.StoreContact.
"""

import re
from typing import NamedTuple

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import DEFAULT_DB_ALIAS
from django.db.models import QuerySet

from inventory_project.errors import InvalidValue
from inventory_project.fields import clean_text
from inventory_project.keyring import KeyRing
from stores.models import Store, StoreContact, normalise_phone
from stores.principals import Principal

NAME_CHARACTERS_MAX = 120
PHONE_CHARACTERS_MAX = 32
PHONE_DIGITS_MIN = 5
EMAIL_CHARACTERS_MAX = 254


class Contact(NamedTuple):
    """A person at a store; each part may be empty."""

    name: str = ""
    phone: str = ""
    email: str = ""


def may_see_contacts(principal: Principal) -> bool:
    """Whether this is a key of head office, or a person of it who has the permission."""
    return principal.reads_chain_wide and _may(principal, "stores.view_storecontact")


def may_write_contacts(principal: Principal) -> bool:
    """Whether this one may also change them."""
    return principal.works_chain_wide and _may(principal, "stores.change_storecontact")


def _may(principal: Principal, permission: str) -> bool:
    user = principal.user
    return user is None or user.has_perm(permission)


def read_contact(
    store: Store, *, ring: KeyRing | None = None, using: str = DEFAULT_DB_ALIAS
) -> Contact:
    """The contact of a store, of nothing but empty texts where it has none.

    Raises Unreadable.
    """
    row = StoreContact.objects.using(using).filter(store_id=store.pk).first()
    return Contact(**row.unseal(ring)) if row else Contact()


def find_stores(*, phone: str = "", email: str = "") -> QuerySet[StoreContact, int]:
    """The ids of stores whose contact has exactly this number or this address, however written."""
    rows = StoreContact.objects.filter(
        StoreContact.find("phone", phone) | StoreContact.find("email", email)
    )
    return rows.values_list("store_id", flat=True)


# --- reading what is sent -------------------------------------------------------------------


def clean_name(value: object) -> str:
    """Raises InvalidValue."""
    return clean_text(value, characters_max=NAME_CHARACTERS_MAX, required=False)


def clean_phone(value: object) -> str:
    """A telephone number as people write it, or nothing. Raises InvalidValue."""
    text = clean_text(value, characters_max=PHONE_CHARACTERS_MAX, required=False)
    if text and not (
        re.fullmatch(r"\+?[0-9 ()./-]+", text) and len(normalise_phone(text)) >= PHONE_DIGITS_MIN
    ):
        raise InvalidValue("phone", "must be a telephone number such as +92 42 111 222 333")
    return text


def clean_email(value: object) -> str:
    """An e-mail address, or nothing. Raises InvalidValue."""
    text = clean_text(value, characters_max=EMAIL_CHARACTERS_MAX, required=False)
    try:
        if text:
            validate_email(text)
    except ValidationError as error:
        raise InvalidValue("email", "must be an e-mail address") from error
    return text
