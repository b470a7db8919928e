"""`manage.py restoreshop FILE`: puts a backup in the place of a shop's database."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from inventory_project.errors import DomainError
from orders.backup import Restored, find_database, restore
from orders.management.commands.backupshop import describe


class Command(BaseCommand):
    help = "Puts a backup in the place of a shop's database, and keeps that one beside it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        file = options["file"]
        try:
            restored = restore(file=file, database=find_database())
        except DomainError as error:
            raise CommandError(f"{error.detail} Nothing was changed.") from error
        except OSError as error:
            raise CommandError(f"{error}. Nothing was changed.") from error
        self._tell(file, restored)

    def _tell(self, file: Path, restored: Restored) -> None:
        self.stdout.write(f"The shop is what it was in {file}: {describe(restored.contents)}.")
        if restored.migrations:
            self.stdout.write(
                f"It was of an older version and was brought up to date "
                f"({restored.migrations} migrations)."
            )
        if restored.aside:
            self.stdout.write(
                f"The database before is {restored.aside}; to go back: "
                f"manage.py restoreshop {restored.aside}"
            )
        if not restored.contents.is_sound:
            self.stderr.write("Its ledger is NOT sound, and was not when it was backed up.")
