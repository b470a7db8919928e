"""`manage.py sealaudit`: seals the audit, the catalogue's changes and the movements now."""

import time
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone as clock

from inventory_project.heads import write_heads
from inventory_project.seal_keys import make_key, read_keys
from stock.sealing import seal_all


class Command(BaseCommand):
    help = "Seals whatever has no seal yet; the sweep does it by itself, some minutes later."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--new-key", metavar="NAME", help="print a new key for AUDIT_SEAL_KEY, seal nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["new_key"] is not None:
                self.stdout.write(make_key(options["new_key"]))
                return
            keys = read_keys()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        began = time.monotonic()
        sealed = seal_all(keys)
        seconds = max(time.monotonic() - began, 0.001)
        if sealed.heads:
            write_heads(settings.AUDIT_HEADS_FILE, sealed.heads, clock.now())
        self.stdout.write(
            f"{len(sealed.heads)} chains sealed in {seconds:.1f} s: {sealed.movements:,} movements "
            f"of {sealed.stores:,} stores ({sealed.movements / seconds:,.0f} a second). "
            f"Heads: {settings.AUDIT_HEADS_FILE}."
        )
