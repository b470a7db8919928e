"""Columns that only who has the keys can read, and rows that have such columns.

A model gives ciphertext wherever it is looked at: in a list, an export, a log, a shell. The text is
there only where somebody asked for it with `unseal`. Each value is bound to its table, column and
row, so one that is moved to another place cannot be read.
"""

from collections.abc import Callable, Collection
from typing import Any, ClassVar

from django.apps import apps
from django.db import models
from django.db.models import Q

from inventory_project.keyring import KeyRing, get_keyring, read_key_id


class SealedField(models.BinaryField):  # type: ignore[type-arg]
    """A sealed text; no bytes for an empty one."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"blank": True, "default": b"", **kwargs})

    def deconstruct(self) -> Any:
        # A migration must not import what may be renamed.
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.BinaryField", args, kwargs


class SealedRow(models.Model):
    """A row with sealed columns. Where `<name>_index` is a column as well, `looked_up` says how a
    value is written the same way each time before it is looked for."""

    looked_up: ClassVar[dict[str, Callable[[str], str]]] = {}
    # What names the row for ever and is known before it is stored.
    sealed_to: ClassVar[str] = "pk"

    class Meta:
        abstract = True

    @classmethod
    def list_sealed(cls) -> list[str]:
        return [field.name for field in cls._meta.fields if isinstance(field, SealedField)]

    def seal(self, ring: KeyRing | None = None, **texts: str) -> None:
        """Set these columns and their indexes; nothing is stored yet."""
        ring = ring or get_keyring()
        for name, text in texts.items():
            setattr(self, name, ring.seal(text, self._place(name)) if text else b"")
            if name in self.looked_up:
                value = self.looked_up[name](text)
                index = ring.index(value, self._column(name)) if value else None
                setattr(self, f"{name}_index", index)

    def unseal(self, ring: KeyRing | None = None) -> dict[str, str]:
        """The texts of all sealed columns. Raises Unreadable."""
        ring = ring or get_keyring()
        return {
            name: ring.unseal(bytes(getattr(self, name)), self._place(name))
            if getattr(self, name)
            else ""
            for name in self.list_sealed()
        }

    def find_key_ids(self) -> set[str]:
        """The keys that are needed to read this row. Raises Unreadable."""
        sealed = (bytes(getattr(self, name)) for name in self.list_sealed())
        return {read_key_id(value) for value in sealed if value}

    @classmethod
    def find(cls, name: str, text: str, ring: KeyRing | None = None) -> Q:
        """The rows whose column says exactly this, by whichever key it was sealed."""
        value = cls.looked_up[name](text)
        indexes = (ring or get_keyring()).indexes(value, cls._column(name)) if value else []
        return Q(**{f"{name}_index__in": indexes})

    @classmethod
    def _column(cls, name: str) -> bytes:
        return f"{cls._meta.db_table}\x1f{name}".encode()

    def _place(self, name: str) -> bytes:
        row = getattr(self, self.sealed_to)
        assert row is not None, "a row is sealed to what names it"
        return self._column(name) + f"\x1f{row}".encode()


def list_sealed_models(tables: Collection[str]) -> list[type[SealedRow]]:
    """The models with sealed columns whose tables are among these."""
    return [
        model
        for model in apps.get_models()
        if issubclass(model, SealedRow) and model._meta.db_table in tables
    ]
