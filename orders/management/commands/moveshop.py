"""`manage.py moveshop`: moves the shop of one file into the chain of DATABASE_URL."""

import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from inventory_project.errors import DomainError
from inventory_project.keyring import LOCAL_KEYS_NAME
from orders.moving import Move, Wish, find_chain, move_shop, plan_move
from stock.checking import check_ledger
from stores.models import Store


class Command(BaseCommand):
    help = (
        "Moves a stopped shop into the chain of DATABASE_URL: store, keys, catalogue, history and "
        "waiting sales, all or nothing. The shop's file is closed afterwards."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--from", dest="file", metavar="FILE", type=Path, default=settings.SHOP_FILE,
            help="the shop's database; default %(default)s",
        )  # fmt: skip
        parser.add_argument("--store", metavar="CODE", default="", help="which store of the file")
        parser.add_argument(
            "--code", metavar="CODE", default="", help="its code in the chain; default the same"
        )
        parser.add_argument(
            "--rename-given-skus", dest="renames", action="store_true",
            help="give CODE-P1 to the shop's P1 where the chain's P1 is another product",
        )  # fmt: skip
        parser.add_argument(
            "--field-keys", metavar="FILE", type=Path, default=None,
            help=f"the keys of the shop's contacts; default {LOCAL_KEYS_NAME} beside its database",
        )  # fmt: skip
        parser.add_argument("--dry-run", action="store_true", help="say what would happen only")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            chain = find_chain()
            move = _move(options)
        except DomainError as error:
            raise CommandError(f"{error.detail} Nothing was changed.") from error
        except OSError as error:
            raise CommandError(f"{error}. Nothing was changed.") from error
        except DatabaseError as error:  # a lock that somebody held too long, say
            raise CommandError(f"{error} The move did not end: call it again.") from error
        if not move.is_new:
            self.stdout.write(f"The shop was moved already: it is store {move.code}.")
            return
        self.stdout.write(f"The shop is {options['file']}, the chain is {chain}.")
        self.stdout.write(_draw(move), ending="")
        if options["dry_run"]:
            self.stdout.write("Dry run, nothing was changed; this is what would move.")
            return
        self._check(move)

    def _check(self, move: Move) -> None:
        report = check_ledger(store=Store.objects.get(code=move.code))
        if not report.is_sound:
            self.stderr.write(f"The ledger of {move.code} is NOT sound: run checkledger.")
            sys.exit(1)
        self.stdout.write(
            f"The shop is store {move.code} of the chain and its ledger is sound. Its tills keep "
            "their keys; give them the chain's address. The old file takes no more sales."
        )


def _move(options: dict[str, Any]) -> Move:
    wish = Wish(options["store"], options["code"], options["renames"], _find_keys(options))
    work = plan_move if options["dry_run"] else move_shop
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    seen = Console(stderr=True)
    with Progress(
        *columns, TimeRemainingColumn(), console=seen, disable=not seen.is_terminal
    ) as progress:
        task = progress.add_task("Movements", visible=False)  # until it begins
        return work(
            file=options["file"],
            wish=wish,
            on_progress=lambda done, total: progress.update(
                task, completed=done, total=total, visible=True
            ),
        )


def _find_keys(options: dict[str, Any]) -> Path | None:
    """A file that is named has to be there; the usual one need not."""
    usual: Path = options["file"].parent / LOCAL_KEYS_NAME
    return options["field_keys"] or (usual if usual.exists() else None)


def _draw(move: Move) -> str:
    table = Table(f"Store {move.code}", "", show_header=True)
    for name, count in (
        ("movements", move.movements), ("levels", move.levels),
        ("waiting sales", move.waiting), ("parked sales", move.parked),
        ("dismissed sales", move.dismissed), ("keys", move.keys),
        ("products new to the chain", move.products_new),
        ("products it has already", move.products_matched),
    ):  # fmt: skip
        table.add_row(name, f"{count:,}")
    # A product may be called "[/b]" or ":tea:"; names are no markup.
    console = Console(markup=False, emoji=False, highlight=False)
    with console.capture() as printed:
        console.print(table)
        if move.renamed:
            console.print(_draw_renamed(move))
        if move.differences:
            console.print(_draw_differences(move))
    return printed.get()


def _draw_renamed(move: Move) -> Table:
    title = "Other products of the chain have these SKUs, so the shop's get new ones"
    table = Table("in the shop", "in the chain", title=title)
    for before, after in move.renamed.items():
        table.add_row(before, after)
    return table


def _draw_differences(move: Move) -> Table:
    title = "Where products differ, the chain's stay as they are"
    table = Table("SKU", "what", "in the shop", "in the chain", title=title)
    for difference in move.differences:
        table.add_row(difference.sku, difference.field, difference.shop, difference.chain)
    return table
