"""Heads of seals, written outside the database, where its superuser cannot reach them.

One JSON object a line, only ever added to: `{"at": ..., "heads": {chain: [last, head]}}`. Copy the
file, or let it lie, on another machine; checks compare with it.
"""

import datetime as dt
import json
import os
from collections import defaultdict
from pathlib import Path

from django.conf import settings

from inventory_project.errors import Conflict

Heads = dict[str, tuple[int, str]]


class UnreadableHeads(Conflict):
    code = "unreadable_heads"


def write_heads(path: Path, heads: Heads, now: dt.datetime) -> None:
    """Add a line; on disk when this returns."""
    _append(path, {"at": now.isoformat(), "heads": heads})


def write_restored(path: Path, now: dt.datetime) -> None:
    """Say that the database was put back to an earlier state: what was told before is over."""
    _append(path, {"at": now.isoformat(), "restored": True})


def _append(path: Path, line: dict[str, object]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_heads_if_any(path: Path | None) -> dict[str, dict[int, str]]:
    """The heads of this file; without one of AUDIT_HEADS_FILE, which need not be there yet.

    Raises UnreadableHeads.
    """
    if path is None and not settings.AUDIT_HEADS_FILE.exists():
        return {}
    return read_heads(path or settings.AUDIT_HEADS_FILE)


def read_heads(path: Path) -> dict[str, dict[int, str]]:
    """By chain, the heads by the last number each covers. Raises UnreadableHeads."""
    found: defaultdict[str, dict[int, str]] = defaultdict(dict)
    number = 0
    try:
        with path.open(encoding="utf-8") as file:
            for text in file:
                number += 1
                line = json.loads(text)
                if line.get("restored"):
                    found.clear()
                for chain, (last, head) in line.get("heads", {}).items():
                    found[chain][last] = head
    except OSError as error:
        raise UnreadableHeads(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, AttributeError, TypeError) as error:
        raise UnreadableHeads(f"Line {number} of {path} is no line of heads.") from error
    return found
