"""What happens to stores and keys: the one write module of this app."""

import secrets
import string
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, count
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone as clock

from accounts.audit import Action, Subject, describe_row, record
from inventory_project.caching import STAMP_BITS
from inventory_project.errors import Conflict, Invalid
from stores.authentication import hash_secret
from stores.contacts import Contact, read_contact
from stores.models import TILL_SCOPES, Scope, Store, StoreContact, StoreKey, StoresHead

KEY_PREFIX_CHARACTERS = 10
KEY_SECRET_BYTES = 32
# A key that shall work at once works also in a process whose clock is a day slow.
CLOCK_BEHIND_MAX = timedelta(days=1)
# How long a device has to be given its new key, while the old one still works.
OVERLAP = timedelta(hours=24)
OVERLAP_HOURS_MAX = 24 * 90
_PREFIX_ALPHABET = string.ascii_lowercase + string.digits


class StoreCodeTaken(Conflict):
    code = "store_code_taken"


class KeyKnown(Conflict):
    """A key that is to be adopted opens something here already."""

    code = "key_known"


class KeyNotRotated(Conflict):
    """A key that opens nothing, or one that has its successor already."""

    code = "key_not_rotated"


@dataclass(frozen=True)
class IssuedKey:
    """A key just made. `credential` is what the device sends; it is not stored anywhere."""

    key: StoreKey
    credential: str


@transaction.atomic
def register_store(
    *,
    code: str = "",
    name: str,
    retired: bool = False,
    contact: Contact | None = None,
    **fields: Any,
) -> Store:
    """Make a store and return it; `fields` are address, timezone, currency, negative_stock and,
    of one that comes from elsewhere, created_at. Without a code it gets `S<id>`.

    A chain that moves in brings closed shops along: those are registered `retired`, and the
    events they still send count.

    Raises StoreCodeTaken.
    """
    store = Store(name=name, retired_at=clock.now() if retired else None, **fields)
    store.code = code or uuid.uuid4().hex
    store.version = _next_version()
    try:
        with transaction.atomic():
            store.save(force_insert=True)
    except IntegrityError as error:
        if Store.objects.filter(code=code).exists():
            raise StoreCodeTaken("Another store has this code.", pointer="/code") from error
        raise
    if not code:
        _name_by_id(store)
    told = describe_row(store)
    if contact is not None and any(contact):
        _write_contact(store, contact)
        told["contact"] = True  # that there is one; the audit never says which
    record(Action.STORE_REGISTERED, subject_of_store(store), after=told)
    return store


def _name_by_id(store: Store) -> None:
    """Give a store just made the code `S<id>`, or `S<id>-2` and so on where that is taken.

    The lock on the list of stores is held: nobody else takes the code meanwhile.
    """
    codes = chain([f"S{store.pk}"], (f"S{store.pk}-{nth}" for nth in count(2)))
    store.code = next(code for code in codes if not Store.objects.filter(code=code).exists())
    store.save(update_fields=["code"])


@transaction.atomic
def change_store(
    store: Store, *, contact: Contact | Mapping[str, str] | None = None, **fields: Any
) -> Store:
    """Change name, address, timezone, currency or negative_stock; returns the store. A `contact`
    takes the place of the one before, which need not be readable; parts of one leave the others.

    The code stays for ever: it is in the addresses and journals of every till. Raises Unreadable.
    """
    version = _next_version()
    before = describe_row(Store.objects.get(pk=store.pk))
    for name, value in fields.items():
        setattr(store, name, value)
    store.version = version
    store.save(update_fields=[*fields, "version"])
    after = before | {n: v for n, v in describe_row(store).items() if n in fields}
    if contact is not None:
        # Behind the lock of the version: two who change a part each must not undo one another.
        whole = contact if isinstance(contact, Contact) else _complete_contact(store, contact)
        _write_contact(store, whole)
        after["contact"] = any(whole)
    record(Action.STORE_CHANGED, subject_of_store(store), before=before, after=after)
    return store


def _complete_contact(store: Store, parts: Mapping[str, str]) -> Contact:
    is_whole = len(parts) == len(Contact._fields)
    return Contact(**parts) if is_whole else read_contact(store)._replace(**parts)


def _write_contact(store: Store, contact: Contact) -> None:
    """Where nobody is named, no row says so."""
    if not any(contact):
        StoreContact.objects.filter(store_id=store.pk).delete()
        return
    row = StoreContact(store=store)
    row.seal(**contact._asdict())
    columns = (*Contact._fields, "phone_index", "email_index")
    StoreContact.objects.update_or_create(
        store_id=store.pk, defaults={name: getattr(row, name) for name in columns}
    )


def retire_store(store: Store) -> Store:
    """Close a store: no new documents, its keys are refused, late events still count."""
    return store if store.retired_at else change_store(store, retired_at=clock.now())


def restore_store(store: Store) -> Store:
    """Open a retired store again."""
    return change_store(store, retired_at=None) if store.retired_at else store


def scopes_for(store: Store | None) -> tuple[Scope, ...]:
    """All that a key of this store may be given; of head office, when it is None."""
    if store is None:
        return tuple(Scope)
    # One shop keeps its own products, by the addresses of the first version.
    return (*TILL_SCOPES, Scope.CATALOG_WRITE) if settings.SHOP else TILL_SCOPES


@transaction.atomic
def issue_key(
    *,
    name: str,
    store: Store | None,
    scopes: Sequence[str] | None = None,
    valid_from: datetime | None = None,
    expires_at: datetime | None = None,
    replaces: StoreKey | None = None,
) -> IssuedKey:
    """Make a device key of `store`, or a head-office key when it is None; with these scopes, or
    with all that such a key can have.

    The secret is in the answer and nowhere else: what is lost is replaced, not read again.
    Raises Invalid for a scope that such a key cannot have.
    """
    possible = scopes_for(store)
    chosen = possible if scopes is None else scopes
    if not set(chosen) <= set(possible):
        whose = "head office" if store is None else "a store"
        detail = f"a key of {whose} can have: {', '.join(possible)}"
        raise Invalid([("/scopes", "not_a_scope", detail)])
    prefix = "".join(secrets.choice(_PREFIX_ALPHABET) for _ in range(KEY_PREFIX_CHARACTERS))
    secret = secrets.token_urlsafe(KEY_SECRET_BYTES)
    key = StoreKey.objects.create(
        prefix=prefix,
        secret_sha256=hash_secret(secret),
        name=name,
        store=store,
        scopes=" ".join(scope for scope in Scope if scope in chosen),
        replaces=replaces,
        valid_from=valid_from or clock.now() - CLOCK_BEHIND_MAX,
        expires_at=expires_at,
    )
    record(Action.KEY_ISSUED, subject_of_key(key), after=describe_row(key))
    return IssuedKey(key=key, credential=f"{prefix}.{secret}")


@transaction.atomic
def revoke_key(key: StoreKey) -> StoreKey:
    """Refuse the key from the next request on; doing it twice keeps the first time."""
    working = StoreKey.objects.filter(pk=key.pk, revoked_at__isnull=True)
    is_first = working.update(revoked_at=clock.now()) == 1
    key.refresh_from_db()
    if is_first:
        _note_revoked(key)
    return key


def _note_revoked(key: StoreKey, using: str = DEFAULT_DB_ALIAS) -> None:
    told = {"revoked_at": key.revoked_at}
    before = dict.fromkeys(told)
    record(Action.KEY_REVOKED, subject_of_key(key), before=before, after=told, using=using)


def subject_of_store(store: Store) -> Subject:
    """The store as an audit entry names it."""
    return Subject("store", store.pk, store.code)


def subject_of_key(key: StoreKey) -> Subject:
    """The key as an audit entry names it."""
    return Subject("key", key.pk, key.prefix)


@transaction.atomic
def rotate_key(
    key: StoreKey, *, overlap: timedelta = OVERLAP, expires_at: datetime | None = None
) -> IssuedKey:
    """Make the key that follows this one: of the same store, name and scopes. The old one works
    until the overlap is over, so that its device can be given the new one in between.

    A key with an end gets a successor that lives as long, if no other end is told.
    Raises KeyNotRotated for a key that opens nothing or has been rotated.
    """
    found = StoreKey.objects.working().select_for_update(of=("self",)).filter(pk=key.pk)
    old: StoreKey | None = found.select_related("store").first()
    if old is None:
        raise KeyNotRotated("This key opens nothing any more. Issue a new one.")
    if StoreKey.objects.filter(replaces=old).exists():
        raise KeyNotRotated("This key has been rotated already. Rotate the one that follows it.")
    now = clock.now()
    if expires_at is None and old.expires_at is not None:
        expires_at = now + (old.expires_at - old.created_at)
    issued = issue_key(
        name=old.name,
        store=old.store,
        scopes=old.scopes.split(),
        expires_at=expires_at,
        replaces=old,
    )
    ends = now + overlap
    ends = min(old.expires_at or ends, ends)
    StoreKey.objects.filter(pk=old.pk).update(expires_at=ends)
    record(
        Action.KEY_CHANGED, subject_of_key(old),
        before={"expires_at": old.expires_at}, after={"expires_at": ends},
    )  # fmt: skip
    return issued


@transaction.atomic
def adopt_keys(*, store: Store, keys: Iterable[StoreKey]) -> dict[int, int]:
    """Give a store the keys it had in another database; returns the new ids by the old ones.

    Prefix and hash stay, so its devices notice nothing. A head-office key of there would open
    every store here: it becomes a revoked key of this store, and is only a name in its history
    (and in that of the next store of the same database). Raises KeyKnown.
    """
    now = clock.now()
    ids = {}
    for key in keys:
        known = StoreKey.objects.filter(prefix=key.prefix).first()
        if known and not _came_before(key, known):
            raise KeyKnown(f"There is a key {key.prefix} already.")
        ids[key.pk] = known.pk if known else _adopt_key(store, key, now).pk
    return ids


def _came_before(key: StoreKey, known: StoreKey) -> bool:
    """Whether a head-office key came with another store of its database."""
    is_same = known.secret_sha256 == key.secret_sha256
    return not key.store_id and known.revoked_at is not None and is_same


def _adopt_key(store: Store, key: StoreKey, now: datetime) -> StoreKey:
    adopted = StoreKey.objects.create(
        prefix=key.prefix,
        secret_sha256=key.secret_sha256,
        name=key.name,
        store=store,
        # What a shop's key did with its own products is head office's business here.
        scopes=" ".join(scope for scope in TILL_SCOPES if scope in key.scope_set),
        created_at=key.created_at,
        valid_from=key.valid_from,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at or (None if key.store_id else now),
    )
    record(Action.KEY_ISSUED, subject_of_key(adopted), after=describe_row(adopted))
    return adopted


def close_moved_store(store: Store, *, using: str) -> None:
    """Close a store of another database that was moved away: it is retired, its keys are revoked,
    and with the last open store those of head office."""
    now = clock.now()
    with transaction.atomic(using=using):
        version = _next_version(using)
        open_stores = Store.objects.using(using).active()
        if open_stores.filter(pk=store.pk).update(retired_at=now, version=version):
            told = {"retired_at": now}
            record(
                Action.STORE_CHANGED, subject_of_store(store),
                before=dict.fromkeys(told), after=told, using=using,
            )  # fmt: skip
        keys = StoreKey.objects.using(using).filter(revoked_at__isnull=True)
        _revoke_moved(keys.filter(store=store), now, using)
        if not open_stores.exists():
            _revoke_moved(keys.filter(store=None), now, using)


def _revoke_moved(keys: QuerySet[StoreKey], now: datetime, using: str) -> None:
    for key in keys:
        key.revoked_at = now
        key.save(using=using, update_fields=["revoked_at"])
        _note_revoked(key, using)


def _next_version(using: str = DEFAULT_DB_ALIAS) -> int:
    heads = StoresHead.objects.using(using)
    heads.get_or_create(id=1)
    head = heads.select_for_update().get(id=1)
    head.version += 1
    head.stamp = secrets.randbits(STAMP_BITS)
    head.save(update_fields=["version", "stamp"])
    return head.version
