"""`manage.py checkledger`: does every balance follow from its movements?"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from inventory_project.heads import UnreadableHeads, read_heads_if_any
from inventory_project.seal_keys import read_keys
from inventory_project.sealing import Checked
from stock.checking import FINDINGS_PER_CHECK_MAX, CheckReport, check_ledger
from stock.sealing import check_seals
from stores.models import Store


class Command(BaseCommand):
    help = "Checks levels, seq and balances against the movements; exit 1 where one is wrong."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--store", metavar="CODE", help="this store only")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument(
            "--seals", action="store_true", help="compare the movements with their seals as well"
        )
        parser.add_argument(
            "--heads", metavar="FILE", type=Path, help="heads of seals told elsewhere to compare"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        store = _find_store(options["store"]) if options["store"] is not None else None
        report = check_ledger(store=store, on_progress=self.stderr.write)
        seals = _check_seals(store, options["heads"]) if options["seals"] else []
        is_sound = report.is_sound and not any(checked.wrong for checked in seals)
        if options["json"]:
            told = _describe(report) | (_describe_seals(seals) if options["seals"] else {})
            self.stdout.write(json.dumps(told | {"ok": is_sound}))
        else:
            self._print(report)
            self._print_seals(seals)
        if not is_sound:
            sys.exit(1)

    def _print_seals(self, seals: list[Checked]) -> None:
        wrong = [checked.wrong for checked in seals if checked.wrong]
        for found in wrong:
            self.stdout.write(f"{found.chain}: {found.problem} ({found.detail})")
        if seals:
            total = f"{sum(s.rows for s in seals):,} movements of {len(seals):,} stores"
            state = f"{len(wrong)} are BROKEN" if wrong else "they hold"
            self.stdout.write(f"Seals over {total}: {state}.")

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


def _check_seals(store: Store | None, file: Path | None) -> list[Checked]:
    try:
        return check_seals(read_keys(), store=store, heads=read_heads_if_any(file))
    except (ImproperlyConfigured, UnreadableHeads) as error:
        raise CommandError(str(error)) from error


def _describe(report: CheckReport) -> dict[str, Any]:
    return {"ok": report.is_sound, **dataclasses.asdict(report)}


def _describe_seals(seals: list[Checked]) -> dict[str, Any]:
    broken = [dataclasses.asdict(checked.wrong) for checked in seals if checked.wrong]
    return {"sealed": sum(checked.rows for checked in seals), "broken_seals": broken}


def _draw(report: CheckReport) -> str:
    table = Table("check", "store", "product", "expected", "found", "difference")
    for finding in report.findings:
        row = dataclasses.astuple(finding)
        table.add_row(*("" if value is None else str(value) for value in row))
    console = Console()
    with console.capture() as printed:
        console.print(table)
    return printed.get()
