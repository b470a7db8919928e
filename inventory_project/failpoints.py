"""Named places where a test lets a process die.

`FAILPOINT=after_ledger_row:3` kills the process (SIGKILL) the third time it gets there. A third
word does something else to it: `raise` an error, `sleep` five seconds, `stop` until SIGCONT; that
and every further time. A test in the same process puts a function into `armed` instead. In
production nothing is armed and a place costs one look into an empty dict.
"""

import os
import signal
import time
from collections.abc import Callable

SLEEP_S = 5

armed: dict[str, Callable[[], None]] = {}


class Failed(Exception):
    """What the action `raise` raises."""


def reach(name: str) -> None:
    """Mark a place; does what was armed for it, if anything."""
    if armed and name in armed:
        armed[name]()


def arm_from_environment(setting: str) -> None:
    """Arm `name:n[:action]`: at the n-th time do it, SIGKILL to this process if not said."""
    name, _, rest = setting.partition(":")
    number, _, action = rest.partition(":")
    act = _ACTIONS[action or "kill"]
    remaining = int(number or 1)

    def act_at_last() -> None:
        nonlocal remaining
        remaining -= 1
        if remaining <= 0:
            act()

    armed[name] = act_at_last


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _raise() -> None:
    raise Failed("a failpoint was reached")


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


_ACTIONS: dict[str, Callable[[], None]] = {
    "kill": _kill,
    "raise": _raise,
    "sleep": lambda: time.sleep(SLEEP_S),
    "stop": _stop,
}

if "FAILPOINT" in os.environ:
    arm_from_environment(os.environ["FAILPOINT"])
