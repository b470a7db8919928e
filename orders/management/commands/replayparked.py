"""`manage.py replayparked`: puts parked sales back into the queue once their cause is mended."""

from collections import Counter
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from inventory_project.errors import DomainError
from orders import sales
from orders.models import ParkReason, SaleEvent
from orders.tasks import ring_doorbell
from stores.models import Store
from stores.principals import Principal


class Command(BaseCommand):
    help = "Queues parked sales again; the worker applies them, or parks them anew."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--store", metavar="CODE", help="of this store only")
        parser.add_argument(
            "--reason", choices=ParkReason.values, help="parked for this reason only"
        )
        parser.add_argument("--limit", type=int, metavar="N", help="at most so many, oldest first")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["limit"] is not None and options["limit"] < 1:
            raise CommandError("--limit must be at least 1.")
        done = _replay(_find_parked(options["store"], options["reason"], options["limit"]))
        if done:
            ring_doorbell(force=True)
        self.stdout.write(_summarise(done))


def _find_parked(
    code: str | None, reason: str | None, limit: int | None
) -> list[tuple[int, UUID, str]]:
    """(store id, event id, reason), oldest first."""
    parked = SaleEvent.objects.parked().order_by("received_at")
    if code is not None:
        store = Store.objects.filter(code=code).first()
        if store is None:
            raise CommandError(f"There is no store {code!r}.")
        parked = parked.for_store(store)
    if reason is not None:
        parked = parked.filter(park_reason=reason)
    return list(parked.values_list("store_id", "event_id", "park_reason")[:limit])


def _replay(parked: list[tuple[int, UUID, str]]) -> Counter[str]:
    """Replay these events; returns how many by the reason they had waited for."""
    stores = Store.objects.in_bulk({store_id for store_id, _, _ in parked})
    done: Counter[str] = Counter()
    for store_id, event_id, reason in parked:
        store = stores[store_id]
        try:
            sales.replay(principal=Principal(store=store), event_id=event_id, store=store)
        except DomainError:  # somebody replayed or dismissed it meanwhile
            continue
        done[reason] += 1
    return done


def _summarise(done: Counter[str]) -> str:
    if not done:
        return "No parked sale was found."
    told = ", ".join(f"{count:,} {reason}" for reason, count in sorted(done.items()))
    subject = "1 sale is" if done.total() == 1 else f"{done.total():,} sales are"
    return f"{subject} queued again ({told})."
