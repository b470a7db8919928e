"""Whether script/server runs on a folder: it locks `server.lock` there for as long as it runs."""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from inventory_project.errors import Conflict

# script/serve.py locks the same file, and cannot be imported from here.
LOCK_NAME = "server.lock"


class StillRuns(Conflict):
    code = "still_runs"


@contextmanager
def while_stopped(file: Path) -> Iterator[None]:
    """Keep script/server from running on this file's folder meanwhile. Raises StillRuns.

    Where the file is a link, script/server may run here as well as where it leads to.
    """
    with ExitStack() as stack:
        for folder in sorted({file.parent.resolve(), file.resolve().parent}):
            _lock(folder, stack)
        yield


def _lock(folder: Path, stack: ExitStack) -> None:
    lock = stack.enter_context((folder / LOCK_NAME).open("w"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StillRuns(f"The product runs on {folder}; stop it first.") from None
