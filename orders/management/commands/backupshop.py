"""`manage.py backupshop FILE`: a copy of a shop's database while it goes on selling."""

import sys
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from accounts.audit import Action, record
from inventory_project.errors import DomainError
from inventory_project.keyring import find_key_place
from orders.backup import Contents, back_up, find_database


class Command(BaseCommand):
    help = "Copies the database of a shop to a file, while it goes on selling, and checks the copy."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")

    def handle(self, *args: Any, **options: Any) -> None:
        file, began = options["file"], time.monotonic()
        try:
            database = find_database()
            contents = back_up(database=database, file=file, overwrites=options["overwrite"])
        except DomainError as error:
            raise CommandError(error.detail) from error
        except OSError as error:
            raise CommandError(f"{file} cannot be written: {error.strerror}.") from error
        self.stdout.write(f"{file}: {describe(contents)}, in {time.monotonic() - began:.1f} s.")
        self.stdout.write(f"It is a copy of {database}.")
        if contents.sealed_by:
            self.stdout.write(
                f"Contacts in it are sealed with {', '.join(sorted(contents.sealed_by))}, which is "
                f"not in it: keep {find_key_place()} elsewhere, too."
            )
        self._note(file)
        if not contents.is_sound:
            self.stderr.write("Its ledger is NOT sound, as it was copied: run checkledger.")
            sys.exit(1)

    def _note(self, file: Path) -> None:
        """The copy is good all the same, also of a database that is to be migrated first."""
        try:
            record(Action.EXPORTED, after={"what": "backup", "file": file.name})
        except DatabaseError as error:
            self.stderr.write(f"The audit could not be told of this backup: {error}.")


def describe(contents: Contents) -> str:
    """What a file holds, for a person."""
    return (
        f"{contents.movements:,} movements, {contents.levels:,} levels, "
        f"{contents.waiting:,} waiting and {contents.parked:,} parked sales, "
        f"{contents.size_bytes / 1e6:,.1f} MB"
    )
