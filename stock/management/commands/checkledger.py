"""`manage.py checkledger`: does every balance follow from its movements?"""

import dataclasses
import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from stock.checking import FINDINGS_PER_CHECK_MAX, CheckReport, check_ledger
from stores.models import Store


class Command(BaseCommand):
    help = "Checks levels, seq and balances against the movements; exit 1 where one is wrong."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--store", metavar="CODE", help="this store only")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        store = _find_store(options["store"]) if options["store"] is not None else None
        report = check_ledger(store=store, on_progress=self.stderr.write)
        if options["json"]:
            self.stdout.write(json.dumps(_describe(report)))
        else:
            self._print(report)
        if not report.is_sound:
            sys.exit(1)

    def _print(self, report: CheckReport) -> None:
        if report.findings:
            self.stdout.write(_draw(report), ending="")
        looked_at = f"{report.stores} stores, {report.levels} levels, {report.movements} movements"
        if report.is_sound:
            self.stdout.write(f"The ledger is sound: {looked_at}.")
            return
        told = ", ".join(f"{count} {check}" for check, count in report.counts.items() if count)
        self.stdout.write(
            f"The ledger is NOT sound ({looked_at}); wrong: {told}. "
            f"At most {FINDINGS_PER_CHECK_MAX} of each are shown."
        )


def _find_store(code: str) -> Store:
    store: Store | None = Store.objects.filter(code=code).first()
    if store is None:
        raise CommandError(f"There is no store {code!r}.")
    return store


def _describe(report: CheckReport) -> dict[str, Any]:
    return {"ok": report.is_sound, **dataclasses.asdict(report)}


def _draw(report: CheckReport) -> str:
    table = Table("check", "store", "product", "expected", "found", "difference")
    for finding in report.findings:
        row = dataclasses.astuple(finding)
        table.add_row(*("" if value is None else str(value) for value in row))
    console = Console()
    with console.capture() as printed:
        console.print(table)
    return printed.get()
