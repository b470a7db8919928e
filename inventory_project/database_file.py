"""A database that is one SQLite file: copy it, look into it, put it in another one's place."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, count
from pathlib import Path

from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, transaction
from django.db.migrations.loader import MigrationLoader

from inventory_project.errors import Conflict

ALIAS = "file"
# Every database of ours has had this one; no other program's has.
OURS = ("stock", "0001_initial")
LOCK_WAIT_S = 1
READ_WAIT_S = 20
_WAL_ENDINGS = ("-wal", "-shm")
_FAILED_READS = (sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ)


class UnusableFile(Conflict):
    code = "unusable_file"


class InUse(Conflict):
    code = "in_use"


def require_file(path: Path) -> None:
    """Raises UnusableFile where there is none."""
    if not path.is_file():
        raise UnusableFile(f"There is no file {path}.")


# In WAL mode it is the locking mode that keeps readers out, in the other modes the transaction's.
_ALONE = {
    "init_command": "PRAGMA locking_mode=EXCLUSIVE",
    "transaction_mode": "EXCLUSIVE",
    "timeout": LOCK_WAIT_S,
}


@contextmanager
def open_file(path: Path, *, writes: bool = False) -> Iterator[str]:
    """A second connection for `using`, to this file; yields its alias and closes it at the end.

    With `writes` it is alone with the file from its first statement on: see `alone_with`.
    Raises UnusableFile.
    """
    require_file(path)
    connections.databases[ALIAS] = connections.databases[DEFAULT_DB_ALIAS] | {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"{path.absolute().as_uri()}?mode={'rw' if writes else 'ro'}",
        "OPTIONS": _ALONE if writes else {"timeout": READ_WAIT_S},
        "CONN_MAX_AGE": 0,
    }
    try:
        yield ALIAS
    finally:
        connections[ALIAS].close()
        del connections[ALIAS]
        del connections.databases[ALIAS]


@contextmanager
def alone_with(path: Path) -> Iterator[str]:
    """A transaction in a file that nobody else has open, and that nobody can read or write until
    it has ended; yields the alias for `using`.

    To keep writers out were not enough: a till whose key was read before would write the moment
    the lock is gone. Raises InUse, UnusableFile.
    """
    with ExitStack() as stack:
        alias = stack.enter_context(open_file(path, writes=True))
        try:
            stack.enter_context(transaction.atomic(using=alias))
        except DatabaseError as error:
            if _primary_code(error) == sqlite3.SQLITE_BUSY:
                raise InUse(f"Another process has {path} open; stop it first.") from error
            raise UnusableFile(_explain_writing(error, path)) from error
        yield alias


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
            raise UnusableFile(_explain_reading(error, path)) from error
    if found != "ok":
        raise UnusableFile(f"{path} is damaged: {found}.")
    if OURS not in loader.applied_migrations:
        raise UnusableFile(f"{path} is a database of another program.")
    return _compare(loader)


def read_migrations(alias: str = DEFAULT_DB_ALIAS) -> Migrations:
    """How old a database is that somebody has opened."""
    return _compare(MigrationLoader(connections[alias]))


def _compare(loader: MigrationLoader) -> Migrations:
    applied, known = set(loader.applied_migrations), set(loader.disk_migrations)
    unknown = [f"{app}.{name}" for app, name in sorted(applied - known)]
    return Migrations(missing=len(known - applied), unknown=unknown)


def migrate(path: Path) -> None:
    """Bring the tables of this file up to date. Raises UnusableFile."""
    try:
        with open_file(path, writes=True) as alias:
            call_command("migrate", database=alias, verbosity=0)
    except DatabaseError as error:
        raise UnusableFile(_explain_writing(error, path)) from error


def copy_beside(source: Path, target: Path) -> Path:
    """Copy a database, one in use as well, to a new file in the folder of `target`; returns it.

    The copy is the database at one moment, without -wal and -shm, readable by its owner only.
    sqlite3's own backup, in one step: it reads in one transaction, so in WAL mode no writer
    waits, and none can make it begin anew, as it does between steps. Raises UnusableFile.
    """
    require_file(source)
    copy = _make_private_file(target)
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as read,
            closing(sqlite3.connect(copy)) as written,
        ):
            _look(read, source)
            _copy_pages(read, source, written, target)
    except BaseException:
        copy.unlink()
        raise
    return copy


def _look(read: sqlite3.Connection, source: Path) -> None:
    """Before a byte is written, so that what fails is the reading."""
    try:
        read.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        raise UnusableFile(_explain_reading(error, source)) from error


def _copy_pages(
    read: sqlite3.Connection, source: Path, written: sqlite3.Connection, target: Path
) -> None:
    try:
        read.backup(written)
        written.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        if error.sqlite_errorcode in _FAILED_READS or _is_damage(error):
            raise UnusableFile(_explain_reading(error, source)) from error
        raise UnusableFile(_explain_writing(error, target)) from error


def _primary_code(error: Exception) -> int:
    """What SQLite said, also to Django; the rest of its code is detail."""
    cause = error if isinstance(error, sqlite3.Error) else error.__cause__
    return getattr(cause, "sqlite_errorcode", 0) & 0xFF


def _is_damage(error: Exception) -> bool:
    return _primary_code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _explain_reading(error: Exception, path: Path) -> str:
    if _primary_code(error) == sqlite3.SQLITE_CANTOPEN:
        return (
            f"{path} cannot be opened: even to read it, SQLite has to write beside it in "
            f"{path.parent}. Copy it and the -wal beside it to a disk that can be written."
        )
    if _primary_code(error) == sqlite3.SQLITE_BUSY:
        return f"{path} is kept locked by another process; wait for it."
    if _primary_code(error) == sqlite3.SQLITE_IOERR:
        return f"{path} cannot be read: its disk fails ({error})."
    return f"{path} cannot be read as a database: {error}."


def _explain_writing(error: Exception, path: Path) -> str:
    if _primary_code(error) == sqlite3.SQLITE_FULL:
        return f"{path} cannot be written: the disk is full."
    if _primary_code(error) == sqlite3.SQLITE_READONLY:
        return f"{path} cannot be written: it is read-only."
    return f"{path} cannot be written: {error}."


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
    be replaced. Raises InUse, UnusableFile.

    Its last commits may still lie in the -wal: they are brought into the file, which SQLite does
    only for one who is alone with it. Of a damaged file the -wal is kept aside as well, so that
    the next database does not meet it.
    """
    aside = _find_name_aside(path, now)
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


def _find_name_aside(path: Path, now: datetime) -> Path:
    """Nobody else takes it meanwhile: who sets aside has the folder's lock."""
    dated = f"{path.stem}.before-{now:%Y%m%dT%H%M%S}"
    names = chain([dated], (f"{dated}-{nth}" for nth in count(2)))
    paths = (path.with_name(name + path.suffix) for name in names)
    return next(aside for aside in paths if not aside.exists())


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _fold_wal(path: Path) -> bool:
    """Bring the -wal into the file; false where it is damaged. Raises InUse, UnusableFile."""
    try:
        address = f"{path.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(address, uri=True, timeout=LOCK_WAIT_S)) as alone:
            alone.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.DatabaseError as error:
        if _primary_code(error) == sqlite3.SQLITE_BUSY:
            raise InUse(f"Another process has {path} open; stop it first.") from error
        if _is_damage(error):
            return False
        raise UnusableFile(_explain_writing(error, path)) from error
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
