"""A database that is one SQLite file: copy it, look into it, put it in another one's place."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.migrations.loader import MigrationLoader

from inventory_project.errors import Conflict

ALIAS = "file"
# Every database of ours has had this one; no other program's has.
OURS = ("stock", "0001_initial")
LOCK_WAIT_S = 1
_WAL_ENDINGS = ("-wal", "-shm")


class UnusableFile(Conflict):
    code = "unusable_file"


class InUse(Conflict):
    code = "in_use"


@contextmanager
def open_file(path: Path, *, writes: bool = False) -> Iterator[str]:
    """A second connection for `using`, to this file; yields its alias and closes it at the end.

    With `writes` a transaction takes the file's write lock as it begins: nobody else writes
    until it ends. Raises UnusableFile.
    """
    if not path.is_file():
        raise UnusableFile(f"There is no file {path}.")
    connections.databases[ALIAS] = connections.databases[DEFAULT_DB_ALIAS] | {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"{path.absolute().as_uri()}?mode={'rw' if writes else 'ro'}",
        "OPTIONS": {"transaction_mode": "IMMEDIATE" if writes else "DEFERRED", "timeout": 20},
        "CONN_MAX_AGE": 0,
    }
    try:
        yield ALIAS
    finally:
        connections[ALIAS].close()
        del connections[ALIAS]
        del connections.databases[ALIAS]


@dataclass(frozen=True, slots=True)
class Migrations:
    """Migrations a file lacks, and those that this program does not know."""

    missing: int
    unknown: list[str]


def examine(path: Path) -> Migrations:
    """Read the whole file and say how old it is.

    Raises UnusableFile for one that is damaged, is no database, or is not one of ours.
    """
    with open_file(path) as alias:
        try:
            with connections[alias].cursor() as cursor:
                cursor.execute("PRAGMA integrity_check(1)")
                found = str(cursor.fetchone()[0])
            loader = MigrationLoader(connections[alias])
        except DatabaseError as error:
            raise UnusableFile(f"{path} cannot be read as a database: {error}.") from error
    if found != "ok":
        raise UnusableFile(f"{path} is damaged: {found}.")
    applied, known = set(loader.applied_migrations), set(loader.disk_migrations)
    if OURS not in applied:
        raise UnusableFile(f"{path} is a database of another program.")
    unknown = [f"{app}.{name}" for app, name in sorted(applied - known)]
    return Migrations(missing=len(known - applied), unknown=unknown)


def migrate(path: Path) -> None:
    """Bring the tables of this file up to date."""
    with open_file(path, writes=True) as alias:
        call_command("migrate", database=alias, verbosity=0)


def copy_beside(source: Path, target: Path) -> Path:
    """Copy a database, one in use as well, to a new file in the folder of `target`; returns it.

    The copy is the database at one moment, without -wal and -shm, readable by its owner only.
    sqlite3's own backup, in one step: it reads in one transaction, so in WAL mode no writer
    waits, and none can make it begin anew, as it does between steps. Raises UnusableFile.
    """
    if not source.is_file():
        raise UnusableFile(f"There is no file {source}.")
    copy = _make_private_file(target)
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as read,
            closing(sqlite3.connect(copy)) as written,
        ):
            read.backup(written)
            written.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        copy.unlink()
        raise UnusableFile(f"{source} cannot be read as a database: {error}.") from error
    except BaseException:
        copy.unlink()
        raise
    return copy


def _make_private_file(target: Path) -> Path:
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(descriptor)  # mkstemp makes it mode 600
    return Path(name)


def put_in_place(copy: Path, target: Path) -> None:
    """Give the finished copy its name; when this returns, both are on disk."""
    _sync(copy)
    copy.replace(target)
    _sync(target.parent)


def set_aside(path: Path, now: datetime) -> Path:
    """Give a database that nobody uses a second, dated name, and returns that; `path` is free to
    be replaced. Raises InUse.

    Its last commits may still lie in the -wal: they are brought into the file, which SQLite does
    only for one who is alone with it. Of a damaged file the -wal is kept aside as well, so that
    the next database does not meet it.
    """
    aside = path.with_name(f"{path.stem}.before-{now:%Y%m%dT%H%M%S}{path.suffix}")
    # Second names and not other ones: at no moment is there no database under the first, and
    # SQLite cannot throw away the -wal of a file that it takes for empty.
    for ending in ("", *_WAL_ENDINGS):
        if _beside(path, ending).exists():
            os.link(_beside(path, ending), _beside(aside, ending))
    try:
        is_whole = _fold_wal(path)
    except BaseException:
        for ending in ("", *_WAL_ENDINGS):
            _beside(aside, ending).unlink(missing_ok=True)
        raise
    for ending in _WAL_ENDINGS:
        _beside(aside if is_whole else path, ending).unlink(missing_ok=True)
    aside.chmod(0o600)
    return aside


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _fold_wal(path: Path) -> bool:
    """Bring the -wal into the file; false where it is damaged. Raises InUse."""
    try:
        address = f"{path.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(address, uri=True, timeout=LOCK_WAIT_S)) as alone:
            alone.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.DatabaseError as error:
        primary = error.sqlite_errorcode & 0xFF  # the rest of an SQLite error code is detail
        if primary == sqlite3.SQLITE_BUSY:
            raise InUse(f"Another process has {path} open; stop it first.") from error
        if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return False
        raise
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
