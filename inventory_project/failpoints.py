"""Named places where a test lets a process die.

`FAILPOINT=after_ledger_row:3` kills the process (SIGKILL) the third time it gets there; a test
in the same process puts a function into `armed` instead. In production nothing is armed and a
place costs one look into an empty dict.
"""

import os
import signal
from collections.abc import Callable

armed: dict[str, Callable[[], None]] = {}


def reach(name: str) -> None:
    """Mark a place; does what was armed for it, if anything."""
    if armed and name in armed:
        armed[name]()


def arm_from_environment(setting: str) -> None:
    """Arm `name:n`: SIGKILL to this process at the n-th time."""
    name, _, number = setting.partition(":")
    remaining = int(number or 1)

    def die_at_last() -> None:
        nonlocal remaining
        remaining -= 1
        if remaining == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    armed[name] = die_at_last


if "FAILPOINT" in os.environ:
    arm_from_environment(os.environ["FAILPOINT"])
