"""`manage.py restoreshop FILE`: puts a backup in the place of a shop's database."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from inventory_project.errors import DomainError
from inventory_project.keyring import find_key_place
from orders.backup import Restored, find_database, restore
from orders.management.commands.backupshop import describe


class Command(BaseCommand):
    help = "Puts a backup in the place of a shop's database, and keeps that one beside it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        file = options["file"]
        try:
            database = find_database()
            restored = restore(file=file, database=database)
        except DomainError as error:
            raise CommandError(f"{error.detail} Nothing was changed.") from error
        except OSError as error:
            raise CommandError(f"{error}. Nothing was changed.") from error
        self._tell(file, database, restored)

    def _tell(self, file: Path, database: Path, restored: Restored) -> None:
        self.stdout.write(f"{database} is what it was in {file}: {describe(restored.contents)}.")
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
        if missing := restored.contents.keys_missing:
            self.stderr.write(
                f"Contacts in it are sealed with {', '.join(missing)}, which is not here: add the "
                f"lines of that computer's key file to {find_key_place()}. All else is there."
            )
        if not restored.contents.is_sound:
            self.stderr.write("Its ledger is NOT sound, and was not when it was backed up.")
