"""`manage.py showroles`: who may do what, as docs/operate/security.md has it."""

from typing import Any

from django.core.management.base import BaseCommand

from accounts.roles import write_table


class Command(BaseCommand):
    help = "Prints the table of roles and what each may do, in Markdown."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(write_table(), ending="")
