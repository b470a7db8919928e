"""All sealed values get sealed by the key that writes now, while everybody works.

A row is written whole, in a transaction of a few rows: whoever is killed in between leaves rows of
the old key and rows of the new one, which can all be read, and the next run goes on with the old
ones. Nothing is remembered elsewhere: the ciphertext says its key.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from inventory_project.failpoints import reach
from inventory_project.keyring import KeyRing, Unreadable, get_keyring
from inventory_project.sealed_fields import SealedRow, list_sealed_models

ROWS_PER_TRANSACTION = 20
UNREADABLE_NAMED_MAX = 20

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Rotation:
    """What became of it. `in_use` counts the rows by the key they need now."""

    rows: int = 0
    resealed: int = 0
    unreadable: int = 0
    problems: list[str] = field(default_factory=list)
    in_use: Counter[str] = field(default_factory=Counter)


def rotate(on_progress: Progress | None = None) -> Rotation:
    """Seal what another key has sealed with the one that writes.

    What cannot be read stays as it is and is named in `problems`. `on_progress` is told how many
    rows were looked at, and of how many.
    """
    ring, rotation = get_keyring(), Rotation()
    models = _list_models(DEFAULT_DB_ALIAS)
    total = sum(model._default_manager.count() for model in models)
    for model in models:
        for keys in _batch_keys(model):
            _rotate_rows(model, keys, ring, rotation)
            if on_progress:
                on_progress(rotation.rows, total)
    rotation.in_use = count_by_key()
    return rotation


def _list_models(using: str) -> list[type[SealedRow]]:
    return list_sealed_models(connections[using].introspection.table_names())


def _batch_keys(model: type[SealedRow]) -> Iterator[list[Any]]:
    """The primary keys in their order, each batch read anew: rows come and go meanwhile."""
    rows, last = model._default_manager.order_by("pk"), None
    while True:
        behind = rows if last is None else rows.filter(pk__gt=last)
        keys = list(behind.values_list("pk", flat=True)[:ROWS_PER_TRANSACTION])
        if not keys:
            return
        yield keys
        last = keys[-1]


@transaction.atomic
def _rotate_rows(
    model: type[SealedRow], keys: list[Any], ring: KeyRing, rotation: Rotation
) -> None:
    # Locked before they are read: what somebody else writes meanwhile is not overwritten.
    for row in model._default_manager.select_for_update().filter(pk__in=keys).order_by("pk"):
        rotation.rows += 1
        try:
            _rotate_row(row, ring, rotation)
        except Unreadable as error:
            rotation.unreadable += 1
            if len(rotation.problems) < UNREADABLE_NAMED_MAX:
                rotation.problems.append(f"{row}: {error.detail}")
        reach("mid_rotation")


def _rotate_row(row: SealedRow, ring: KeyRing, rotation: Rotation) -> None:
    if row.find_key_ids() <= {ring.writing_id}:
        return
    row.seal(ring, **row.unseal(ring))
    row.save()
    rotation.resealed += 1


def count_by_key(using: str = DEFAULT_DB_ALIAS) -> Counter[str]:
    """How many rows each key is needed for; what is no sealed value counts under `?`."""
    found: Counter[str] = Counter()
    for model in _list_models(using):
        rows = model._default_manager.using(using).order_by("pk")
        for row in rows.iterator(chunk_size=1_000):
            found.update(_find_key_ids(row))
    return found


def _find_key_ids(row: SealedRow) -> set[str]:
    try:
        return row.find_key_ids()
    except Unreadable:
        return {"?"}
