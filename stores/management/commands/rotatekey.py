"""`manage.py rotatekey`: a new key for a device, while its old one still works for some hours."""

import json
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from stores import registry
from stores.models import StoreKey

HOURS = int(registry.OVERLAP.total_seconds() // 3600)


class Command(BaseCommand):
    help = "Makes the key that follows another and prints it once; the old one ends by itself."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("prefix", help="the first part of the old key, before the point")
        parser.add_argument(
            "--hours", type=int, default=HOURS, help=f"until the old key ends; {HOURS} if not given"
        )
        parser.add_argument("--json", action="store_true", help="print key, prefix and old key")

    def handle(self, *args: Any, **options: Any) -> None:
        key = StoreKey.objects.filter(prefix=options["prefix"]).first()
        if key is None:
            # Not repeated: somebody may have typed the whole key.
            raise CommandError("There is no key that begins so. Give what stands before the point.")
        if not 0 <= options["hours"] <= registry.OVERLAP_HOURS_MAX:
            raise CommandError(f"--hours takes 0 to {registry.OVERLAP_HOURS_MAX}.")
        try:
            issued = registry.rotate_key(key, overlap=timedelta(hours=options["hours"]))
        except registry.KeyNotRotated as error:
            raise CommandError(error.detail) from error
        key.refresh_from_db()
        if options["json"]:
            told = {"key": issued.credential, "prefix": issued.key.prefix, "replaces": key.prefix}
            ends = {"old_key_ends_at": key.expires_at and key.expires_at.isoformat()}
            self.stdout.write(json.dumps(told | ends))
            return
        self.stdout.write(issued.credential)
        self.stderr.write(f"Not shown again. The old key {key.prefix} ends at {key.expires_at}.")
