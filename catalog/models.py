"""Product, Barcode, Category and the feed of their changes; editing.py writes them."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone as clock

from inventory_project.fields import (
    BARCODE_CHARACTERS_MAX,
    SKU_CHARACTERS_MAX,
    MoneyField,
)
from stores.models import NegativeStock

PACK_UNITS_MAX = 10_000
BARCODES_PER_PRODUCT_MAX = 50


class Unit(models.TextChoices):
    EACH = "each", "Each"
    KG = "kg", "Kilogram"
    LITRE = "litre", "Litre"


class CatalogHead(models.Model):
    """One row: the version of the catalogue. (Table class C.)

    Locked by every change, so versions commit in order and without gaps and a follower of
    "after version n" never misses one. `stamp` tells apart two versions of one number, as there
    are after a database was restored from a copy: kept answers are of one of them.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    version = models.BigIntegerField(default=0)
    stamp = models.BigIntegerField(db_default=0, help_text="Drawn by lot for each version.")

    class Meta:
        constraints = [
            # A second head would hand out the same versions again.
            models.CheckConstraint(condition=Q(id=1), name="catalog_head_is_one_row"),
        ]


class Category(models.Model):
    """A shelf of the catalogue. (Table class B.)"""

    name = models.CharField(max_length=120, unique=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "categories"
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="category_name_not_empty"),
        ]

    def __str__(self) -> str:
        return self.name


class ProductQuerySet(models.QuerySet["Product"]):
    def active(self) -> Self:
        return self.filter(retired_at__isnull=True)


class Product(models.Model):
    """What the chain sells. Retired, never deleted: its movements stay. (Table class B.)"""

    sku = models.CharField(max_length=SKU_CHARACTERS_MAX, unique=True, verbose_name="SKU")
    name = models.CharField(max_length=250)
    category = models.ForeignKey(
        Category, on_delete=models.PROTECT, null=True, blank=True, related_name="products"
    )
    unit = models.CharField(max_length=8, choices=Unit.choices, default=Unit.EACH)
    price = MoneyField(default=0, help_text="Of one unit, in the store's currency.")
    negative_stock = models.CharField(
        max_length=16,
        choices=NegativeStock.choices,
        blank=True,
        help_text="Empty: as the store does.",
    )
    retired_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    version = models.BigIntegerField(default=0, editable=False)

    objects = ProductQuerySet.as_manager()

    class Meta:
        ordering = ["sku"]
        constraints = [
            models.CheckConstraint(condition=~Q(sku=""), name="product_sku_not_empty"),
            models.CheckConstraint(condition=Q(price__gte=0), name="product_price_not_negative"),
            models.CheckConstraint(condition=Q(unit__in=Unit.values), name="product_unit_known"),
            models.CheckConstraint(
                condition=Q(negative_stock__in=["", *NegativeStock.values]),
                name="product_negative_stock_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.sku} {self.name}"


class Barcode(models.Model):
    """A code on a product's wrapping; `units` is more than one on a pack. (Table class B.)

    Not unique over products: real catalogues share codes. `comparable` is what scans are
    compared with.
    """

    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="barcodes")
    code = models.CharField(max_length=BARCODE_CHARACTERS_MAX)
    comparable = models.CharField(max_length=BARCODE_CHARACTERS_MAX, db_index=True, editable=False)
    units = models.PositiveIntegerField(default=1, help_text="Units one scan stands for.")

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["product", "comparable"], name="barcode_once_per_product"
            ),
            # A pack of none would make a sale that moves nothing.
            models.CheckConstraint(
                condition=Q(units__gte=1, units__lte=PACK_UNITS_MAX), name="barcode_units_in_range"
            ),
        ]

    def __str__(self) -> str:
        return self.code


class ProductChange(models.Model):
    """One change of the catalogue: audit and feed at once. Append-only. (Table class C.)"""

    class Subject(models.TextChoices):
        PRODUCT = "product"
        CATEGORY = "category"

    class Action(models.TextChoices):
        CREATED = "created"
        CHANGED = "changed"
        RETIRED = "retired"
        RESTORED = "restored"

    version = models.BigIntegerField(primary_key=True)
    subject = models.CharField(max_length=8, choices=Subject.choices)
    subject_id = models.BigIntegerField()
    key = models.CharField(max_length=250, help_text="SKU, or the category's name.")
    action = models.CharField(max_length=8, choices=Action.choices)
    before = models.JSONField(null=True)
    after = models.JSONField()
    changed_at = models.DateTimeField(default=clock.now)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, null=True, db_constraint=False
    )
    device = models.ForeignKey(
        "stores.StoreKey", on_delete=models.DO_NOTHING, null=True, db_constraint=False
    )

    class Meta:
        ordering = ["-version"]
        indexes = [models.Index(fields=["subject", "subject_id", "version"], name="change_of_one")]
        constraints = [
            models.CheckConstraint(
                condition=Q(version__gte=1), name="product_change_version_positive"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.version} {self.key} {self.action}"
