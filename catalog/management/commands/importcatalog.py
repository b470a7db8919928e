"""`manage.py importcatalog FILE.csv`: the catalogue from a spreadsheet, bad rows told apart."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from catalog.importing import COLUMNS, ImportReport, import_catalog, write_failed_rows
from inventory_project.errors import InvalidValue

FAILED_ROWS_SHOWN = 10
PIECE_BYTES = 1_048_576


class Command(BaseCommand):
    help = (
        f"Creates and changes products from a CSV file with the columns {','.join(COLUMNS)}. "
        "Good rows are saved, bad ones told with their reason; exit 1 if there are any."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE.csv", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="say what would happen only")
        parser.add_argument(
            "--failed", metavar="FILE", type=Path, help="write the failed rows here, with reasons"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = _import(options["file"], dry_run=options["dry_run"])
        except InvalidValue as error:
            raise CommandError(f"{error.detail} Nothing was changed.") from error
        except OSError as error:
            raise CommandError(f"{options['file']} cannot be read: {error.strerror}.") from error
        self.stdout.write(_summarise(report, dry_run=options["dry_run"]))
        if report.failed:
            self._tell_failed(report, options["failed"])
            sys.exit(1)

    def _tell_failed(self, report: ImportReport, path: Path | None) -> None:
        for failed in report.failed[:FAILED_ROWS_SHOWN]:
            self.stderr.write(str(failed))
        if path is None:
            left = len(report.failed) - FAILED_ROWS_SHOWN
            more = f"{left:,} more rows failed; " if left > 0 else ""
            self.stderr.write(f"{more}--failed FILE writes them all with their reasons.")
            return
        try:
            with path.open("w", encoding="utf-8", newline="") as file:
                write_failed_rows(report, file)
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
        self.stderr.write(f"The failed rows are in {path}; mend them and import that file.")


def _import(path: Path, *, dry_run: bool) -> ImportReport:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with (
        path.open(encoding="utf-8-sig", newline="") as file,
        Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress,
    ):
        rows = progress.add_task("Checking" if dry_run else "Importing", total=_count_lines(path))
        return import_catalog(
            file,
            dry_run=dry_run,
            on_progress=lambda done: progress.update(rows, completed=done),
        )


def _count_lines(path: Path) -> int:
    """Lines below the header: the rows, unless some are blank or hold line ends."""
    ends, piece = 0, b"\n"
    with path.open("rb") as file:
        # By pieces: an endless line would be in memory as a whole.
        while read := file.read(PIECE_BYTES):
            piece = read
            ends += read.count(b"\n")
    return max(0, ends - piece.endswith(b"\n"))


def _summarise(report: ImportReport, *, dry_run: bool) -> str:
    counts = (
        f"{report.created:,} created, {report.changed:,} changed, "
        f"{report.unchanged:,} unchanged, {len(report.failed):,} failed."
    )
    return f"Dry run, nothing was changed; it would be: {counts}" if dry_run else counts
