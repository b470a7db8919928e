"""What is noted of what happens: who, from where, in which request, what, before and after.

Write modules call `record` in the transaction of their change: both are there, or neither is.
Nothing secret or personal comes into an entry, and no character that does more than be read.
"""

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from django.db import DEFAULT_DB_ALIAS, connections, models, transaction

from accounts.audit_tables import AuditEntry
from inventory_project.origin import Origin, find_origin

# Whoever writes an entry holds this one shared until the commit; sealing.py asks for it alone.
ENTRY_ADVISORY_LOCK = 0x6B69_7279_6175_64  # "kiryaud"
TEXT_CHARACTERS_MAX = 500
HIDDEN = "(hidden)"
# Parts of the names of columns whose values are nobody's business.
_HIDDEN_NAMES = re.compile(
    r"password|secret|token|hash|sha256|e_?mail|phone|contact|first_name|last_name|cipher|encrypted"
)
# Of every change, and said better by the entry's own time.
_NOT_TOLD = frozenset(("version", "stamp", "last_login"))
# What moves a cursor, ends a line or turns the reading direction, and the sign that escapes them.
_HARMFUL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\\]"
)

Facts = Mapping[str, Any]


class Action(models.TextChoices):
    """What happens. Not a constraint of the table: a new one needs no migration."""

    STORE_REGISTERED = "store.registered", "Store registered"
    STORE_CHANGED = "store.changed", "Store changed"
    KEY_ISSUED = "key.issued", "Key issued"
    KEY_CHANGED = "key.changed", "Key changed"
    KEY_REVOKED = "key.revoked", "Key revoked"
    PERSON_ADDED = "person.added", "Person added"
    PERSON_CHANGED = "person.changed", "Person changed"
    POWERS_CHANGED = "person.powers", "Roles, permissions or stores of a person changed"
    ROLE_ADDED = "role.added", "Role added"
    ROLE_CHANGED = "role.changed", "Role changed"
    CATALOGUE_CHANGED = "catalog.changed", "Catalogue changed"
    SALE_DISMISSED = "sale.dismissed", "Sale dismissed"
    SETTINGS_CHANGED = "settings.changed", "Settings changed"
    FACTOR_ADDED = "second_factor.added", "Second factor added"
    FACTOR_REMOVED = "second_factor.removed", "Second factor removed"
    SIGN_ON_TIED = "single_sign_on.tied", "Single sign-on tied to a person"
    SIGN_ON_UNTIED = "single_sign_on.untied", "Single sign-on untied from a person"
    LOGGED_IN = "log_in.done", "Logged in"
    LOG_IN_FAILED = "log_in.failed", "Log-in failed"
    LOGGED_OUT = "log_out.done", "Logged out"
    REFUSED = "access.refused", "Access refused"
    EXPORTED = "export.made", "Exported"
    SHOP_MOVED = "shop.moved", "Shop moved in"
    RESTORED = "database.restored", "Database restored"


class Subject(NamedTuple):
    """What an entry is about; `name` is what people call it: a code, an SKU, a username."""

    type: str = ""
    id: Any = ""
    name: str = ""


NOTHING = Subject()


def record(
    action: str,
    subject: Subject = NOTHING,
    *,
    before: Facts | None = None,
    after: Facts | None = None,
    origin: Origin | None = None,
    using: str = DEFAULT_DB_ALIAS,
) -> None:
    """Note what happened, in the transaction that is open. With `before` and `after` only what
    differs is told; where nothing does, nothing happened and nothing is noted."""
    if before is not None and after is not None:
        changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        if not changed:
            return
        before, after = ({n: rows.get(n) for n in changed} for rows in (before, after))
    entry = make_entry(action, subject, before=before, after=after, origin=origin or find_origin())
    save_entry(entry, using=using)


@contextmanager
def watch(action: str, subject: Subject, describe: Callable[[], Facts]) -> Iterator[None]:
    """Note what changes meanwhile: `describe` is asked before and after, in one transaction."""
    with transaction.atomic():
        before = describe()
        yield
        record(action, subject, before=before, after=describe())


def make_entry(
    action: str,
    subject: Subject = NOTHING,
    *,
    origin: Origin,
    before: Facts | None = None,
    after: Facts | None = None,
) -> AuditEntry:
    """The unsaved entry."""
    return AuditEntry(
        action=escape(action)[:32],
        actor_kind=origin.kind,
        actor_id=origin.id,
        actor=escape(origin.name)[:200],
        address=escape(origin.address)[:64],
        request_id=escape(origin.request_id)[:64],
        object_type=subject.type,
        object_id=escape(str(subject.id))[:64],
        object_name=escape(subject.name)[:250],
        before=_write(before),
        after=_write(after),
    )


def save_entry(entry: AuditEntry, *, using: str = DEFAULT_DB_ALIAS) -> None:
    """Write an entry, for sealing to find no sooner than all before it can be seen."""
    # No savepoint: a change whose entry cannot be written is not made.
    with transaction.atomic(using=using, savepoint=False):
        if connections[using].vendor == "postgresql":
            with connections[using].cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [ENTRY_ADVISORY_LOCK])
        entry.save(force_insert=True, using=using)


def describe_row(row: models.Model) -> dict[str, Any]:
    """A row's columns as they may be told, those of later migrations as well."""
    return {
        field.attname: _hide(field.attname, field.value_from_object(row))
        for field in row._meta.concrete_fields
        if not field.primary_key and field.attname not in _NOT_TOLD
    }


class _Hidden(str):
    """Equal to another of the same value only, and told as HIDDEN: that it changed is no secret."""


def _hide(name: str, value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return _Hidden(bytes(value).hex())
    return _Hidden(value or "") if _HIDDEN_NAMES.search(name) else value


def escape(text: str) -> str:
    """The text with every control character, and the backslash, as an escape that can be read."""
    return _HARMFUL.sub(_escape_one, text)


def _escape_one(found: re.Match[str]) -> str:
    code = ord(found[0])
    if found[0] == "\\":
        return "\\\\"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _write(facts: Facts | None) -> str:
    if facts is None:
        return ""
    told = {escape(name): _plain(name, value) for name, value in facts.items()}
    return json.dumps(told, ensure_ascii=False)


def _plain(name: str, value: Any) -> Any:
    if value and (isinstance(value, _Hidden) or _HIDDEN_NAMES.search(name)):
        return HIDDEN
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping):
        return {escape(str(n)): _plain(str(n), v) for n, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(name, one) for one in value]
    text = value.isoformat() if isinstance(value, dt.date) else str(value)
    cut = text if len(text) <= TEXT_CHARACTERS_MAX else f"{text[:TEXT_CHARACTERS_MAX]}…"
    return escape(cut)
