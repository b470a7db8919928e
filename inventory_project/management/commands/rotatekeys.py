"""`manage.py rotatekeys`: personal fields are sealed by the newest key, while everybody works."""

import sys
from typing import Any

from django.core.management.base import BaseCommand
from rich.console import Console
from rich.progress import Progress

from inventory_project.keyring import get_keyring
from inventory_project.rotation import Rotation, rotate


class Command(BaseCommand):
    help = (
        "Seals personal fields that another key has sealed with the first of FIELD_KEYS, in small "
        "transactions. It may be ended at any time and started again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        seen = Console(stderr=True)
        with Progress(console=seen, disable=not seen.is_terminal) as progress:
            task = progress.add_task("Rows")
            rotation = rotate(
                lambda done, total: progress.update(task, completed=done, total=total)
            )
        self._tell(rotation)
        if rotation.unreadable:
            for problem in rotation.problems:
                self.stderr.write(problem)
            self.stderr.write(
                f"{rotation.unreadable} rows cannot be read and stay as they are: "
                "docs/operate/security.md says what to do."
            )
            sys.exit(1)

    def _tell(self, rotation: Rotation) -> None:
        ring = get_keyring()
        self.stdout.write(
            f"{rotation.rows:,} rows looked at, {rotation.resealed:,} sealed anew with "
            f"{ring.writing_id}."
        )
        for key_id, rows in sorted(rotation.in_use.items()):
            self.stdout.write(f"In use: {key_id}, {rows:,} rows.")
        for key_id in ring.key_ids:
            if key_id not in rotation.in_use and key_id != ring.writing_id:
                self.stdout.write(
                    f"Not in use: {key_id}. If it is an older one, take it out of FIELD_KEYS, and "
                    "keep it as long as backups from before today."
                )
