"""The catalogue's changes as a chain of seals."""

from accounts.sealing import ENTRIES, seal_up_to
from catalog.editing import current_version
from inventory_project.sealing import Chain, Keys, Seal

# Versions are given out under the catalogue's lock: they commit in order and without gaps.
CHANGES = Chain(
    name="catalog",
    table="catalog_productchange",
    key="version",
    forms={
        1: (
            "version", "subject", "subject_id", "key", "action", "before", "after", "changed_at",
            "actor_id", "device_id",
        ),
    },
)  # fmt: skip
AUDITED = (ENTRIES, CHANGES)


def seal_changes(keys: Keys) -> Seal | None:
    """Seal the changes there are; returns the last seal made, if one was."""
    return seal_up_to(CHANGES, keys, current_version())
