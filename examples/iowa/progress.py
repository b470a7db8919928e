"""How far the run is: a bar on a terminal, a line now and then elsewhere."""

import sys
import threading
import time
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

LINE_EVERY_SECONDS = 10.0

# Everything for people goes to standard error: standard output carries the one JSON line.
_console = Console(stderr=True)


def say(sentence: str) -> None:
    """Tell a person something."""
    _console.print(sentence, markup=False, highlight=False, soft_wrap=True)


class Progress:
    """Counts up to `total`; may be advanced by many threads."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, total, 0
        self._lock = threading.Lock()
        self._started = self._told = time.monotonic()
        self._bar = _make_bar() if sys.stderr.isatty() and total else None

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(self._what, total=self._total)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, count: int) -> None:
        """So many more are done."""
        with self._lock:
            self._done += count
            if self._bar is not None:
                self._bar.advance(self._task, count)
            elif time.monotonic() - self._told >= LINE_EVERY_SECONDS:
                self._told = time.monotonic()
                rate = self._done / (self._told - self._started)
                say(f"{self._what}: {self._done:,} of {self._total:,} ({rate:,.0f} a second)")


def _make_bar() -> Bar:
    return Bar(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), TimeRemainingColumn(), console=_console, transient=True,
    )  # fmt: skip
