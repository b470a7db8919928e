"""The only writer of the ledger: heads, levels and movements.

Everything that moves stock is *staged* as rows of the temporary table `stock_posting`, by
`record` from Python or by the sale worker straight from its inbox, and then *posted* by one set
of statements, the same text on SQLite and PostgreSQL. The rules:

- The caller holds the row locks of the stores' LedgerHeads, taken in store order, before it
  stages (`lock_stores`). That lock is the store's lane: numbering, balances and the answer to
  "is this event known?" are final only under it. On SQLite the write lock is the lane.
- Locks are taken in one order everywhere: heads, levels, movements.
- Claiming a lane and working in it are two statements: one statement's snapshot would be older
  than its lock.
"""

import uuid
import zoneinfo
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone as clock

from catalog.models import Product
from catalog.scanning import Scanned, choose_scanned, find_scanned
from inventory_project.errors import Conflict, DomainError
from inventory_project.failpoints import reach
from inventory_project.fields import format_quantity
from inventory_project.rows import adapt_value, be_among, make_table, read_uuid
from stock import statements
from stock.digest import digest_event
from stock.history import Past, Proof, Standing
from stock.models import BALANCE_UNITS_MAX, DECREASING_KINDS, LedgerHead, Movement
from stores.models import NegativeStock, Store

STAGE_ROWS_PER_STATEMENT = 500
ADOPT_ROWS_PER_STATEMENT = 1_000  # SQLite binds at most 32,766 values


class EventConflict(Conflict):
    """The event_id is known with other content; the first stays."""

    code = "event_conflict"
    title = "This event id was used for something else"


class InsufficientStock(Conflict):
    """A removal by hand would take more than there is. `facts`: sku, available, asked."""

    code = "insufficient_stock"
    title = "Not enough stock"


class BalanceOutOfRange(Conflict):
    """A balance would leave the range that still adds up exactly."""

    code = "balance_out_of_range"
    title = "Balance out of range"


class HasHistory(Conflict):
    """Only a store without movements can take over a history."""

    code = "has_history"
    title = "The store has movements"


@dataclass(frozen=True, slots=True)
class Entry:
    """One movement to be recorded; quantities in thousandths, money in 1/10,000.

    `quantity` is signed. `refuses_below_zero` is the negative-stock policy, already decided.
    """

    store_id: int
    product_id: int
    kind: str
    quantity: int
    event_id: uuid.UUID
    digest: bytes
    occurred_at: datetime
    business_date: date
    amount: int | None = None
    receipt: str = ""
    reason: str = ""
    actor_id: int | None = None
    device_id: int | None = None
    reverses_seq: int | None = None
    refuses_below_zero: bool = False


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of an entry: `recorded`, or `duplicate` of the movement it names."""

    event_id: uuid.UUID
    status: str
    seq: int
    balance_after: int


@dataclass(frozen=True, slots=True)
class Short:
    """A staged row that asked for more than there was; thousandths."""

    store_id: int
    nth: int
    product_id: int
    available: int
    asked: int


@dataclass(frozen=True, slots=True)
class Posted:
    """How many movements were written, and which rows were refused for want of stock."""

    movements: int
    short: list[Short]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of goods moved by hand, as a person or device says it.

    `quantity` in thousandths: above 0 for every kind but `adjustment`, which is signed.
    `sku` or `barcode`, the latter in its comparable form.
    """

    event_id: uuid.UUID
    kind: str
    quantity: int
    occurred_at: datetime
    sku: str = ""
    barcode: str = ""
    amount: int | None = None
    receipt: str = ""
    reason: str = ""


class UnknownProduct(DomainError):
    """No product has this SKU or barcode."""

    code = "unknown_product"
    title = "Unknown product"


class Retired(Conflict):
    """A retired store or product takes no new documents."""

    code = "retired"
    title = "Retired"


@transaction.atomic
def move_by_hand(
    *, store: Store, lines: Sequence[Line], actor_id: int | None, device_id: int | None
) -> list[Recorded]:
    """Receive, sell, return, waste or adjust at once; all lines or none. Returns one Recorded per
    line. Whatever the kind, a removal obeys the policy of removals by hand: somebody waits for the
    answer and can be told that there is not enough.

    Raises UnknownProduct, AmbiguousBarcode, Retired, EventConflict, InsufficientStock,
    BalanceOutOfRange; their pointers begin with the number of the line.
    """
    known = _find_recorded(store, lines)
    if store.retired_at and len(known) < len({line.event_id for line in lines}):
        raise Retired(f"Store {store.code} is retired and takes no new movements.")
    found = find_scanned({(line.sku, line.barcode) for line in lines})
    zone = zoneinfo.ZoneInfo(store.timezone)
    entries = []
    for number, line in enumerate(lines):
        scanned = known.get(line.event_id) or _choose(found[line.sku, line.barcode], line, number)
        entries.append(_to_entry(store, zone, line, scanned, actor_id, device_id))
    return record(entries)


def _find_recorded(store: Store, lines: Sequence[Line]) -> dict[uuid.UUID, Scanned]:
    """The products of lines sent before. A line that waited for its answer while its product
    was retired or its barcode given to a second one is still a duplicate, not an error."""
    ids = {line.event_id for line in lines}
    movements = Movement.objects.for_store(store).filter(event_id__in=ids)
    return {m.event_id: Scanned(m.product) for m in movements.select_related("product")}


def _choose(scanned: list[Scanned], line: Line, number: int) -> Scanned:
    field = "sku" if line.sku else "barcode"
    pointer = f"/{number}/{field}"
    if not scanned:
        raise UnknownProduct(f"No product has this {field}.", pointer=pointer)
    chosen = choose_scanned(scanned, pointer=pointer)
    if chosen.product.retired_at:
        raise Retired(f"{chosen.product.sku} is retired.", pointer=pointer)
    return chosen


def _to_entry(
    store: Store,
    zone: zoneinfo.ZoneInfo,
    line: Line,
    scanned: Scanned,
    actor_id: int | None,
    device_id: int | None,
) -> Entry:
    sign = -1 if line.kind in DECREASING_KINDS else 1
    return Entry(
        store_id=store.pk,
        product_id=scanned.product.pk,
        kind=line.kind,
        quantity=sign * line.quantity * scanned.units,
        event_id=line.event_id,
        digest=digest_event(
            line.kind, line.sku, line.barcode, line.quantity, line.occurred_at.isoformat(),
            line.amount, line.receipt, line.reason,
        ),
        occurred_at=line.occurred_at,
        business_date=line.occurred_at.astimezone(zone).date(),
        amount=line.amount,
        receipt=line.receipt,
        reason=line.reason,
        actor_id=actor_id,
        device_id=device_id,
        refuses_below_zero=refuses_below_zero(
            store=store, product=scanned.product, is_sale=False
        ),
    )  # fmt: skip


@transaction.atomic
def record(entries: Sequence[Entry]) -> list[Recorded]:
    """Write movements of one store, all or none; returns one Recorded per entry, in order.

    An entry whose event_id and digest the ledger knows counts no second time. Raises
    EventConflict (same id, other content), InsufficientStock and BalanceOutOfRange; their
    pointers begin with the number of the entry.
    """
    first = _refuse_conflicts_within(entries)
    lock_stores({entry.store_id for entry in entries})
    start_staging()
    _stage(entries, list(first.values()))
    try:
        posted = post_staged()
    except IntegrityError as error:
        _raise_out_of_range(entries, error)
        raise
    _raise_conflict()
    _raise_told_as_sale()
    _raise_insufficient(posted.short)
    recorded = _read_recorded()
    seen: set[uuid.UUID] = set()
    return [_tell(recorded[entry.event_id], seen) for entry in entries]


@transaction.atomic
def adopt_history(
    *, store: Store, history: Iterable[Past], last_seq: int, levels: Mapping[int, Standing]
) -> None:
    """Take over the whole history of a store that was kept by another ledger, oldest first, and
    not a digit of it changed. It is read once and added up on the way; `last_seq` and `levels`,
    by product id, are what the other ledger says at its end. All or nothing.

    Raises HasHistory, UnsoundHistory.
    """
    lock_stores([store.pk])
    if Movement.objects.for_store(store).exists():
        raise HasHistory(f"Store {store.code} has movements of its own.")
    proof = Proof()
    for batch in _cut(history):
        for past in batch:
            proof.follow(past)
        rows = [(store.pk, *past) for past in batch]
        _insert(statements.ADOPT_MOVEMENTS, statements.PAST_TYPES, rows)
    proof.conclude(last_seq=last_seq, levels=levels)
    for standings in _cut(proof.levels.items()):
        rows = [(store.pk, product_id, *standing) for product_id, standing in standings]
        _insert(statements.ADOPT_LEVELS, statements.STANDING_TYPES, rows)
    LedgerHead.objects.filter(pk=store.pk).update(last_seq=last_seq)
    reach("after_adopted_history")


def _cut(rows: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(rows)
    while batch := list(islice(rest, ADOPT_ROWS_PER_STATEMENT)):
        yield batch


def _insert(sql: str, types: Mapping[str, str], rows: Sequence[Sequence[Any]]) -> None:
    table, params = make_table(connection, "r", types, rows)
    with connection.cursor() as cursor:
        cursor.execute(sql.format(rows=table), params)


def refuses_below_zero(*, store: Store, product: Product, is_sale: bool) -> bool:
    """Whether a removal may not take this balance below zero: product, else store, else chain."""
    chain = settings.NEGATIVE_STOCK_OF_SALES if is_sale else settings.NEGATIVE_STOCK_OF_REMOVALS
    return (product.negative_stock or store.negative_stock or chain) == NegativeStock.REFUSE


def open_lanes(store_ids: Iterable[int]) -> None:
    """Make the head row of every store that has none yet."""
    with connection.cursor() as cursor:
        cursor.execute(*write_open_lanes(store_ids))


def write_open_lanes(store_ids: Iterable[int]) -> tuple[str, list[int]]:
    """The statement of `open_lanes`, for who makes it a part of another."""
    among, ids = be_among(connection, sorted(store_ids))
    return statements.OPEN_LANES.format(among=among), ids


def lock_stores(store_ids: Iterable[int]) -> None:
    """Take the lanes of these stores, in store order; waits for whoever holds one."""
    ids = sorted(store_ids)
    open_lanes(ids)
    list(
        LedgerHead.objects.select_for_update()
        .filter(pk__in=ids)
        .order_by("pk")
        .values_list("pk", flat=True)
    )


def look_back(store_ids: set[int]) -> None:
    """Let the next look for sales begin at the front of these lanes: older ones wait again."""
    lock_stores(store_ids)
    LedgerHead.objects.filter(pk__in=store_ids).update(taken_until=None)


def start_staging() -> None:
    """Give this transaction an empty `stock_posting`."""
    with connection.cursor() as cursor:
        cursor.execute(
            statements.MAKE_STAGE.format(
                on_commit=statements.ON_COMMIT[connection.vendor],
                row_address=statements.ROW_ADDRESS[connection.vendor],
            )
        )
        cursor.execute("DELETE FROM stock_posting")


def post_staged() -> Posted:
    """Turn the staged rows into movements and levels; the rows that do not post get a verdict.

    Verdicts: `duplicate`, `conflict`, `insufficient_stock`, or what the stager wrote. The lanes
    of all staged stores must be held.
    """
    with connection.cursor() as cursor:
        cursor.execute(statements.FIND_KNOWN)
        cursor.execute(statements.COUNT_JUDGED)
        left_out, refusing = cursor.fetchone()
        short = _refuse_below_zero(cursor) if refusing else []
        if left_out or short:
            cursor.execute(statements.CLOSE_UP)
        cursor.execute(statements.WRITE_LEVELS)
        reach("after_balance_row")
        cursor.execute(statements.WRITE_MOVEMENTS, [adapt_value(connection, clock.now())])
        movements = cursor.rowcount
        reach("after_ledger_row")
        cursor.execute(statements.ADVANCE_HEADS)
    return Posted(movements, short)


def _refuse_below_zero(cursor: Any) -> list[Short]:
    cursor.execute(statements.READ_REFUSING)
    short = _find_short(cursor.fetchall())
    for start in range(0, len(short), STAGE_ROWS_PER_STATEMENT):
        keys = [(s.store_id, s.nth) for s in short[start : start + STAGE_ROWS_PER_STATEMENT]]
        rows, params = make_table(connection, "r", statements.STAGE_KEY_TYPES, keys)
        cursor.execute(statements.REFUSE.format(rows=rows), params)
    return short


def _find_short(rows: Iterable[tuple[int, int, int, int, bool, int]]) -> list[Short]:
    """Rows that would take their balance below zero, one after another: a refused row leaves
    its stock to the next."""
    short: list[Short] = []
    product: tuple[int, int] | None = None
    balance = 0
    for store_id, product_id, nth, quantity, refuses, level in rows:
        if (store_id, product_id) != product:
            product, balance = (store_id, product_id), level
        if refuses and quantity < 0 and balance + quantity < 0:
            short.append(Short(store_id, nth, product_id, available=balance, asked=-quantity))
        else:
            balance += quantity
    return short


def _refuse_conflicts_within(entries: Sequence[Entry]) -> dict[uuid.UUID, int]:
    """The number of the first entry of each event_id."""
    first: dict[uuid.UUID, int] = {}
    for number, entry in enumerate(entries):
        if entries[first.setdefault(entry.event_id, number)].digest != entry.digest:
            raise EventConflict(
                "This event_id stands twice in the request, with different content.",
                pointer=f"/{number}/event_id",
            )
    return first


def _stage(entries: Sequence[Entry], numbers: Sequence[int]) -> None:
    places: Counter[int] = Counter()
    staged = []
    for number in numbers:
        places[entries[number].store_id] += 1
        place = places[entries[number].store_id]
        staged.append(_stage_row(number, place, entries[number]))
    with connection.cursor() as cursor:
        for start in range(0, len(staged), STAGE_ROWS_PER_STATEMENT):
            chunk = staged[start : start + STAGE_ROWS_PER_STATEMENT]
            rows, params = make_table(connection, "r", statements.STAGE_TYPES, chunk)
            sql = statements.STAGE_ROWS.format(columns=statements.STAGE_COLUMNS, rows=rows)
            cursor.execute(sql, params)


def _stage_row(nth: int, place: int, entry: Entry) -> tuple[Any, ...]:
    return (
        entry.store_id, nth, place, entry.product_id, entry.kind, entry.quantity, entry.amount,
        entry.event_id, entry.digest, entry.occurred_at, entry.business_date, entry.receipt,
        entry.reason, entry.actor_id, entry.device_id, entry.reverses_seq,
        True, entry.refuses_below_zero, "",
    )  # fmt: skip


def _raise_conflict() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(nth) FROM stock_posting WHERE verdict = 'conflict'")
        nth = cursor.fetchone()[0]
    if nth is not None:
        raise EventConflict(
            "This event_id is known with other content; the first one stays.",
            pointer=f"/{nth}/event_id",
        )


def _raise_told_as_sale() -> None:
    with connection.cursor() as cursor:
        cursor.execute(statements.FIND_TOLD)
        nth = cursor.fetchone()[0]
    if nth is not None:
        raise EventConflict(
            "This event_id was used for a sale; the first one stays.", pointer=f"/{nth}/event_id"
        )


def _raise_insufficient(short: Sequence[Short]) -> None:
    if not short:
        return
    first = min(short, key=lambda row: row.nth)
    sku = Product.objects.values_list("sku", flat=True).get(pk=first.product_id)
    raise InsufficientStock(
        f"{sku}: {format_quantity(first.asked)} asked, "
        f"{format_quantity(first.available)} available.",
        pointer=f"/{first.nth}/quantity",
        sku=sku,
        available=format_quantity(first.available),
        asked=format_quantity(first.asked),
    )


def _raise_out_of_range(entries: Sequence[Entry], error: IntegrityError) -> None:
    if is_out_of_range(error):
        pointer = "/0/quantity" if len(entries) == 1 else ""
        text = f"A balance would leave the range of ±{BALANCE_UNITS_MAX} units."
        raise BalanceOutOfRange(text, pointer=pointer) from error


def is_out_of_range(error: Exception) -> bool:
    """Whether the database refused a level for its size."""
    return isinstance(error, IntegrityError) and "level_quantity_in_range" in str(error)


def _read_recorded() -> dict[uuid.UUID, Recorded]:
    with connection.cursor() as cursor:
        cursor.execute(statements.READ_RECORDED)
        return {
            read_uuid(event_id): Recorded(
                read_uuid(event_id), verdict or "recorded", seq, balance_after
            )
            for event_id, verdict, seq, balance_after in cursor.fetchall()
        }


def _tell(recorded: Recorded, seen: set[uuid.UUID]) -> Recorded:
    """The second of two equal entries in one request is a duplicate of the first."""
    if recorded.event_id in seen:
        return Recorded(recorded.event_id, "duplicate", recorded.seq, recorded.balance_after)
    seen.add(recorded.event_id)
    return recorded
