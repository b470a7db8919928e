"""A 202 means "on disk". A database that is set up to forget is refused.

Every new session is asked, not only the first: a server may come back with other settings, or
another server in its place. It costs one round trip each ten minutes. What is refused is an
OperationalError, so that a till is told 503 and keeps its sale. `refuse_at_start` ends a process
that begins on such a database, with the sentence.
"""

import logging
from typing import Any

from django.db import DatabaseError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger(__name__)

# remote_write tells that a standby has it in memory; everything from `on` upwards waits for disks.
_COMMITS_TO_DISK = ("on", "remote_apply")
_SQLITE_FULL = 2
_SQLITE_WITHOUT_JOURNAL = ("off", "memory")  # nothing on the disk to come back from
_ASK_POSTGRESQL = (
    "SELECT current_setting('fsync'), current_setting('full_page_writes'),"
    " current_setting('synchronous_commit')"
)


class UnsafeDatabase(OperationalError):
    """What this database acknowledges it may lose."""


def refuse_unsafe_session(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Receiver of `connection_created`. Raises UnsafeDatabase, and leaves no session open."""
    weak = _WEAKNESSES[connection.vendor](connection)
    if weak:
        connection.close()
        raise UnsafeDatabase(
            f"This database may lose what it has acknowledged: {', '.join(weak)}. "
            "Nothing is accepted on it."
        )


def refuse_at_start(**_: Any) -> None:
    """End this process if its database is unsafe. One that is away may be safe: then go on.

    Raises SystemExit.
    """
    try:
        connections["default"].ensure_connection()
    except UnsafeDatabase as error:
        raise SystemExit(f"Refused to start. {error}") from error
    except DatabaseError as error:
        logger.warning("The database does not answer yet: %s", error)
    finally:
        connections.close_all()  # a worker forks


def _find_weak_in_postgresql(connection: Any) -> list[str]:
    row = connection.connection.execute(_ASK_POSTGRESQL).fetchone()
    fsync, full_page_writes, synchronous_commit = row
    weak = []
    if fsync != "on":
        weak.append(f"fsync={fsync}")
    if full_page_writes != "on":
        weak.append(f"full_page_writes={full_page_writes}")
    if synchronous_commit not in _COMMITS_TO_DISK:
        weak.append(f"synchronous_commit={synchronous_commit}")
    return weak


def _find_weak_in_sqlite(connection: Any) -> list[str]:
    raw = connection.connection
    (synchronous,) = raw.execute("PRAGMA synchronous").fetchone()
    (journal_mode,) = raw.execute("PRAGMA journal_mode").fetchone()
    weak = []
    if synchronous < _SQLITE_FULL:
        weak.append(f"synchronous={synchronous}, which is less than FULL")
    if journal_mode in _SQLITE_WITHOUT_JOURNAL:
        weak.append(f"journal_mode={journal_mode}")
    return weak


_WEAKNESSES = {"postgresql": _find_weak_in_postgresql, "sqlite": _find_weak_in_sqlite}
