"""`manage.py checkaudit`: are the audit and the catalogue's changes as they were sealed?"""

import sys
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.sealing import count_unsealed
from catalog.sealing import AUDITED, check_audited
from inventory_project.heads import UnreadableHeads, read_heads_if_any
from inventory_project.seal_keys import read_keys


class Command(BaseCommand):
    help = (
        "Names the first entry that was altered, removed or inserted since it was sealed; exit 1 "
        "where there is one. checkledger --seals does the same for movements."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--heads", metavar="FILE", type=Path,
            help="heads of seals told elsewhere to compare; default AUDIT_HEADS_FILE",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            keys, heads = read_keys(), read_heads_if_any(options["heads"])
        except (ImproperlyConfigured, UnreadableHeads) as error:
            raise CommandError(str(error)) from error
        is_whole = True
        for chain, checked in check_audited(keys, heads=heads).items():
            told = f"{chain.name}: {checked.rows:,} rows under {checked.seals:,} seals"
            if checked.wrong:
                is_whole = False
                self.stdout.write(
                    f"{told} hold, then: {checked.wrong.problem} ({checked.wrong.detail})"
                )
                continue
            waiting = count_unsealed(chain, checked.last)
            self.stdout.write(f"{told} hold, {waiting:,} wait for a seal.")
        compared = sum(len(heads.get(chain.name, {})) for chain in AUDITED)
        self.stdout.write(f"Compared with {compared:,} heads told elsewhere.")
        if not is_whole:
            self.stdout.write("The audit is NOT what was sealed.")
            sys.exit(1)
