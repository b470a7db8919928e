"""Whether script/server runs on a folder: it locks `server.lock` there for as long as it runs."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inventory_project.errors import Conflict

# script/serve.py locks the same file, and cannot be imported from here.
LOCK_NAME = "server.lock"


class StillRuns(Conflict):
    code = "still_runs"


@contextmanager
def while_stopped(folder: Path) -> Iterator[None]:
    """Keep script/server from running on this folder meanwhile. Raises StillRuns."""
    with (folder / LOCK_NAME).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StillRuns(f"The product runs on {folder}; stop it first.") from None
        yield
