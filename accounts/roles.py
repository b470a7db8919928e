"""Who may do what: the one table. `migrate` makes the groups of it, as they stand here.

A role says what a person may do; where, say the stores of the person (`stores.StoreMember`) and
the two permissions over the whole chain. Both are needed. Django's superuser stands above it all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from django.apps import apps as installed_apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, transaction
from django.db.migrations.executor import MigrationExecutor

from accounts.audit import Action, Subject, record

HEAD_OFFICE = "Head office"
CATALOGUE = "Catalogue manager"
REGIONAL = "Regional manager"
MANAGER = "Store manager"
CLERK = "Clerk"
AUDITOR = "Auditor"
ROLES = (HEAD_OFFICE, CATALOGUE, REGIONAL, MANAGER, CLERK, AUDITOR)
EVERYBODY = ROLES
IN_STORES = (HEAD_OFFICE, REGIONAL, MANAGER, CLERK)
WHOSE_STORES = {
    HEAD_OFFICE: "the whole chain",
    CATALOGUE: "the whole chain",
    REGIONAL: "the stores of the person",
    MANAGER: "the store of the person",
    CLERK: "the store of the person",
    AUDITOR: "the whole chain, to read",
}


@dataclass(frozen=True)
class Right:
    """A permission, or a pattern of them, in words, and the roles that have it."""

    permission: str
    words: str
    roles: tuple[str, ...]


TABLE = (
    # catalog: the what
    Right("catalog.view_product", "See products and their barcodes", EVERYBODY),
    Right("catalog.view_category", "See categories", EVERYBODY),
    Right("catalog.view_productchange", "See and follow changes of the catalogue", EVERYBODY),
    Right("catalog.add_product", "Add products, also from a file", (HEAD_OFFICE, CATALOGUE)),
    Right("catalog.change_product", "Change and retire products", (HEAD_OFFICE, CATALOGUE)),
    Right("catalog.add_category", "Add categories", (HEAD_OFFICE, CATALOGUE)),
    Right("catalog.change_category", "Change and retire categories", (HEAD_OFFICE, CATALOGUE)),
    # stock: the how many
    Right("stock.view_level", "See what stores have", EVERYBODY),
    Right("stock.view_movement", "See movements", (*IN_STORES, AUDITOR)),
    Right("stock.add_movement", "Book receipts, waste and other movements", IN_STORES),
    # orders: the why
    Right("orders.view_saleevent", "See sales on their way", (*IN_STORES, AUDITOR)),
    Right("orders.add_saleevent", "Tell sales", IN_STORES),
    Right(
        "orders.decide_parkedevent",
        "Replay and dismiss parked sales",
        (HEAD_OFFICE, REGIONAL, MANAGER),
    ),
    # stores: the places
    Right("stores.view_store", "See stores", EVERYBODY),
    Right("stores.add_store", "Register stores", (HEAD_OFFICE,)),
    Right("stores.change_store", "Change and retire stores", (HEAD_OFFICE,)),
    Right("stores.view_storecontact", "See whom to call about a store", (HEAD_OFFICE, AUDITOR)),
    Right("stores.change_storecontact", "Change whom to call about a store", (HEAD_OFFICE,)),
    Right("stores.view_storekey", "See keys", (HEAD_OFFICE, REGIONAL, MANAGER, AUDITOR)),
    Right("stores.change_storekey", "Revoke keys", (HEAD_OFFICE, REGIONAL, MANAGER)),
    Right("stores.add_storekey", "Issue keys, and rotate them", (HEAD_OFFICE, REGIONAL)),
    # accounts: the people
    Right("accounts.view_user", "See people", (HEAD_OFFICE, AUDITOR)),
    Right("accounts.add_user", "Add people", (HEAD_OFFICE,)),
    Right("accounts.change_user", "Change people, their stores and passwords", (HEAD_OFFICE,)),
    Right("auth.view_group", "See roles", (HEAD_OFFICE, AUDITOR)),
    Right("accounts.view_audit*", "See the audit", (HEAD_OFFICE, AUDITOR)),
    # over the whole chain
    Right("stores.work_chain_wide", "Do all this for every store", (HEAD_OFFICE, CATALOGUE)),
    Right("stores.read_chain_wide", "See all this of every store", (HEAD_OFFICE, AUDITOR)),
)


def seed_roles(*, using: str, apps: Any = installed_apps, **_: Any) -> None:
    """Make the groups of the table, with its permissions and no others; groups of the operator's
    own stay as they are. After every migrate, and as often as one likes. What a role gains or
    loses by it is noted in the audit.

    Raises ImproperlyConfigured for a permission that does not exist once all is migrated.
    """
    try:
        groups, permissions = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    except LookupError:  # migrated back to before there were any
        return
    rows = permissions.objects.using(using).values_list("content_type__app_label", "codename", "pk")
    known = {f"{app}.{codename}": pk for app, codename, pk in rows}
    missing = {right.permission for right in TABLE if not _find(right, known)}
    missing = {permission for permission in missing if "*" not in permission}
    if missing and _is_all_migrated(using):
        raise ImproperlyConfigured(
            f"accounts/roles.py names what no app has: {', '.join(sorted(missing))}"
        )
    with transaction.atomic(using=using):
        for role in ROLES:
            group, is_new = groups.objects.using(using).get_or_create(name=role)
            before = set(group.permissions.values_list("pk", flat=True))
            after = _choose(role, known)
            if before == after:
                continue
            group.permissions.set(after)
            # Halfway through the migrations there may be no audit, or one with other columns.
            if not is_new and _is_all_migrated(using):
                names = {pk: name for name, pk in known.items()}
                record(
                    Action.ROLE_CHANGED, Subject("role", group.pk, role), using=using,
                    before=_tell(before, names), after=_tell(after, names),
                )  # fmt: skip


def _tell(permissions: Iterable[int], names: Mapping[int, str]) -> dict[str, list[str]]:
    return {"permissions": sorted(names[pk] for pk in permissions)}


def _choose(role: str, known: dict[str, int]) -> set[int]:
    rights = [right for right in TABLE if role in right.roles]
    return {known[permission] for right in rights for permission in _find(right, known)}


def _find(right: Right, known: Iterable[str]) -> list[str]:
    return [permission for permission in known if fnmatchcase(permission, right.permission)]


def _is_all_migrated(using: str) -> bool:
    executor = MigrationExecutor(connections[using])
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())


def write_table() -> str:
    """The table in Markdown, as docs/operate/security.md shows it."""
    lines = [f"| | {' | '.join(ROLES)} |", f"|---|{'---|' * len(ROLES)}"]
    lines.append(f"| **where** | {' | '.join(WHOSE_STORES[role] for role in ROLES)} |")
    for right in TABLE:
        has = ["yes" if role in right.roles else "" for role in ROLES]
        lines.append(f"| {right.words} (`{right.permission}`) | {' | '.join(has)} |")
    return "\n".join(lines) + "\n"
