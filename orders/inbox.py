"""New sales into the inbox, and what is known of them already. sales.py accepts by it."""

import zoneinfo
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone as clock

from inventory_project.rows import be_among, commit_planned, make_table, read_uuid, run_planned
from orders import statements
from orders.judging import Judged, Key, New
from orders.models import ParkReason, Status
from stock import ledger

CLOCK_AHEAD_MAX = timedelta(days=1)
PLANNED_ROWS_MAX = 64
# How an event comes in: state and reason.
_WAITING = (Status.PENDING.value, "")
_AHEAD = (Status.PARKED.value, ParkReason.CLOCK_AHEAD.value)


def insert_new(judged: Judged) -> dict[Key, bytes]:
    """Insert what is new and commit; returns the digests of what was known already.

    The ledger is looked at again after the insert: an event that was being applied while its copy
    came has left the inbox by then, and the copy got in. It is taken back before the commit.
    """
    rows = _inbox_rows(list(judged.new.values()))
    keys: list[Key] = [(row[0], row[1]) for row in rows]
    if connection.vendor == "postgresql" and len(rows) <= PLANNED_ROWS_MAX:
        inserted, known = _insert_few(rows, keys)
    else:
        with transaction.atomic(durable=True):
            inserted, known = _insert_many(rows, keys)
    left = [key for key in keys if key not in inserted and key not in known]
    known |= _look_up("orders_saleevent", left)
    # Applied between the insert that met it and the look at the inbox.
    return known | _look_up("stock_movement", [key for key in left if key not in known])


def _insert_few(rows: list[tuple[Any, ...]], keys: list[Key]) -> tuple[set[Key], dict[Key, bytes]]:
    """Insert, look again, take back and commit in one journey to the database: a batch of thirty
    sales has only one other. Returns what got in, and what the ledger knows."""
    table, params = make_table(connection, "r", statements.INBOX_TYPES, rows)
    insert = statements.INSERT.format(columns=statements.INBOX_COLUMNS, rows=table)
    lanes, ids = ledger.write_open_lanes({store_id for store_id, _ in keys})
    keyed, asked = make_table(connection, "key", statements.KEY_TYPES, keys)
    returned, found = commit_planned(
        connection,
        (statements.INSERT_WITH_LANES.format(lanes=lanes, insert=insert), [*ids, *params]),
        (statements.LOOK_AND_TAKE_BACK.format(keys=keyed), asked),
    )
    return {(store_id, event_id) for store_id, event_id in returned}, _read_known(found)


def _insert_many(rows: list[tuple[Any, ...]], keys: list[Key]) -> tuple[set[Key], dict[Key, bytes]]:
    """As `_insert_few`, in a transaction that asks the ledger only for stores that moved on since
    the insert's snapshot: two looks at their heads cost less than one for each event."""
    store_ids = {store_id for store_id, _ in keys}
    table, params = make_table(connection, "r", statements.INBOX_TYPES, rows)
    insert = statements.INSERT.format(columns=statements.INBOX_COLUMNS, rows=table)
    if connection.vendor == "postgresql":
        returned, moved = _insert_and_watch(insert, params, store_ids)
    else:  # it has one writer, and that is us
        ledger.open_lanes(store_ids)
        returned, moved = _run(insert, params, len(rows)), set()
    inserted = {(store_id, read_uuid(event_id)) for store_id, event_id, *_ in returned}
    doubtful = [key for key in keys if key not in inserted or key[0] in moved]
    known = _look_up("stock_movement", doubtful)
    _take_back(inserted & known.keys())
    return inserted, known


def _insert_and_watch(
    insert: str, params: list[Any], store_ids: set[int]
) -> tuple[list[Any], set[int]]:
    """What was inserted, and the stores whose numbers moved on since the insert's snapshot."""
    lanes, ids = ledger.write_open_lanes(store_ids)
    among, asked = be_among(connection, list(store_ids))
    with connection.cursor() as cursor:
        many = statements.INSERT_MANY.format(lanes=lanes, insert=insert, among=among)
        cursor.execute(many, [*ids, *params, *asked])
        returned = cursor.fetchall()
    heads = run_planned(connection, statements.HEADS.format(among=among), asked)
    seen = {store_id: last_seq for store_id, _, last_seq in returned if last_seq is not None}
    # A store whose head came just now had none to be seen, and begins at 0.
    moved = {store_id for store_id, last_seq in heads if last_seq != seen.get(store_id, 0)}
    return [row for row in returned if row[1] is not None], moved


def _run(sql: str, params: list[Any], rows_count: int) -> list[Any]:
    """Run a statement about so many rows; returns what it returns.

    Many are not worth a plan that was made for few: planning is a small part of them.
    """
    if rows_count <= PLANNED_ROWS_MAX:
        return run_planned(connection, sql, params)
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def _take_back(keys: Collection[Key]) -> None:
    if keys:
        keyed, params = make_table(connection, "key", statements.KEY_TYPES, list(keys))
        with connection.cursor() as cursor:
            cursor.execute(statements.TAKE_BACK.format(keys=keyed), params)


def _look_up(table: str, keys: Sequence[Key]) -> dict[Key, bytes]:
    if not keys:
        return {}
    keyed, params = make_table(connection, "key", statements.KEY_TYPES, keys)
    return _read_known(_run(statements.LOOK.format(table=table, keys=keyed), params, len(keys)))


def _read_known(found: Iterable[Any]) -> dict[Key, bytes]:
    return {(store_id, read_uuid(event_id)): bytes(digest) for store_id, event_id, digest in found}


def _inbox_rows(events: Sequence[New]) -> list[tuple[Any, ...]]:
    """Rows sorted by key, so that two batches with the same ids wait for each other and do not
    deadlock; the order of arrival is in `received_at`, a microsecond a line."""
    now = clock.now()
    ahead_from = now + CLOCK_AHEAD_MAX
    rows = []
    for place, line, store, digest, principal in sorted(events, key=_by_key):
        event_id, kind, quantity, occurred_at, sku, barcode, amount, receipt, device_seq, _ = line
        state, reason = _AHEAD if occurred_at > ahead_from else _WAITING
        zone = zoneinfo.ZoneInfo(store.timezone)
        rows.append((
            store.store_id, event_id, kind, sku, barcode, quantity, amount, receipt, device_seq,
            occurred_at, now + timedelta(microseconds=place), occurred_at.astimezone(zone).date(),
            digest, principal.device_id, principal.actor_id, state, reason,
        ))  # fmt: skip
    return rows


def _by_key(new: New) -> tuple[int, int]:
    return new.store.store_id, new.line.event_id.int
