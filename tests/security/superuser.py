"""Somebody with all rights in the database and none outside of it, who changes what was sealed."""

import random
import uuid
from contextlib import contextmanager
from datetime import timedelta

import psycopg
from django.db import DatabaseError, connection, connections, models, transaction

from accounts.models import AuditEntry, AuditSeal
from catalog.models import ProductChange
from stock.models import LedgerSeal, Movement
from tests.environment import OWNER_URL

ALIAS = "owner"
# The column by which a chain is ordered, beside the store or the name of the chain.
NUMBERS = {
    AuditEntry: "id", ProductChange: "version", Movement: "seq", AuditSeal: "first",
    LedgerSeal: "first_seq",
}  # fmt: skip
GROUPS = {Movement: "store_id", LedgerSeal: "store_id", AuditSeal: "chain"}
FAR = 1_000_000


@contextmanager
def all_rights():
    """Yields the alias of a connection without limits; what it changes is taken back."""
    alias = ALIAS if connection.vendor == "postgresql" else "default"
    if alias == ALIAS:
        owner = _owner()
        connections.databases[ALIAS] = connections.databases["default"] | owner
    try:
        with transaction.atomic(using=alias):
            if connection.vendor == "sqlite":
                drop_triggers()
            yield alias
            transaction.set_rollback(True, using=alias)
    finally:
        if alias == ALIAS:
            connections[ALIAS].close()
            del connections[ALIAS], connections.databases[ALIAS]


def _owner():
    user, _, password = OWNER_URL.partition("://")[2].partition("@")[0].partition(":")
    return {"USER": user, "PASSWORD": password}


def drop_triggers():
    with connection.cursor() as cursor:
        found = cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in found:
            cursor.execute(f"DROP TRIGGER {name}")


@contextmanager
def without_checks(alias):
    """The constraint on the numbers of movements is gone meanwhile."""
    with connections[alias].cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ALTER TABLE stock_movement DROP CONSTRAINT movement_seq_positive")
            yield  # and taken back with everything else
            return
        cursor.execute("PRAGMA ignore_check_constraints = ON")
        try:
            yield
        finally:
            cursor.execute("PRAGMA ignore_check_constraints = OFF")


def change_for_good(statement):
    """One statement by the owner, committed."""
    if connection.vendor == "postgresql":
        with psycopg.connect(OWNER_URL, autocommit=True) as owner:
            owner.execute(statement)
        return
    drop_triggers()  # the `committed` fixture makes them again
    with connection.cursor() as cursor:
        cursor.execute(statement)


class Mutant:
    """Changes one random thing of one random row."""

    def __init__(self, seed, alias):
        self.random, self.alias, self.read = random.Random(seed), alias, {}

    def mutate(self, model):
        """(what was done, the row's group); tries until the database takes it."""
        while True:
            kind = self.random.choice(["alter", "alter", "delete", "insert", "swap", "renumber"])
            row = self.random.choice(self.rows(model))
            try:
                with transaction.atomic(using=self.alias):
                    told = getattr(self, kind)(model, row)
            except DatabaseError:  # a constraint: a superuser may be that clumsy
                continue
            if told:
                return f"{kind} {model.__name__} {told}", row.get(GROUPS.get(model, ""))

    def rows(self, model):
        """As they are before and after each mutation: it is taken back."""
        if model not in self.read:
            columns = [field.attname for field in model._meta.concrete_fields]
            order = filter(None, self.key_of(model))
            rows = model.objects.using(self.alias).order_by(*order)
            self.read[model] = list(rows.values(*columns))
        return self.read[model]

    def key_of(self, model):
        return GROUPS.get(model, ""), NUMBERS[model]

    def find(self, model, row):
        key = {name: row[name] for name in self.key_of(model) if name}
        return model.objects.using(self.alias).filter(**key)

    def alter(self, model, row):
        field = self.random.choice(model._meta.concrete_fields)
        value = self.other(field, row[field.attname])
        assert self.find(model, row).update(**{field.attname: value}) == 1
        return f"{field.attname} = {value!r}"

    def other(self, field, value):
        if isinstance(field, models.BinaryField):
            place = self.random.randrange(len(value))
            changed = bytearray(value)
            changed[place] ^= 1 << self.random.randrange(8)
            return bytes(changed)
        if isinstance(field, models.DateField):  # and a DateTimeField is one
            days = self.random.randrange(1, 400)
            return value - timedelta(days=days) if value else None
        if isinstance(field, models.UUIDField):
            return uuid.UUID(int=self.random.getrandbits(128))
        if isinstance(field, models.JSONField):
            return (value or {}) | {"name": f"n{self.random.random()}"}
        if field.choices:
            return self.random.choice([c for c, _ in field.choices if c != value])
        if isinstance(field, models.CharField | models.TextField):
            return f"{value[:-1]}{self.random.choice('abcxyz')}~"[: field.max_length or 999]
        return (value or 0) + self.random.choice([-1, 1, 7])

    def delete(self, model, row):
        assert self.find(model, row)._raw_delete(self.alias) == 1
        return f"{row[NUMBERS[model]]}"

    def insert(self, model, row):
        group, number = self.key_of(model)
        taken = {r[number] for r in self.rows(model) if not group or r[group] == row[group]}
        free = [n for n in range(1, max(taken)) if n not in taken] or [max(taken) + 1]
        new = row | {number: self.random.choice(free)}
        if "event_id" in new:
            new["event_id"] = uuid.UUID(int=self.random.getrandbits(128))
        if model is LedgerSeal or model is AuditSeal:
            last = "last_seq" if model is LedgerSeal else "last"
            new[last] = new[number] + 5
        model.objects.using(self.alias).bulk_create([model(**new)])
        return f"{new[number]}"

    def swap(self, model, row):
        """Two rows take each other's number."""
        group, number = self.key_of(model)
        others = [r for r in self.rows(model) if r[number] != row[number]]
        others = [r for r in others if not group or r[group] == row[group]]
        if not others:
            return None
        other = self.random.choice(others)
        self._move(model, row, FAR), self._move(model, other, row[number])
        self._move(model, row | {number: FAR}, other[number])
        return f"{row[number]} and {other[number]}"

    def renumber(self, model, row):
        new = row[NUMBERS[model]] + self.random.choice([1, 2, 40, FAR])
        self._move(model, row, new)
        return f"{row[NUMBERS[model]]} to {new}"

    def _move(self, model, row, new):
        changes = {NUMBERS[model]: new}
        if model in (LedgerSeal, AuditSeal):
            last = "last_seq" if model is LedgerSeal else "last"
            changes[last] = row[last] - row[NUMBERS[model]] + new
        assert self.find(model, row).update(**changes) == 1
