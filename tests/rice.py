"""A history with a rare product in it."""

from tests.journal import by_hand, hand_line
from tests.make import make_product

RARE = [1, 2, 255, 256, 257, 512, 700, 1023, 1024, 1400]


def make_history(lahore, karachi):
    """1,400 movements in Lahore, ten of them rice; the same numbers are tea in Karachi."""
    rice = make_product("RICE")
    make_product("SALT")
    for first in (1, 701):
        lines = [
            hand_line("waste" if seq == 512 else "receipt", "RICE" if seq in RARE else "TEA", 1)
            for seq in range(first, first + 700)
        ]
        by_hand(lahore, *lines)
        by_hand(karachi, *(hand_line("receipt", "TEA", 1) for _ in range(700)))
    return rice
