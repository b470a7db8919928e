"""The catalogue's changes as a chain of seals."""

from collections.abc import Mapping

from django.db import DEFAULT_DB_ALIAS

from accounts.sealing import ENTRIES, check_sealed, seal_up_to
from catalog.editing import current_version
from catalog.models import ProductChange
from inventory_project.sealing import Chain, Checked, Keys, Seal, Wrong

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


def check_audited(
    keys: Keys,
    *,
    heads: Mapping[str, Mapping[int, str]] | None = None,
    using: str = DEFAULT_DB_ALIAS,
) -> dict[Chain, Checked]:
    """Check the audit's entries and the catalogue's changes, these also for one that the
    catalogue's own head does not know of."""
    told = heads or {}
    found = {c: check_sealed(c, keys, told.get(c.name), using) for c in AUDITED}
    changes = found[CHANGES]
    changes.wrong = changes.wrong or _check_unsealed(changes.last, using)
    return found


def _check_unsealed(sealed: int, using: str) -> Wrong | None:
    # The changes first: the head that is read after them knows them all.
    versions = ProductChange.objects.using(using).order_by("-version")
    top = versions.values_list("version", flat=True).first() or 0
    known = current_version(using)
    if known < sealed:
        return Wrong(CHANGES.name, "removed", f"the head says {known}, the seals go to {sealed}")
    if top > known:
        return Wrong(CHANGES.name, "inserted", f"{top}, which the head does not know of")
    return None


def seal_changes(keys: Keys) -> Seal | None:
    """Seal the changes there are; returns the last seal made, if one was."""
    return seal_up_to(CHANGES, keys, current_version())
