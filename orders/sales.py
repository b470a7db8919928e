"""What happens to sales: accepted into the inbox, applied to the ledger, parked, replayed.

The committed inbox row is the queue. Accepting is one transaction that ends before the till is
answered; applying is another, by a worker or the sweep, and removes the row in the same commit
that writes its movement. Nothing else remembers an event, so nothing else can lose one.
"""

import logging
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.conf import settings
from django.db import (
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
    connection,
    transaction,
)
from django.utils import timezone as clock

from accounts.audit import Action, Subject, record
from inventory_project.errors import Conflict, NotFound
from inventory_project.failpoints import reach
from inventory_project.rows import (
    adapt_value,
    make_table,
    read_uuid,
)
from orders import inbox, statements
from orders.judging import Key, Outcome, Parcel, SaleLine, judge, tell_outcomes
from orders.models import ParkReason, SaleEvent, Status
from stock import ledger
from stock.statements import ROW_ADDRESS, STAGE_COLUMNS
from stores.models import Store
from stores.principals import Principal

logger = logging.getLogger(__name__)

ATTEMPTS_MAX = 5
FIRST_RETRY_S = 2
LANE_EVENTS_MIN = 20
ADOPT_ROWS_PER_STATEMENT = 500

# The database's mood, or a missing grant or column: no event is to blame, nothing is parked.
NO_EVENTS_FAULT = (OperationalError, ProgrammingError, InternalError, InterfaceError)

# --- accepting ------------------------------------------------------------------------------


def accept(*, principal: Principal, lines: Sequence[SaleLine]) -> list[Outcome]:
    """Commit the new events of `lines` to the inbox; returns one Outcome per line, in order.

    When this returns, every `accepted` is on disk. An event whose id is known is a `duplicate`,
    or a `conflict` when it says something else; a line for a store the principal may not see is
    `rejected`. The answer is a courtesy: the ledger's unique key is what counts.
    """
    return accept_all([Parcel(principal, lines)])[0]


def accept_all(parcels: Sequence[Parcel]) -> list[list[Outcome]]:
    """Accept the lines of several senders in one transaction; returns the outcomes of each.

    What fails, fails for all of them.
    """
    reach("before_judging")
    judged = judge(parcels)
    if judged.new:
        reach("before_insert")
        judged.known = inbox.insert_new(judged)
        reach("after_commit_before_answer")
    outcomes = iter(tell_outcomes(judged))
    return [list(islice(outcomes, len(parcel.lines))) for parcel in parcels]


# --- applying -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Applied:
    """What one transaction did; the next claim starts behind `last_store_id`, 0 at the end."""

    taken: int = 0
    movements: int = 0
    duplicates: int = 0
    parked: int = 0
    last_store_id: int = 0


def apply_next(
    *, after_store_id: int = 0, events_max: int | None = None, looks_back: bool = True
) -> Applied:
    """Apply one batch of due events of the stores behind `after_store_id`, in one transaction.

    `events_max` is about how many; the setting SALES_APPLY_EVENTS_MAX if not given. Without
    `looks_back` only those that arrived after the last one taken of their store.
    An error that is not the database's mood is hunted down by halving the batch: the event that
    causes it is tried again later and finally parked, its neighbours go on.
    """
    events_max = events_max or settings.SALES_APPLY_EVENTS_MAX
    try:
        return _apply(after_store_id=after_store_id, events_max=events_max, looks_back=looks_back)
    except NO_EVENTS_FAULT:
        raise
    except Exception:
        logger.exception("A batch of sale events could not be applied; halving it.")
        return _apply_halves(_peek(after_store_id, events_max, looks_back))


@transaction.atomic
def _apply(
    *,
    after_store_id: int = 0,
    events_max: int = 0,
    looks_back: bool = True,
    keys: Sequence[Key] | None = None,
) -> Applied:
    stores_max = _count_lanes(events_max)
    if keys is None:
        stores = claim(after_store_id, stores_max, looks_back=looks_back)
    else:
        stores = _claim_these(keys)
    reach("after_claim")
    if not stores:
        return Applied()
    ledger.start_staging()
    with connection.cursor() as cursor:
        if keys is None:
            taken = _stage(cursor, *_take(stores, events_max, looks_back=looks_back))
        else:
            taken = _stage(cursor, *_take_these(stores, keys))
        posted = ledger.post_staged().movements
        known = _clear(cursor, others=taken - posted)
    reach("before_apply_commit")
    last_store_id = stores[-1] if len(stores) == stores_max else 0
    return Applied(taken, posted, known, taken - posted - known, last_store_id)


def _count_lanes(events_max: int) -> int:
    lanes_max = int(settings.SALES_APPLY_STORES_MAX)
    return min(lanes_max, max(1, events_max // LANE_EVENTS_MIN))


def claim(after_store_id: int, stores_max: int, *, looks_back: bool = True) -> list[int]:
    since = "" if looks_back else statements.CLAIM_SINCE
    sql = statements.CLAIM.format(since=since, lock=statements.LOCK[connection.vendor])
    now = adapt_value(connection, clock.now())
    with connection.cursor() as cursor:
        cursor.execute(sql, [after_store_id, now, stores_max])
        return [row[0] for row in cursor.fetchall()]


def _claim_these(keys: Sequence[Key]) -> list[int]:
    ids = sorted({store_id for store_id, _ in keys})
    sql = statements.CLAIM_THESE.format(
        ids=", ".join(["%s"] * len(ids)), lock=statements.LOCK[connection.vendor]
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, ids)
        return [row[0] for row in cursor.fetchall()]


def _stage(cursor: Any, taken: str, params: list[Any]) -> int:
    """Stage the events that `taken` reads; returns how many."""
    policy = settings.NEGATIVE_STOCK_OF_SALES
    cursor.execute(statements.STAGE.format(columns=STAGE_COLUMNS, taken=taken), [policy, *params])
    staged = int(cursor.rowcount)
    cursor.execute(statements.COUNT_UNRESOLVED)
    if cursor.fetchone()[0]:
        row_address = ROW_ADDRESS[connection.vendor]
        cursor.execute(statements.RESOLVE_BARCODES.format(row_address=row_address), [policy])
    return staged


def _clear(cursor: Any, *, others: int) -> int:
    """Take what was posted or known out of the inbox and park the rest; returns how many were
    known. `others`: how many did not post."""
    verdicts = _count_verdicts(cursor) if others else {}
    for reason in sorted(verdicts.keys() - {"duplicate"}):
        cursor.execute(statements.PARK[connection.vendor], [reason, reason])
    cursor.execute(statements.CLEAR[connection.vendor])
    return verdicts.get("duplicate", 0)


def _count_verdicts(cursor: Any) -> dict[str, int]:
    cursor.execute(statements.COUNT_VERDICTS)
    return dict(cursor.fetchall())


def _take(
    stores: Sequence[int], events_max: int, *, looks_back: bool = True
) -> tuple[str, list[Any]]:
    per_lane = (
        events_max if len(stores) == 1 else max(LANE_EVENTS_MIN, 2 * events_max // len(stores))
    )
    lanes, params = make_table(connection, "lane", statements.LANE_TYPES, [(s,) for s in stores])
    since = "" if looks_back else statements.TAKE_SINCE
    sql = statements.TAKE[connection.vendor].format(lanes=lanes, since=since)
    return sql, [*params, adapt_value(connection, clock.now()), per_lane]


def _take_these(stores: Sequence[int], keys: Sequence[Key]) -> tuple[str, list[Any]]:
    keyed, params = make_table(connection, "key", statements.KEY_TYPES, keys)
    ids = ", ".join(["%s"] * len(stores))
    row_address = ROW_ADDRESS[connection.vendor]
    sql = statements.TAKE_THESE.format(ids=ids, keys=keyed, row_address=row_address)
    return sql, [*stores, *params]


def _peek(after_store_id: int, events_max: int, looks_back: bool) -> list[Key]:
    """The events the next batch would take; each store's in the order of arrival."""
    with transaction.atomic():
        stores = claim(after_store_id, _count_lanes(events_max), looks_back=looks_back)
        if not stores:
            return []
        taken, params = _take(stores, events_max, looks_back=looks_back)
        order = "ORDER BY e.store_id, e.received_at, e.event_id"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT e.store_id, e.event_id {taken} {order}", params)
            return [(store_id, read_uuid(event_id)) for store_id, event_id in cursor]


def _apply_halves(keys: Sequence[Key]) -> Applied:
    """Apply these events in ever smaller parts until the ones that fail stand alone."""
    if not keys:
        return Applied()
    middle = len(keys) // 2
    parts = [keys] if middle == 0 else [keys[:middle], keys[middle:]]
    total = 0
    for part in parts:
        try:
            total += _apply(keys=part).taken
        except NO_EVENTS_FAULT:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is written to the event's row
            if len(part) == 1:
                _note_failure(part[0], error)
            else:
                total += _apply_halves(part).taken
    # A failing event counts as work done: it is put off, and the drain goes on to the others.
    return Applied(taken=max(total, 1), last_store_id=keys[-1][0])


def _note_failure(key: Key, error: Exception) -> None:
    """Put a failing event off, a little longer each time, and park it in the end."""
    with transaction.atomic():
        # Only who has the lane may touch a pending row: a batch remembers where its rows lie.
        ledger.lock_stores([key[0]])
        event = SaleEvent.objects.filter(pk=key, status=Status.PENDING).first()
        if event is None:
            return
        event.attempts += 1
        event.detail = f"{type(error).__name__}: {error}"[:250].replace("\x00", "")
        event.next_try_at = clock.now() + timedelta(seconds=FIRST_RETRY_S**event.attempts)
        reason = _reason_to_park(event.attempts, error)
        if reason:
            event.status, event.park_reason, event.next_try_at = Status.PARKED, reason, None
        event.save(update_fields=["attempts", "detail", "next_try_at", "status", "park_reason"])


def _reason_to_park(attempts: int, error: Exception) -> str:
    if ledger.is_out_of_range(error):
        return ParkReason.BALANCE_OUT_OF_RANGE
    return ParkReason.FAILED if attempts >= ATTEMPTS_MAX else ""


# --- what people do with parked events --------------------------------------------------------


class NotParked(Conflict):
    """Only a parked event can be replayed or dismissed."""

    code = "not_parked"
    title = "The event is not parked"


def replay(*, principal: Principal, event_id: uuid.UUID, store: Store | None = None) -> SaleEvent:
    """Put a parked event back into the queue, tries counted anew; returns it.

    Raises NotFound, NotParked.
    """
    with transaction.atomic():
        event = _lock_parked(principal, event_id, store)
        event.status, event.park_reason, event.detail = Status.PENDING, "", ""
        event.attempts, event.next_try_at = 0, None
        event.save(update_fields=["status", "park_reason", "detail", "attempts", "next_try_at"])
        ledger.look_back({event.store_id})
    return event


def dismiss(
    *, principal: Principal, event_id: uuid.UUID, reason: str, store: Store | None = None
) -> SaleEvent:
    """Decide that a parked event shall never count; the row stays, so its id stays used.

    Raises NotFound, NotParked.
    """
    with transaction.atomic():
        event = _lock_parked(principal, event_id, store)
        event.status, event.dismiss_reason = Status.DISMISSED, reason
        event.dismissed_at, event.dismissed_by_id = clock.now(), principal.actor_id
        event.save(update_fields=["status", "dismiss_reason", "dismissed_at", "dismissed_by_id"])
        # The row has no place for a key, and is not sealed.
        told = {"store": event.store.code, "parked_for": event.park_reason, "reason": reason}
        record(Action.SALE_DISMISSED, Subject("sale", event.event_id), after=told)
    return event


def _lock_parked(principal: Principal, event_id: uuid.UUID, store: Store | None) -> SaleEvent:
    events = SaleEvent.objects.writable_by(principal).filter(event_id=event_id)
    if store is not None:
        events = events.for_store(store)
    event: SaleEvent | None = events.select_for_update().order_by("store_id").first()
    if event is None:
        raise NotFound("There is no such event waiting.")
    if event.status != Status.PARKED:
        raise NotParked(f"The event is {event.status}.")
    return event


# --- a store that moves in --------------------------------------------------------------------


def adopt(events: Iterable[SaleEvent]) -> int:
    """Put events that another inbox accepted into this one, in whatever state they wait; returns
    how many. Call it in the transaction that takes over their store's history."""
    count = 0
    rest = iter(events)
    while batch := list(islice(rest, ADOPT_ROWS_PER_STATEMENT)):
        count += len(SaleEvent.objects.bulk_create(batch))
    return count


def give_away(*, store: Store, to: str, using: str) -> int:
    """Dismiss what waits in the inbox of a store that was moved, in another database; returns how
    many. It counts where it was moved, and would count once more if anybody applied it here."""
    waiting = SaleEvent.objects.using(using).filter(store_id=store.pk)
    return waiting.exclude(status=Status.DISMISSED).update(
        status=Status.DISMISSED, dismiss_reason=f"Moved to {to}.", dismissed_at=clock.now()
    )


# --- the sweep ------------------------------------------------------------------------------


def free_known_products() -> int:
    """Queue again what was parked as `unknown_product` and is known by now; returns how many."""
    # Asked first: an UPDATE of nothing takes SQLite's write lock all the same, each second.
    if not SaleEvent.objects.parked().filter(park_reason=ParkReason.UNKNOWN_PRODUCT).exists():
        return 0
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statements.FREE_KNOWN)
        freed = [row[0] for row in cursor.fetchall()]
        if freed:
            ledger.look_back(set(freed))
    return len(freed)


def recall_put_off() -> int:
    """Make due what was put off for longer than anything ever is; returns how many. A process whose
    clock is a day fast put it off until tomorrow."""
    latest = clock.now() + timedelta(seconds=FIRST_RETRY_S**ATTEMPTS_MAX)
    wrong = SaleEvent.objects.filter(status=Status.PENDING, next_try_at__gt=latest)
    stores = set(wrong.values_list("store_id", flat=True))
    if not stores:
        return 0
    with transaction.atomic():
        ledger.lock_stores(stores)  # as in _note_failure
        return wrong.filter(store_id__in=stores).update(next_try_at=None)


def oldest_due_at() -> datetime | None:
    """When the oldest event that could be applied now arrived; None when nothing waits."""
    due = SaleEvent.objects.filter(status=Status.PENDING).exclude(next_try_at__gt=clock.now())
    return due.order_by("received_at").values_list("received_at", flat=True).first()
