"""A store's history on its way from one ledger into another, and the proof that it is whole."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple

from inventory_project.errors import Conflict


class UnsoundHistory(Conflict):
    """A history has a gap, or its balances do not follow from its movements."""

    code = "unsound_history"


class Past(NamedTuple):
    """A movement as it was recorded; thousandths of a unit and 1/10,000 of the currency.

    The fields stand in the order of `statements.PAST_TYPES`, behind the store.
    """

    seq: int
    product_id: int
    kind: str
    quantity: int
    balance_after: int
    amount: int | None
    event_id: uuid.UUID
    digest: bytes
    occurred_at: datetime
    recorded_at: datetime
    business_date: date
    receipt: str
    reason: str
    actor_id: int | None
    device_id: int | None
    reverses_seq: int | None


class Standing(NamedTuple):
    """A level: its balance in thousandths, and the last seq that moved it."""

    quantity: int
    updated_seq: int


@dataclass(slots=True)
class Proof:
    """Adds up a history as it passes by, oldest first."""

    last_seq: int = 0
    levels: dict[int, Standing] = field(default_factory=dict)

    def follow(self, past: Past) -> None:
        """Take the next movement. Raises UnsoundHistory."""
        if past.seq != self.last_seq + 1:
            raise UnsoundHistory(f"Movement {self.last_seq + 1} is missing.")
        before = self.levels.get(past.product_id, Standing(0, 0))
        if before.quantity + past.quantity != past.balance_after:
            raise UnsoundHistory(f"The balance after movement {past.seq} does not follow.")
        self.last_seq = past.seq
        self.levels[past.product_id] = Standing(past.balance_after, past.seq)

    def conclude(self, *, last_seq: int, levels: Mapping[int, Standing]) -> None:
        """Compare with what the other ledger says at its end. Raises UnsoundHistory."""
        if self.last_seq != last_seq:
            raise UnsoundHistory(f"Movements end at {self.last_seq}, the ledger at {last_seq}.")
        if self.levels != levels:
            raise UnsoundHistory("A level is not the sum of its movements.")
