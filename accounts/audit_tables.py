"""The tables of the audit: entries as they happened, and the seals over them. audit.py writes the
one, sealing.py the other."""

from django.db import models
from django.db.models import Q
from django.utils import timezone as clock

from inventory_project.origin import KEY, NOBODY, PERSON, PROGRAM


class AuditEntry(models.Model):
    """Something somebody did, or was refused. Append-only. (Table class C.)

    Everything in it is text made harmless (audit.py), and refers to nothing by a foreign key: it
    stays true whatever becomes of the rows it speaks of. Ids may be left out where a change was
    taken back, and become visible out of order; see sealing.py for what that means.
    """

    class Actor(models.TextChoices):
        PERSON = PERSON, "Person"
        KEY = KEY, "Key"
        PROGRAM = PROGRAM, "Program"
        NOBODY = NOBODY, "Nobody known"

    at = models.DateTimeField(default=clock.now)
    action = models.CharField(max_length=32)
    actor_kind = models.CharField(max_length=8, choices=Actor.choices)
    actor_id = models.BigIntegerField(null=True)
    actor = models.CharField(max_length=200, blank=True, help_text="Username, key or command.")
    address = models.CharField(max_length=64, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    object_type = models.CharField(max_length=16, blank=True)
    object_id = models.CharField(max_length=64, blank=True)
    object_name = models.CharField(max_length=250, blank=True, help_text="Code, SKU or name.")
    before = models.TextField(blank=True, help_text="JSON: what was changed, as it had been.")
    after = models.TextField(blank=True, help_text="JSON: what it became, or other facts.")
    count = models.PositiveIntegerField(default=1, help_text="How often it happened.")

    class Meta:
        ordering = ["-id"]
        verbose_name = "audit entry"
        verbose_name_plural = "audit entries"
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["object_id", "object_type", "id"], name="audit_of_object"),
            models.Index(fields=["object_name", "id"], name="audit_of_name"),
            models.Index(fields=["actor", "id"], name="audit_of_actor"),
            models.Index(fields=["action", "id"], name="audit_of_action"),
            models.Index(fields=["request_id"], name="audit_of_request"),
            models.Index(fields=["at"], name="audit_by_time"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(actor_kind__in=[PERSON, KEY, PROGRAM, NOBODY]),
                name="audit_actor_kind_known",
            ),
            models.CheckConstraint(condition=Q(count__gte=1), name="audit_count_positive"),
            # A number below all others could be put before the first sealed row.
            models.CheckConstraint(condition=Q(id__gte=1), name="audit_id_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.pk} {self.action} {self.object_name}".rstrip()


class AuditSeal(models.Model):
    """A seal over a range of rows; each holds the one before it. Append-only. (Table class C.)

    `chain` says over which table: the entries above, or the catalogue's changes.
    """

    pk = models.CompositePrimaryKey("chain", "first")
    chain = models.CharField(max_length=16)
    first = models.BigIntegerField()
    last = models.BigIntegerField()
    rows = models.IntegerField()
    marks = models.BinaryField(help_text="Eight bytes a row, to name the one that is wrong.")
    digest = models.BinaryField(max_length=32)
    head = models.BinaryField(max_length=32)
    key_name = models.CharField(max_length=16)
    form = models.PositiveSmallIntegerField(help_text="Which columns were sealed.")
    sealed_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=Q(first__gte=1, last__gte=models.F("first")),
                name="audit_seal_range_in_order",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.chain} {self.first} to {self.last}"
