"""Seals over the audit's entries, and over other tables of this class that only grow."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import DEFAULT_DB_ALIAS, IntegrityError, connections, transaction
from django.db.models import Max
from django.utils import timezone as clock

from accounts.audit import ENTRY_ADVISORY_LOCK
from accounts.audit_tables import AuditEntry, AuditSeal
from inventory_project.heads import Heads
from inventory_project.sealing import (
    SEAL_FIELDS,
    Chain,
    Checked,
    Keys,
    Seal,
    check_chain,
    make_seals,
)

ENTRIES = Chain(
    name="audit",
    table="accounts_auditentry",
    key="id",
    forms={
        1: (
            "id", "at", "action", "actor_kind", "actor_id", "actor", "address", "request_id",
            "object_type", "object_id", "object_name", "before", "after", "count",
        ),
    },
)  # fmt: skip


def seal_entries(keys: Keys) -> Seal | None:
    """Seal the audit's entries that are certain; returns the last seal made, if one was."""
    until = find_horizon()
    return seal_up_to(ENTRIES, keys, until) if until else None


def find_horizon() -> int:
    """The last entry's id where nobody can still commit one before it; 0 for not now.

    Ids are drawn before the commit, so a row may become visible behind others. Whoever writes an
    entry holds the lock shared until its commit: who gets it alone, sees all there are. It is
    given back at once, and never waited for: writers would have to wait behind us.
    """
    with transaction.atomic():
        connection = connections[DEFAULT_DB_ALIAS]
        # SQLite has one writer, so its ids are visible in their order.
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [ENTRY_ADVISORY_LOCK])
                if not cursor.fetchone()[0]:
                    return 0
        return AuditEntry.objects.aggregate(last=Max("id"))["last"] or 0


def seal_up_to(chain: Chain, keys: Keys, until: int) -> Seal | None:
    """Seal a chain's rows, of which all up to `until` are there; returns the last seal made."""
    tip = _read_tip(chain)
    made = None
    connection = connections[DEFAULT_DB_ALIAS]
    for seal in make_seals(connection, chain, keys, tip=tip, until=until, now=clock.now()):
        try:
            with transaction.atomic():
                AuditSeal.objects.create(chain=chain.name, **_values(seal))
        except IntegrityError:  # somebody else sealed it in the same moment
            return made
        made = seal
    return made


def check_sealed(
    chain: Chain, keys: Keys, heads: Mapping[int, str] | None = None, using: str = DEFAULT_DB_ALIAS
) -> Checked:
    """Check a chain from its first seal."""
    seals = AuditSeal.objects.using(using).filter(chain=chain.name).order_by("first")
    rows = map(to_seal, seals.values_list(*SEAL_FIELDS).iterator(chunk_size=500))
    return check_chain(connections[using], chain, keys, rows, heads)


def read_heads_of(chains: Iterable[Chain]) -> Heads:
    """The heads of these chains' newest seals, as heads.py writes them."""
    tips = [(chain.name, _read_tip(chain)) for chain in chains]
    return {name: (tip.last, tip.head.hex()) for name, tip in tips if tip}


def _read_tip(chain: Chain) -> Seal | None:
    seals = AuditSeal.objects.filter(chain=chain.name).order_by("-first")
    row = seals.values_list(*SEAL_FIELDS).first()
    return to_seal(row) if row else None


def to_seal(row: tuple[Any, ...]) -> Seal:
    """A row of SEAL_FIELDS; SQLite and PostgreSQL have different ideas of bytes."""
    values: list[Any] = [bytes(v) if isinstance(v, memoryview) else v for v in row]
    return Seal(*values)


def _values(seal: Seal) -> dict[str, Any]:
    return {name: getattr(seal, name) for name in SEAL_FIELDS}


def count_unsealed(chain: Chain, sealed: int) -> int:
    """How many rows stand behind the last seal."""
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {chain.table} WHERE {chain.key} > %s", [sealed])
        return int(cursor.fetchone()[0])
