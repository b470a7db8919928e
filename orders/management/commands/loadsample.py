"""`manage.py loadsample`: a chain of 25 shops and three weeks of work, to look at and play with."""

import time
from typing import Any

from django.core.management.base import BaseCommand
from rich.console import Console
from rich.table import Table

from orders import sampling


class Command(BaseCommand):
    help = "Fills an empty database with a sample chain; leaves any other as it is."

    def handle(self, *args: Any, **options: Any) -> None:
        if not sampling.can_load():
            self.stdout.write("There are stores or products already; nothing was changed.")
            return
        began = time.monotonic()
        loaded = sampling.load()
        table = Table("The sample chain", "", show_header=True)
        table.add_row("stores", f"{loaded.stores:,}")
        table.add_row("products", f"{loaded.products:,}")
        table.add_row("movements", f"{loaded.movements:,}")
        table.add_row("parked sales", f"{loaded.parked:,}")
        console = Console()
        with console.capture() as printed:
            console.print(table)
        self.stdout.write(printed.get(), ending="")
        self.stdout.write(f"Loaded in {time.monotonic() - began:.1f} s.")
