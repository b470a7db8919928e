"""A shop's one file: copied while it sells, and put back.

A copy is looked at before it gets its name: every page is read, and its ledger is checked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.db import connections
from django.utils import timezone as clock

from accounts.audit import Action, record
from inventory_project.database_file import (
    UnusableFile,
    copy_beside,
    examine,
    migrate,
    open_file,
    put_in_place,
    set_aside,
)
from inventory_project.errors import Conflict
from inventory_project.heads import write_restored
from inventory_project.keyring import get_keyring
from inventory_project.rotation import count_by_key
from inventory_project.running import while_stopped
from orders.models import SaleEvent, Status
from stock.checking import check_ledger


class NotOneFile(Conflict):
    code = "not_one_file"


class NoShopNamed(Conflict):
    """Nobody said which database is meant, and a guess would be a desk's."""

    code = "no_shop_named"


class FileExists(Conflict):
    code = "file_exists"


class NewerFile(Conflict):
    code = "newer_file"


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a file: rows by kind, its size, and whether its balances follow."""

    stores: int
    levels: int
    movements: int
    waiting: int
    parked: int
    size_bytes: int
    is_sound: bool
    # Rows by the key that has sealed their personal fields; the keys are in no backup.
    sealed_by: Mapping[str, int] = field(default_factory=dict)

    @property
    def keys_missing(self) -> list[str]:
        """Keys that are needed to read its personal fields and are not here."""
        return sorted(set(self.sealed_by) - set(get_keyring().key_ids)) if self.sealed_by else []


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back, where the database before it is now, and how many migrations it took."""

    contents: Contents
    aside: Path | None
    migrations: int


def find_database() -> Path:
    """The file of DATABASE_URL, or of SHOP=true. Raises NoShopNamed, NotOneFile."""
    if not (settings.SHOP or settings.IS_DATABASE_NAMED):
        raise NoShopNamed("Say which shop is meant: export SHOP=true, or DATABASE_URL.")
    database = settings.DATABASES["default"]
    if database["ENGINE"] != "django.db.backends.sqlite3":
        raise NotOneFile(
            "This command is for a shop on one SQLite file, and DATABASE_URL names PostgreSQL: "
            "use pg_dump and pg_restore there."
        )
    return Path(database["NAME"])


def back_up(*, database: Path, file: Path, overwrites: bool) -> Contents:
    """Copy `database` to `file` while others go on writing; returns what the copy holds.

    What was committed before the call is in it. An unsound ledger is copied all the same: it is
    the only one there is. Raises FileExists, UnusableFile.
    """
    if not database.is_file():
        raise UnusableFile(f"There is no shop in {database}; does LOCAL_DIR name its folder?")
    if file.exists() and (not overwrites or file.samefile(database)):
        raise FileExists(f"{file} exists and stays as it is.")
    copy = copy_beside(database, file)
    try:
        examine(copy)
        contents = look_into(copy)
        put_in_place(copy, file)
    finally:
        copy.unlink(missing_ok=True)
    return contents


def restore(*, file: Path, database: Path) -> Restored:
    """Put a copy of `file` in the place of `database`, which stays beside it under a dated name.

    Where that is a link, it is what the link leads to that is replaced. An older file is migrated
    before. Raises StillRuns, InUse, UnusableFile, NewerFile; then nothing has changed.
    """
    with while_stopped(database):
        database = database.resolve()
        copy = copy_beside(file, database)
        try:
            migrations = _bring_up_to_date(copy, file)
            contents = look_into(copy)
            _note_restored(copy, file)
            connections.close_all()  # ours would keep us from being alone with it
            aside = set_aside(database, clock.now()) if database.exists() else None
            put_in_place(copy, database)
        finally:
            copy.unlink(missing_ok=True)
        # Newer seals than the copy has were told of, and are not missing.
        write_restored(settings.AUDIT_HEADS_FILE, clock.now())
    return Restored(contents, aside, migrations)


def _bring_up_to_date(copy: Path, file: Path) -> int:
    found = examine(copy)
    if found.unknown:
        raise NewerFile(
            f"{file} was written by a newer version of the program ({found.unknown[0]}); "
            "restore it with that version."
        )
    if found.missing:
        migrate(copy)
    return found.missing


def _note_restored(copy: Path, file: Path) -> None:
    with open_file(copy, writes=True) as alias:
        record(Action.RESTORED, after={"file": file.name}, using=alias)


def look_into(file: Path) -> Contents:
    """Count what is in a file, and check its ledger."""
    with open_file(file) as alias:
        report = check_ledger(using=alias)
        events = SaleEvent.objects.using(alias)
        return Contents(
            stores=report.stores,
            levels=report.levels,
            movements=report.movements,
            waiting=events.filter(status=Status.PENDING).count(),
            parked=events.filter(status=Status.PARKED).count(),
            size_bytes=file.stat().st_size,
            is_sound=report.is_sound,
            sealed_by=count_by_key(alias),
        )
