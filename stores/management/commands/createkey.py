"""`manage.py createkey`: a device key for one store, or for head office."""

import json
import zoneinfo
from datetime import date, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone as clock

from inventory_project.errors import Invalid, InvalidValue
from inventory_project.fields import clean_text
from stores import registry
from stores.models import Scope, Store, StoreKey

NAME_CHARACTERS_MAX = 80


class Command(BaseCommand):
    help = "Makes a key and prints it once; only its hash is stored."

    def add_arguments(self, parser: CommandParser) -> None:
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--store", metavar="CODE", help="a key of this store")
        whose.add_argument("--head-office", action="store_true", help="a key of every store")
        parser.add_argument("--name", required=True, help="which device or program holds it")
        parser.add_argument(
            "--expires", metavar="YYYY-MM-DD", help="refused from the start of this day, store time"
        )
        parser.add_argument(
            "--scope",
            action="append",
            choices=Scope.values,
            metavar="SCOPE",
            help="what it may do, once for each: "
            f"{', '.join(Scope.values)}; all that such a key can have, if none is given",
        )
        parser.add_argument("--json", action="store_true", help="print key, prefix and store")

    def handle(self, *args: Any, **options: Any) -> None:
        store = _find_store(options["store"]) if options["store"] is not None else None
        try:
            issued = registry.issue_key(
                name=_read_name(options["name"]),
                store=store,
                scopes=options["scope"],
                expires_at=_read_expiry(options["expires"], store),
            )
        except Invalid as error:
            raise CommandError(f"--scope: {error.errors[0][2]}.") from error
        if options["json"]:
            self.stdout.write(json.dumps(_describe(issued.key, issued.credential)))
            return
        self.stdout.write(issued.credential)
        whose = f"store {store.code}" if store else "head office"
        self.stderr.write(f"This key of {whose} is not shown again.")


def _find_store(code: str) -> Store:
    store: Store | None = Store.objects.filter(code=code).first()
    if store is None:
        raise CommandError(f"There is no store {code!r}.")
    if store.retired_at:
        raise CommandError(f"Store {store.code} is retired; its keys would be refused.")
    return store


def _read_name(value: str) -> str:
    try:
        return clean_text(value, characters_max=NAME_CHARACTERS_MAX)
    except InvalidValue as error:
        raise CommandError(f"--name {error.detail}.") from error


def _read_expiry(value: str | None, store: Store | None) -> datetime | None:
    if value is None:
        return None
    zone = zoneinfo.ZoneInfo(store.timezone if store else settings.STORE_TIMEZONE)
    try:
        day = date.fromisoformat(value)
        expires_at = datetime(day.year, day.month, day.day, tzinfo=zone)
    except ValueError as error:
        raise CommandError("--expires must be a day such as 2030-01-01.") from error
    if expires_at <= clock.now():
        raise CommandError("--expires must be a day that has not begun.")
    return expires_at


def _describe(key: StoreKey, credential: str) -> dict[str, Any]:
    return {
        "key": credential,
        "prefix": key.prefix,
        "store": key.store.code if key.store else None,
        "scopes": key.scopes.split(),
    }
