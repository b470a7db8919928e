"""Several connections at once, brought to the same point of the same statement."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from django.db import connection

SECONDS_MAX = 30


class Meeting:
    """A point that `parties` threads reach together, each once.

    Whoever waits alone for `alone_s` goes on. With the lock in place the other one cannot come:
    then it has to be less than the two seconds for which that one waits for the lock.
    """

    def __init__(self, parties: int = 2, *, alone_s: float = 20) -> None:
        self._barrier = threading.Barrier(parties)
        self._alone_s = alone_s
        self._been = threading.local()

    def reach(self) -> None:
        if getattr(self._been, "here", False):
            return
        self._been.here = True
        try:
            self._barrier.wait(self._alone_s)
        except threading.BrokenBarrierError:
            return

    def before(self, words: str) -> Callable[..., Any]:
        """An execute wrapper that meets before the first statement with these words."""

        def wrap(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            if words in sql:
                self.reach()
            return execute(sql, params, many, context)

        return wrap


def together(*works: Callable[[], Any], wrapper: Any = None) -> list[Any]:
    """Run each in a thread with its own connection; returns results or exceptions, in order."""
    results: list[Any] = [None] * len(works)
    start = threading.Barrier(len(works))

    def run(number: int) -> None:
        try:
            connection.ensure_connection()
            start.wait(SECONDS_MAX)
            if wrapper is None:
                results[number] = works[number]()
            else:
                with connection.execute_wrapper(wrapper):
                    results[number] = works[number]()
        except Exception as error:
            results[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS_MAX)
        assert not thread.is_alive(), "a thread hangs"
    return results


def errors(results: Sequence[Any]) -> list[Exception]:
    return [result for result in results if isinstance(result, Exception)]
