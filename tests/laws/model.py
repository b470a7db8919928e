"""The promises as one small program: no database, no clock, nothing at the same time.

What the real code does must look like this from outside, whatever is resent, reordered, rung
for, or killed on the way.
"""

from dataclasses import dataclass, field

DECREASING = {"sale", "waste"}


@dataclass(frozen=True)
class Told:
    """An event as a device tells it; thousandths. `code` names a product, `units` a pack."""

    kind: str
    product: str
    code: str
    units: int
    quantity: int

    @property
    def change(self) -> int:
        return self.units * self.quantity * (-1 if self.kind in DECREASING else 1)


Key = tuple[str, str]  # store, event


@dataclass
class Model:
    """The whole truth: what waits, what counts, which products exist."""

    products: set[str] = field(default_factory=set)
    waiting: dict[Key, tuple[Told, str]] = field(default_factory=dict)
    counted: dict[Key, Told] = field(default_factory=dict)

    def accept(self, store: str, event: str, told: Told) -> str:
        """Once per store and id; the first content stays."""
        key = store, event
        known = self.counted.get(key) or self.waiting.get(key, (None,))[0]
        if known is None:
            self.waiting[key] = told, "pending"
            return "accepted"
        return "duplicate" if known == told else "conflict"

    def apply(self) -> None:
        """What waits counts, unless its product is unknown."""
        for key, (told, status) in list(self.waiting.items()):
            if status != "pending":
                continue
            if told.product not in self.products:
                self.waiting[key] = told, "unknown_product"
            else:
                self.counted[key] = told
                del self.waiting[key]

    def sweep(self) -> None:
        """Events parked for a product that exists by now wait again."""
        for key, (told, status) in self.waiting.items():
            if status == "unknown_product" and told.product in self.products:
                self.waiting[key] = told, "pending"

    def move_by_hand(self, store: str, event: str, told: Told) -> str:
        """At once or not at all; nothing is taken out that is not there."""
        known = self.counted.get((store, event))
        if known is not None:
            return "duplicate" if known == told else "event_conflict"
        if (store, event) in self.waiting:
            return "event_conflict" if told.product in self.products else "unknown_product"
        if told.product not in self.products:
            return "unknown_product"
        if told.change < 0 and self.balance(store, told.product) + told.change < 0:
            return "insufficient_stock"
        self.counted[store, event] = told
        return "recorded"

    def balance(self, store: str, product: str) -> int:
        """The sum; in which order things came cannot matter."""
        return sum(
            told.change
            for (at, _), told in self.counted.items()
            if at == store and told.product == product
        )
