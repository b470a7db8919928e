"""The ledger's tables. ledger.py is their only writer."""

from collections.abc import Iterator
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from catalog.models import Product
from inventory_project.fields import MoneyField, QuantityField
from stores.models import Store, StoreKey, StoreScopedQuerySet

# Far from the end of a bigint, so that sums of levels still fit and SQLite, which turns an
# overflow into a float, is stopped by the same constraint as PostgreSQL.
BALANCE_UNITS_MAX = 1_000_000_000_000

# A store's movements are indexed by product within segments of so many, see ADR 17. Not a setting:
# it stands in the index.
SEGMENT_MOVEMENTS = 256
SEGMENTS_READ_FIRST = 8
SEGMENTS_READ_MAX = 4_096


class Kind(models.TextChoices):
    """Why stock moved. The kind gives the sign; only an adjustment is signed by the caller."""

    RECEIPT = "receipt", "Receipt"
    SALE = "sale", "Sale"
    RETURN = "return", "Return"
    VENDOR_RETURN = "vendor_return", "Return to vendor"
    WASTE = "waste", "Waste"
    ADJUSTMENT = "adjustment", "Adjustment"
    COUNT = "count", "Count"
    TRANSFER_OUT = "transfer_out", "Transfer out"
    TRANSFER_IN = "transfer_in", "Transfer in"
    REVERSAL = "reversal", "Reversal"


class Reason(models.TextChoices):
    DAMAGED = "damaged", "Damaged"
    THEFT = "theft", "Theft"
    LOST = "lost", "Lost"
    EXPIRED = "expired", "Expired"
    SAMPLE = "sample", "Sample"
    INTERNAL_USE = "internal_use", "Internal use"
    RECOUNT = "recount", "Recount"
    OTHER = "other", "Other"


INCREASING_KINDS = [Kind.RECEIPT, Kind.RETURN, Kind.TRANSFER_IN]
DECREASING_KINDS = [Kind.SALE, Kind.VENDOR_RETURN, Kind.WASTE, Kind.TRANSFER_OUT]
EITHER_WAY_KINDS = [Kind.ADJUSTMENT, Kind.COUNT, Kind.REVERSAL]


class LedgerHead(models.Model):
    """One row a store: the last `seq` given out. Its row lock is the store's lane. (Class A.)"""

    store = models.OneToOneField(Store, on_delete=models.PROTECT, primary_key=True)
    last_seq = models.BigIntegerField(default=0)
    taken_until = models.DateTimeField(
        null=True, help_text="Arrival of the newest sale taken; older ones may still come."
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(last_seq__gte=0), name="ledger_head_seq_not_negative"
            ),
        ]


class LevelQuerySet(StoreScopedQuerySet):
    def for_store(self, store: Store) -> Self:
        return self.filter(store=store)


class Level(models.Model):
    """What a store has of a product; no row is zero. (Class A.)

    The sum of that product's movements at every commit. No index on quantity or updated_seq:
    it would cost the cheap in-place (HOT) updates of PostgreSQL.
    """

    pk = models.CompositePrimaryKey("store_id", "product_id")
    store = models.ForeignKey(
        Store, on_delete=models.PROTECT, db_index=False, related_name="levels"
    )
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="levels")
    quantity = QuantityField()
    updated_seq = models.BigIntegerField()

    objects = LevelQuerySet.as_manager()

    class Meta:
        constraints = [
            # A balance outside would overflow in sums; the event that asks for it is parked.
            models.CheckConstraint(
                condition=Q(quantity__gte=-BALANCE_UNITS_MAX, quantity__lte=BALANCE_UNITS_MAX),
                name="level_quantity_in_range",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.product}: {self.quantity}"


# A text, not `F("seq") / 256`: SQLite uses an index of an expression for the same words only.
_SEGMENT = models.Func(
    models.F("seq"),
    template=f"(%(expressions)s / {SEGMENT_MOVEMENTS})",
    output_field=models.BigIntegerField(),
)


class MovementQuerySet(StoreScopedQuerySet):
    def for_store(self, store: Store) -> Self:
        return self.filter(store=store)

    def after(self, seq: int) -> Self:
        """The store's feed: what came after this seq, oldest first. Filter by one store first."""
        return self.filter(seq__gt=seq).order_by("seq")

    def of_product(
        self, *, store_id: int, product_id: int, rows: int, after: int = 0, newest: bool = False
    ) -> Self:
        """One product's history in one store: the first `rows` of these movements behind the seq
        `after`, or with `newest` the last ones. In no order yet.

        Goes through the store's segments, ever more at a time, until so many rows are found.
        """
        found: list[int] = []
        for segments in _cut_segments(after // SEGMENT_MOVEMENTS, _last_segment(store_id), newest):
            part = self.alias(segment=_SEGMENT).filter(
                store_id=store_id, product_id=product_id, segment__in=segments, seq__gt=after
            )
            way = "-" if newest else ""
            # By segment first: by `seq` alone, the planner may hope to meet such rows early and
            # read all movements of the store instead.
            order = (f"{way}segment", f"{way}seq")
            found += part.order_by(*order).values_list("seq", flat=True)[: rows - len(found)]
            if len(found) >= rows:
                break
        return self.filter(store_id=store_id, product_id=product_id, seq__in=found)


def _last_segment(store_id: int) -> int:
    seqs = LedgerHead.objects.filter(pk=store_id).values_list("last_seq", flat=True)
    return (seqs.first() or 0) // SEGMENT_MOVEMENTS


def _cut_segments(first: int, last: int, newest: bool) -> Iterator[list[int]]:
    """The segments from first to last, or back with `newest`; few at first, then more at once."""
    segments = range(last, first - 1, -1) if newest else range(first, last + 1)
    size = SEGMENTS_READ_FIRST
    while segments:
        yield list(segments[:size])
        segments, size = segments[size:], min(8 * size, SEGMENTS_READ_MAX)


class Movement(models.Model):
    """One change of one level; the history, the change feed and the audit at once. (Class A.)

    Append-only: a mistake is corrected by another movement. `seq` runs without gaps per store
    in the order of truth, `balance_after` is the balance in that order. No database foreign
    keys: every movement has its Level row, which has them, and two more would halve the rate.
    """

    pk = models.CompositePrimaryKey("store_id", "seq")
    store = models.ForeignKey(
        Store, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    seq = models.BigIntegerField()
    product = models.ForeignKey(
        Product, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    quantity = QuantityField(help_text="Signed: what was added to the balance.")
    balance_after = QuantityField()
    amount = MoneyField(null=True, help_text="Line total: sale value or receipt cost, unsigned.")
    occurred_at = models.DateTimeField(help_text="As the device said.")
    recorded_at = models.DateTimeField(help_text="When the server took it into the ledger.")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    device = models.ForeignKey(
        StoreKey,
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    reverses_seq = models.BigIntegerField(null=True)
    business_date = models.DateField(help_text="The day in the store's zone.")
    event_id = models.UUIDField()
    digest = models.BinaryField(max_length=16)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    reason = models.CharField(max_length=16, choices=Reason.choices, blank=True)
    receipt = models.CharField(max_length=64, blank=True, help_text="Basket or document.")

    objects = MovementQuerySet.as_manager()

    class Meta:
        constraints = [
            # "Exactly once" is this index: whatever is resent or raced, an id counts once.
            models.UniqueConstraint(
                fields=["store", "event_id"], name="movement_event_once_per_store"
            ),
            models.CheckConstraint(condition=Q(seq__gte=1), name="movement_seq_positive"),
            models.CheckConstraint(condition=Q(kind__in=Kind.values), name="movement_kind_known"),
            models.CheckConstraint(
                condition=Q(kind__in=INCREASING_KINDS, quantity__gt=0)
                | Q(kind__in=DECREASING_KINDS, quantity__lt=0)
                | Q(kind__in=EITHER_WAY_KINDS),
                name="movement_sign_follows_kind",
            ),
            models.CheckConstraint(
                condition=Q(reason__in=["", *Reason.values]), name="movement_reason_known"
            ),
            models.CheckConstraint(
                condition=Q(amount__isnull=True) | Q(amount__gte=0),
                name="movement_amount_not_negative",
            ),
        ]
        indexes = [
            # History of one product in one store, see MovementQuerySet.of_product. By product
            # alone each movement would go to a leaf of its own, anywhere in the index.
            models.Index(
                models.F("store"),
                _SEGMENT,
                models.F("product"),
                models.F("seq"),
                name="movement_by_segment",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.store_id}/{self.seq}"


class LedgerSeal(models.Model):
    """A seal over a range of a store's movements; each holds the one before. (Class A.)

    Append-only. Made by sealing.py some time after the movements, never in their transaction.
    """

    pk = models.CompositePrimaryKey("store_id", "first_seq")
    store = models.ForeignKey(
        Store, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    first_seq = models.BigIntegerField()
    last_seq = models.BigIntegerField()
    rows = models.IntegerField()
    marks = models.BinaryField(help_text="Eight bytes a movement, to name the one that is wrong.")
    digest = models.BinaryField(max_length=32)
    head = models.BinaryField(max_length=32)
    key_name = models.CharField(max_length=16)
    form = models.PositiveSmallIntegerField(help_text="Which columns were sealed.")
    sealed_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=Q(first_seq__gte=1, last_seq__gte=models.F("first_seq")),
                name="ledger_seal_range_in_order",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.store_id}/{self.first_seq} to {self.last_seq}"


# --- twins for the back office ----------------------------------------------------------------
# The admin takes no model with a composite key. A twin reads the same table and declares one of
# the key's columns as its own; it is never written, and its rows are found by `address`.


class LevelTwin(models.Model):
    """A level as the back office reads it; the declared key is not unique over stores."""

    product = models.OneToOneField(
        Product, on_delete=models.DO_NOTHING, primary_key=True, related_name="+"
    )
    store = models.ForeignKey(Store, on_delete=models.DO_NOTHING, related_name="+")
    quantity = QuantityField("on hand")
    updated_seq = models.BigIntegerField("last movement")

    objects = LevelQuerySet.as_manager()

    class Meta:
        managed = False
        db_table = "stock_level"
        default_permissions = ()
        verbose_name = "level"

    def __str__(self) -> str:
        return f"{self.product} in {self.store}"

    @property
    def address(self) -> str:
        return f"{self.store_id}-{self.product_id}"


class MovementTwin(models.Model):
    """A movement as the back office reads it; the declared key is not unique over stores."""

    seq = models.BigIntegerField("number", primary_key=True)
    store = models.ForeignKey(Store, on_delete=models.DO_NOTHING, related_name="+")
    product = models.ForeignKey(Product, on_delete=models.DO_NOTHING, related_name="+")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    reason = models.CharField(max_length=16, choices=Reason.choices, blank=True)
    quantity = QuantityField(help_text="What was added to the balance; negative: taken away.")
    balance_after = QuantityField(help_text="What the store had of it after this movement.")
    amount = MoneyField(null=True, help_text="Line total: sale value or receipt cost.")
    occurred_at = models.DateTimeField(help_text="As the device said.")
    recorded_at = models.DateTimeField(help_text="When the server took it into the ledger.")
    business_date = models.DateField(help_text="The day in the store's zone.")
    receipt = models.CharField(max_length=64, blank=True, help_text="Basket or document.")
    event_id = models.UUIDField()
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, null=True, related_name="+"
    )
    device = models.ForeignKey(StoreKey, on_delete=models.DO_NOTHING, null=True, related_name="+")
    reverses_seq = models.BigIntegerField(null=True)

    objects = MovementQuerySet.as_manager()

    class Meta:
        managed = False
        db_table = "stock_movement"
        default_permissions = ()
        verbose_name = "movement"

    def __str__(self) -> str:
        return f"Movement {self.seq} of {self.store}"

    @property
    def address(self) -> str:
        return f"{self.store_id}-{self.seq}"
