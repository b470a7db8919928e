"""The inbox of sale events. sales.py writes it."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from inventory_project.fields import (
    BARCODE_CHARACTERS_MAX,
    QUANTITY_THOUSANDTHS_MAX,
    SKU_CHARACTERS_MAX,
    MoneyField,
    QuantityField,
)
from stock.models import Kind
from stores.models import Store, StoreKey, StoreScopedQuerySet

RECEIPT_CHARACTERS_MAX = 64


class Status(models.TextChoices):
    PENDING = "pending", "Pending"
    PARKED = "parked", "Parked"
    DISMISSED = "dismissed", "Dismissed"


class ParkReason(models.TextChoices):
    """Why an accepted event does not count yet."""

    UNKNOWN_PRODUCT = "unknown_product", "Unknown product"
    AMBIGUOUS_BARCODE = "ambiguous_barcode", "Barcode of several products"
    INSUFFICIENT_STOCK = "insufficient_stock", "Not enough stock"
    CLOCK_AHEAD = "clock_ahead", "Dated more than a day ahead"
    CONFLICT = "conflict", "Same id as another event"
    BALANCE_OUT_OF_RANGE = "balance_out_of_range", "Balance out of range"
    FAILED = "failed", "Could not be applied"


class SaleEventQuerySet(StoreScopedQuerySet):
    def for_store(self, store: Store) -> Self:
        return self.filter(store=store)

    def parked(self) -> Self:
        return self.filter(status=Status.PARKED)


class SaleEvent(models.Model):
    """One line of a sale as the till told it. The row is the queue. (Class A.)

    Deleted when applied. Parked and dismissed rows stay for ever, so that their id can never
    count again. `received_at` differs within a batch by a microsecond a line: it is the order
    of arrival.
    """

    pk = models.CompositePrimaryKey("store_id", "event_id")
    store = models.ForeignKey(
        Store, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    event_id = models.UUIDField()
    kind = models.CharField(
        max_length=16, choices=[(k.value, k.label) for k in (Kind.SALE, Kind.RETURN)]
    )
    sku = models.CharField(max_length=SKU_CHARACTERS_MAX, blank=True)
    barcode = models.CharField(max_length=BARCODE_CHARACTERS_MAX, blank=True)
    quantity = QuantityField()
    amount = MoneyField(null=True)
    receipt = models.CharField(max_length=RECEIPT_CHARACTERS_MAX, blank=True)
    device_seq = models.BigIntegerField(null=True)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    business_date = models.DateField()
    digest = models.BinaryField(max_length=16)
    device = models.ForeignKey(
        StoreKey,
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)
    park_reason = models.CharField(max_length=24, choices=ParkReason.choices, blank=True)
    detail = models.CharField(max_length=250, blank=True)
    dismiss_reason = models.CharField(max_length=250, blank=True)
    dismissed_at = models.DateTimeField(null=True)
    dismissed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )

    objects = SaleEventQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=[Kind.SALE, Kind.RETURN]), name="sale_event_kind_known"
            ),
            models.CheckConstraint(
                condition=(Q(sku="") & ~Q(barcode="")) | (~Q(sku="") & Q(barcode="")),
                name="sale_event_sku_or_barcode",
            ),
            models.CheckConstraint(
                condition=Q(quantity__gt=0, quantity__lte=QUANTITY_THOUSANDTHS_MAX // 1000),
                name="sale_event_quantity_in_range",
            ),
            models.CheckConstraint(
                condition=Q(amount__isnull=True) | Q(amount__gte=0),
                name="sale_event_amount_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(status=Status.PENDING)
                | (Q(status=Status.PARKED) & ~Q(park_reason=""))
                | (
                    Q(status=Status.DISMISSED)
                    & ~Q(dismiss_reason="")
                    & Q(dismissed_at__isnull=False)
                ),
                name="sale_event_says_why_it_waits",
            ),
        ]
        indexes = [
            # The lanes: which stores have something to apply, oldest first.
            models.Index(
                fields=["store", "received_at"],
                condition=Q(status=Status.PENDING),
                name="sale_event_pending",
            ),
            # What head office looks at; pending rows come and go without touching it.
            models.Index(
                fields=["park_reason", "store", "received_at"],
                condition=Q(status=Status.PARKED),
                name="sale_event_parked",
            ),
        ]

    def __str__(self) -> str:
        return str(self.event_id)


# --- twins for the back office ----------------------------------------------------------------
# The admin takes no model with a composite key; these read the same table and declare one of
# the key's columns as their own. Never written; found by `address`.


class SaleEventTwin(models.Model):
    """A sale event as the back office reads it; the declared key is not unique over stores."""

    event_id = models.UUIDField(primary_key=True)
    store = models.ForeignKey(Store, on_delete=models.DO_NOTHING, related_name="+")
    kind = models.CharField(
        max_length=16, choices=[(k.value, k.label) for k in (Kind.SALE, Kind.RETURN)]
    )
    sku = models.CharField("SKU", max_length=SKU_CHARACTERS_MAX, blank=True)
    barcode = models.CharField(max_length=BARCODE_CHARACTERS_MAX, blank=True)
    quantity = QuantityField()
    amount = MoneyField(null=True, help_text="Line total as charged.")
    receipt = models.CharField(max_length=RECEIPT_CHARACTERS_MAX, blank=True)
    device_seq = models.BigIntegerField(null=True)
    occurred_at = models.DateTimeField(help_text="As the till said.")
    received_at = models.DateTimeField(help_text="When the server stored it.")
    business_date = models.DateField(help_text="The day in the store's zone.")
    device = models.ForeignKey(StoreKey, on_delete=models.DO_NOTHING, null=True, related_name="+")
    status = models.CharField(max_length=9, choices=Status.choices)
    attempts = models.PositiveSmallIntegerField()
    next_try_at = models.DateTimeField(null=True)
    park_reason = models.CharField("reason", max_length=24, choices=ParkReason.choices, blank=True)
    detail = models.CharField(max_length=250, blank=True)
    dismiss_reason = models.CharField(max_length=250, blank=True)
    dismissed_at = models.DateTimeField(null=True)
    dismissed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, null=True, related_name="+"
    )

    objects = SaleEventQuerySet.as_manager()

    class Meta:
        managed = False
        db_table = "orders_saleevent"
        default_permissions = ()
        verbose_name = "sale event"

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.sku or self.barcode} in {self.store}"

    @property
    def address(self) -> str:
        return f"{self.store_id}-{self.event_id}"


class ParkedEvent(SaleEventTwin):
    """A sale event that somebody has to decide about."""

    class Meta:
        proxy = True
        default_permissions = ()
        permissions = [("decide_parkedevent", "Can replay and dismiss parked sale events")]
        verbose_name = "parked event"
