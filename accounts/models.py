from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import DEFAULT_DB_ALIAS, transaction

from accounts.audit import Action, Subject, describe_row, record
from accounts.audit_tables import AuditEntry, AuditSeal

__all__ = ["AuditEntry", "AuditSeal", "User"]


class User(AbstractUser):
    """A person of head office or of a store. (Table class C: an ordinary key.)

    Our own from the first migration, because a user model cannot be exchanged later.
    """

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, and note what changed: Django's pages, commands and log-in write people, too, and
        know no write module of ours."""
        using = kwargs.get("using") or self._state.db or DEFAULT_DB_ALIAS
        if set(kwargs.get("update_fields") or ["all"]) == {"last_login"}:  # the log-in is noted
            super().save(*args, **kwargs)
            return
        with transaction.atomic(using=using):
            before = self._find_stored(using)
            super().save(*args, **kwargs)
            self._note(before, using)

    def _find_stored(self, using: str) -> "User | None":
        return User._base_manager.using(using).filter(pk=self.pk).first() if self.pk else None

    def _note(self, before: "User | None", using: str) -> None:
        stored = self._find_stored(using)
        assert stored
        record(
            Action.PERSON_CHANGED if before else Action.PERSON_ADDED,
            Subject("person", self.pk, stored.get_username()),
            before=describe_row(before) if before else None,
            after=describe_row(stored),
            using=using,
        )
