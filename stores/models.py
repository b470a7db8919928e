"""Store and its keys. Rules of one row stand here; what happens to them in registry.py."""

import re
import unicodedata
import zoneinfo
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone as clock

from inventory_project.sealed_fields import SealedField, SealedRow

if TYPE_CHECKING:
    from stores.principals import Principal

STORE_CODE_CHARACTERS_MAX = 32
# "current" is the address of the caller's own store.
STORE_CODE_PATTERN = r"(?!current$)[A-Za-z0-9][A-Za-z0-9._-]{0,31}"


class NegativeStock(models.TextChoices):
    """What happens when a removal would take a balance below zero."""

    ALLOW_AND_FLAG = "allow_and_flag", "Allow and flag"
    REFUSE = "refuse", "Refuse"
    ALLOW = "allow", "Allow"


def validate_store_code(value: str) -> None:
    if not re.fullmatch(STORE_CODE_PATTERN, value):
        raise ValidationError(
            'Use 1 to 32 of A-Z, a-z, 0-9, dot, dash and underscore; not "current".',
            code="store_code",
        )


def validate_timezone(value: str) -> None:
    if value not in zoneinfo.available_timezones():
        raise ValidationError("Use a time zone name such as Asia/Karachi.", code="timezone")


def validate_currency(value: str) -> None:
    if not re.fullmatch(r"[A-Z]{3}", value):
        raise ValidationError("Use three capital letters such as PKR.", code="currency")


def get_default_timezone() -> str:
    return str(settings.STORE_TIMEZONE)


def get_default_currency() -> str:
    return str(settings.STORE_CURRENCY)


class Scope(models.TextChoices):
    """What a key may do, as its holder reads it. What people may do is accounts/roles.py."""

    SALES_WRITE = "sales:write", "Tell sales"
    SALES_READ = "sales:read", "See where its sales are"
    SALES_DECIDE = "sales:decide", "Replay and dismiss parked sales"
    STOCK_READ = "stock:read", "See levels and movements"
    STOCK_WRITE = "stock:write", "Book receipts, waste and other movements"
    CATALOG_READ = "catalog:read", "See products and categories"
    CATALOG_WRITE = "catalog:write", "Change products and categories"
    STORES_READ = "stores:read", "See stores"
    STORES_WRITE = "stores:write", "Register, change and retire stores"
    METRICS_READ = "metrics:read", "See the numbers of /metrics"


# What a till needs. The others are for keys of head office, which have these as well.
TILL_SCOPES = (
    Scope.SALES_WRITE, Scope.SALES_READ, Scope.STOCK_READ, Scope.STOCK_WRITE, Scope.CATALOG_READ,
    Scope.STORES_READ,
)  # fmt: skip
SCOPES_CHARACTERS_MAX = 250


class StoreScopedQuerySet(models.QuerySet[Any]):
    """The one rule of who has which store's rows: API, admin, commands and tasks ask here."""

    store_field = "store_id"

    def visible_to(self, principal: "Principal") -> Self:
        """Keep the rows of the stores this principal may see."""
        return self._of(principal, everything=principal.reads_chain_wide)

    def writable_by(self, principal: "Principal") -> Self:
        """Keep the rows of the stores this principal may work for; an auditor sees more."""
        return self._of(principal, everything=principal.works_chain_wide)

    def _of(self, principal: "Principal", *, everything: bool) -> Self:
        if everything:
            return self
        if principal.store is not None:
            return self.filter(**{self.store_field: principal.store.pk})
        return self.filter(**{f"{self.store_field}__in": principal.member_store_ids})


class StoreQuerySet(StoreScopedQuerySet):
    store_field = "pk"

    def active(self) -> Self:
        return self.filter(retired_at__isnull=True)


class StoresHead(models.Model):
    """One row: the version of the list of stores. (Table class C.)

    Locked by every change, so versions commit in order and without gaps. `stamp` as in
    catalog.CatalogHead.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    version = models.BigIntegerField(default=0)
    stamp = models.BigIntegerField(db_default=0, help_text="Drawn by lot for each version.")

    class Meta:
        constraints = [
            # A second head would hand out the same versions again.
            models.CheckConstraint(condition=Q(id=1), name="stores_head_is_one_row"),
        ]


class Store(models.Model):
    """A shop of the chain. Retired, never deleted: its movements stay. (Table class B.)"""

    code = models.CharField(
        max_length=STORE_CODE_CHARACTERS_MAX, unique=True, validators=[validate_store_code]
    )
    name = models.CharField(max_length=120)
    address = models.CharField(max_length=250, blank=True)
    timezone = models.CharField(
        max_length=40,
        default=get_default_timezone,
        validators=[validate_timezone],
        help_text="Decides which business day a sale belongs to.",
    )
    currency = models.CharField(
        max_length=3, default=get_default_currency, validators=[validate_currency]
    )
    negative_stock = models.CharField(
        max_length=16,
        choices=NegativeStock.choices,
        blank=True,
        help_text="Empty: as the chain does.",
    )
    retired_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    version = models.BigIntegerField(default=0, editable=False)

    objects = StoreQuerySet.as_manager()

    class Meta:
        ordering = ["code"]
        constraints = [
            models.CheckConstraint(condition=~Q(code=""), name="store_code_not_empty"),
            models.CheckConstraint(
                condition=Q(negative_stock__in=["", *NegativeStock.values]),
                name="store_negative_stock_known",
            ),
        ]
        permissions = [
            ("work_chain_wide", "Works for the whole chain (head office)"),
            ("read_chain_wide", "Sees the whole chain (an auditor)"),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


def normalise_phone(text: str) -> str:
    """The digits, with a plus where it says the country: `0092 (0)42-111` is `+9242111`."""
    digits = "".join(c for c in text.replace("(0)", "") if c.isascii() and c.isdecimal())
    if text.strip().startswith("+"):
        return f"+{digits}"
    return f"+{digits[2:]}" if digits.startswith("00") else digits


def normalise_email(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().strip()


class StoreContact(SealedRow):
    """Whom to call about a store, sealed. (Table class C.)

    A table of its own: a store is in every request, list and kept answer, and this in none of them.
    """

    store = models.OneToOneField(Store, on_delete=models.CASCADE, related_name="contact")
    name = SealedField()
    phone = SealedField()
    email = SealedField()
    phone_index = models.BinaryField(null=True, editable=False, db_index=True)
    email_index = models.BinaryField(null=True, editable=False, db_index=True)

    looked_up = {"phone": normalise_phone, "email": normalise_email}
    sealed_to = "store_id"

    def __str__(self) -> str:
        return f"Contact of {self.store}"


class StoreMember(models.Model):
    """A staff user who works for one store. Head office needs no rows here. (Table class C.)"""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="store_memberships"
    )
    store = models.ForeignKey(Store, on_delete=models.PROTECT, related_name="members")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "store"], name="store_member_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.store}"


class StoreKeyQuerySet(StoreScopedQuerySet):
    def working(self) -> Self:
        """Keys that open doors now: not revoked, in their time, of a store that is not retired."""
        now = clock.now()
        return self.filter(
            Q(expires_at__isnull=True) | Q(expires_at__gt=now),
            Q(store__isnull=True) | Q(store__retired_at__isnull=True),
            revoked_at__isnull=True,
            valid_from__lte=now,
        )


class StoreKey(models.Model):
    """A device's key: of one store, or of head office when `store` is empty. (Table class C.)

    Only the SHA-256 of the secret is stored. A slow password hash would be a denial of service
    on ourselves: the secret has 256 random bits, nobody can guess it from the hash.
    """

    prefix = models.CharField(max_length=12, unique=True, editable=False)
    secret_sha256 = models.CharField(max_length=64, editable=False)
    name = models.CharField(max_length=80, help_text="Which device or program holds it.")
    store = models.ForeignKey(
        Store,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="keys",
        help_text="Empty: a head-office key, which sees every store.",
    )
    scopes = models.CharField(
        max_length=SCOPES_CHARACTERS_MAX,
        blank=True,
        db_default="",
        help_text="Words of `Scope` with spaces between them; a key without any only says who it "
        "is.",
    )
    created_at = models.DateTimeField(default=clock.now, editable=False)
    valid_from = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="To the minute."
    )
    replaces = models.OneToOneField(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="replaced_by",
        help_text="The key whose device gets this one; it ends by itself.",
    )

    objects = StoreKeyQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(expires_at__isnull=True) | Q(expires_at__gt=models.F("valid_from")),
                name="store_key_ends_after_it_begins",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prefix} {self.name}"

    @cached_property
    def scope_set(self) -> frozenset[str]:
        return frozenset(self.scopes.split())
