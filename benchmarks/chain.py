"""The chain that is measured: its stores, products, keys and ledger, and the sales it rings up.

Stores are skewed by an exponent of 0.5, products by Zipf's law: 1.1, or 2.0 where some are hot.
All keys open real doors: those of TILLS device keys a store, and of some programs of head office.
Tills take turns, so that none comes near its limit of 600 units a minute.
"""

import itertools
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import psycopg

ZIPF = 1.1
ZIPF_HOT = 2.0
UNIFORM = 0.0
TILLS = 20  # a store; the busiest one has the share of a department store
HEAD_OFFICE_KEYS = 20
UNIT_THOUSANDTHS = 1000
AMOUNT_TENTHOUSANDTHS = 4_800_000
COPY_INBOX = """COPY {table} (store_id, event_id, kind, sku, barcode, quantity, amount, receipt,
 device_seq, occurred_at, received_at, business_date, digest, device_id, actor_id, status,
 park_reason, attempts, detail, dismiss_reason) FROM STDIN"""
COPY_LEDGER = """COPY stock_movement (store_id, seq, product_id, kind, quantity, balance_after,
 amount, event_id, digest, occurred_at, recorded_at, business_date, receipt, reason, actor_id,
 device_id, reverses_seq) FROM STDIN"""

_turns = itertools.count()
_milliseconds = itertools.count(time.time_ns() // 1_000_000)
_random = random.Random(20260101)  # the same sales in every run # nosec B311


class Sale(NamedTuple):
    """One event: one unit of a product in a store."""

    store_id: int
    product_id: int
    event_id: str


def make_sales(
    count: int, stores: int, products: int, *, zipf: float = ZIPF, store_id: int | None = None
) -> list[Sale]:
    """So many new sales; of one store, or spread over the chain."""
    pick, draw = _random.random, _make_draw(products, zipf)
    if store_id is not None:
        return [Sale(store_id, draw(pick()), make_event_id()) for _ in range(count)]
    return [
        Sale(1 + int(stores * pick() ** 2), draw(pick()), make_event_id()) for _ in range(count)
    ]


def renew(sales: Iterable[Sale]) -> list[Sale]:
    """The same goods of the same stores, sold once more."""
    return [sale._replace(event_id=make_event_id()) for sale in sales]


def make_event_id() -> str:
    """A UUIDv7, as tills are advised to make them."""
    at, chance = next(_milliseconds), f"{_random.getrandbits(76):019x}"
    stamp = f"{at:012x}"
    return f"{stamp[:8]}-{stamp[8:]}-7{chance[:3]}-a{chance[3:6]}-{chance[6:18]}"


def _make_draw(products: int, zipf: float) -> Any:
    """A product by a number from 0 to 1: the continuous form of Zipf's law, cut to whole ranks."""
    if zipf == UNIFORM:
        return lambda u: 1 + int(products * u)
    tail, power = 1 - (products + 1) ** (1 - zipf), 1 / (1 - zipf)
    return lambda u: min(products, int((1 - u * tail) ** power))


# --- as rows for COPY -------------------------------------------------------------------------


def write_inbox(sales: Sequence[Sale]) -> bytes:
    """Rows of the inbox as accepting would have left them."""
    now = datetime.now(UTC)
    day = now.date().isoformat()
    return "".join(
        f"{store_id}\t{event_id}\tsale\t{sku_of(product_id)}\t\t{UNIT_THOUSANDTHS}\t"
        f"{AMOUNT_TENTHOUSANDTHS}\t\t\\N\t{now}\t{now + timedelta(microseconds=nth)}\t{day}\t"
        f"{_digest(event_id)}\t{store_id}\t\\N\tpending\t\t0\t\t\n"
        for nth, (store_id, product_id, event_id) in enumerate(sales)
    ).encode()


def write_ledger(
    sales: Iterable[Sale], heads: dict[int, int], levels: dict[tuple[int, int], int]
) -> bytes:
    """Rows of the ledger as applying would leave them; moves `heads` and `levels` on."""
    now = datetime.now(UTC)
    day = now.date().isoformat()
    rows = []
    for store_id, product_id, event_id in sales:
        heads[store_id] = seq = heads[store_id] + 1
        levels[store_id, product_id] = left = levels[store_id, product_id] - UNIT_THOUSANDTHS
        rows.append(
            f"{store_id}\t{seq}\t{product_id}\tsale\t{-UNIT_THOUSANDTHS}\t{left}\t"
            f"{AMOUNT_TENTHOUSANDTHS}\t{event_id}\t{_digest(event_id)}\t{now}\t{now}\t{day}\t\t\t"
            f"\\N\t{store_id}\t\\N\n"
        )
    return "".join(rows).encode()


def _digest(event_id: str) -> str:
    return f"\\\\x{event_id.replace('-', '')}"


def copy_in(connection: psycopg.Connection[Any], statement: str, rows: bytes) -> None:
    """One COPY of rows that are made already."""
    with connection.cursor() as cursor, cursor.copy(statement) as copy:  # type: ignore[arg-type]
        copy.write(rows)


# --- as requests ------------------------------------------------------------------------------


def sku_of(product_id: int) -> str:
    return f"SKU-{product_id:06d}"


def code_of(store_id: int) -> str:
    return f"S{store_id:05d}"


def device_key_of(seller: str, store_id: int) -> str:
    """The credential of the till of this store whose turn it is."""
    till = f"{store_id:06d}{next(_turns) % TILLS:02d}"
    return f"t{till}.{seller}{till}"


def head_office_key_of(seller: str, number: int) -> str:
    """The credential of one of head office's programs; numbers from 0."""
    return f"h{number:08d}.{seller}{number:08d}h"


def write_lines(sales: Iterable[Sale], *, with_store: bool = False) -> list[str]:
    """The sales as JSON objects; a head-office key has to say the store."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    told = f'"quantity":1,"occurred_at":"{at}","amount":"480.00"'
    if with_store:
        return [
            f'{{"event_id":"{event_id}","store":"{code_of(store_id)}",'
            f'"sku":"{sku_of(product_id)}",{told}}}'
            for store_id, product_id, event_id in sales
        ]
    return [
        f'{{"event_id":"{event_id}","sku":"{sku_of(product_id)}",{told}}}'
        for _, product_id, event_id in sales
    ]


def write_singles(seller: str, sales: Iterable[Sale]) -> Iterator[bytes]:
    """A request for each sale, with the key of its store's till."""
    for sale in sales:
        (line,) = write_lines([sale])
        yield write_post("/api/orders/sales/", line, device_key_of(seller, sale.store_id))


def write_batch(seller: str, sales: Sequence[Sale], *, of_head_office: int | None = None) -> bytes:
    """One request with all the sales: of one store's till, or of a program of head office."""
    if of_head_office is None:
        key = device_key_of(seller, sales[0].store_id)
    else:
        key = head_office_key_of(seller, of_head_office % HEAD_OFFICE_KEYS)
    lines = write_lines(sales, with_store=of_head_office is not None)
    return write_post("/api/orders/sales/", f'{{"events":[{",".join(lines)}]}}', key)


def write_peer_lines(sales: Iterable[Sale]) -> list[str]:
    """The same sales as the peer takes them: it knows products and stores by number."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    return [
        f'{{"event_id":"{event_id}","store_id":{store_id},"product_id":{product_id},'
        f'"quantity":1,"occurred_at":"{at}","amount":"480.00"}}'
        for store_id, product_id, event_id in sales
    ]


def write_post(path: str, body: str, key: str = "") -> bytes:
    """The bytes of a POST."""
    authorization = f"Authorization: Api-Key {key}\r\n" if key else ""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{authorization}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def write_get(path: str, key: str) -> bytes:
    """The bytes of a GET."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Api-Key {key}\r\n\r\n"
    ).encode()


# --- filling a database -----------------------------------------------------------------------

# From 0 to 1, the same for the same i. Not numeric, whose powers take minutes.
_HASH = "((hashint8extended(i, {seed}) & 1099511627775)::float8 / 1099511627776)"
# What these keys do: tell sales, and read.
SCOPES = "sales:write sales:read stock:read stock:write catalog:read stores:read metrics:read"
REGISTER = """
INSERT INTO stores_store (id, code, name, address, timezone, currency, negative_stock, created_at,
                          version)
SELECT i, 'S' || lpad(i::text, 5, '0'), 'Store ' || i, 'Street ' || i, 'Asia/Karachi', 'PKR', '',
       now(), i
  FROM generate_series(1, {stores}) AS i;
INSERT INTO stores_storekey (id, prefix, secret_sha256, name, store_id, scopes, created_at,
                             valid_from)
SELECT (s - 1) * {tills} + t + 1, 't' || till,
       encode(sha256(convert_to('{seller}' || till, 'UTF8')), 'hex'), 'till', s, '{scopes}', now(),
       now()
  FROM (SELECT s, t, lpad(s::text, 6, '0') || lpad(t::text, 2, '0') AS till
          FROM generate_series(1, {stores}) AS s, generate_series(0, {tills} - 1) AS t) AS tills;
INSERT INTO stores_storekey (id, prefix, secret_sha256, name, store_id, scopes, created_at,
                             valid_from)
SELECT {stores} * {tills} + 1 + i, 'h' || number,
       encode(sha256(convert_to('{seller}' || number || 'h', 'UTF8')), 'hex'), 'program', NULL,
       '{scopes}', now(), now()
  FROM (SELECT i, lpad(i::text, 8, '0') AS number
          FROM generate_series(0, {head_office_keys} - 1) AS i) AS programs;
INSERT INTO catalog_product (id, sku, name, unit, price, negative_stock, created_at, version)
SELECT i, 'SKU-' || lpad(i::text, 6, '0'), 'Product ' || i, 'each', 4800000, '', now(), i
  FROM generate_series(1, {products}) AS i;
INSERT INTO catalog_barcode (product_id, code, comparable, units)
SELECT i, lpad(i::text, 13, '0'), lpad(i::text, 14, '0'), 1
  FROM generate_series(1, {products}) AS i;
INSERT INTO stores_storeshead (id, version) VALUES (1, {stores})
    ON CONFLICT (id) DO UPDATE SET version = {stores};
INSERT INTO catalog_cataloghead (id, version) VALUES (1, {products})
    ON CONFLICT (id) DO UPDATE SET version = {products};
"""
# In the order of arrival, stores mixed, as they lie when they were applied; that decides what a
# page of history costs. A smaller ledger is the beginning of a larger one.
MOVEMENTS = f"""
INSERT INTO stock_movement (store_id, seq, product_id, kind, quantity, balance_after, amount,
       event_id, digest, occurred_at, recorded_at, business_date, receipt, reason, actor_id,
       device_id, reverses_seq)
SELECT store_id, seq, product_id, 'sale', -{UNIT_THOUSANDTHS}, -{UNIT_THOUSANDTHS} * nth,
       {AMOUNT_TENTHOUSANDTHS}, event_id::uuid, decode(event_id, 'hex'), at, at, at::date, '', '',
       NULL, store_id, NULL
  FROM (
    SELECT i, store_id, product_id,
           to_timestamp({{first_s}} + i / 1000.0) AS at,
           row_number() OVER (PARTITION BY store_id ORDER BY i) AS seq,
           row_number() OVER (PARTITION BY store_id, product_id ORDER BY i) AS nth,
           lpad(to_hex({{first_s}}::bigint * 1000 + i), 12, '0') || '7' || left(chance, 3)
             || 'a' || right(chance, 15) AS event_id
      FROM (
        SELECT i, 1 + floor({{stores}} * power({_HASH.format(seed=1)}, 2))::bigint AS store_id,
               least({{products}}, floor(power(
                 1 - {_HASH.format(seed=2)} * ({{tail}})::float8, ({{power}})::float8)
               ))::bigint AS product_id,
               lpad(to_hex(hashint8extended(i, 3)), 16, '0') AS chance
          FROM generate_series(1::bigint, {{movements}}) AS i) AS drawn) AS numbered
 ORDER BY i
"""
LEVELS = f"""
INSERT INTO stock_ledgerhead (store_id, last_seq)
SELECT id, COALESCE((SELECT max(seq) FROM stock_movement WHERE store_id = id), 0)
  FROM stores_store;
INSERT INTO stock_level (store_id, product_id, quantity, updated_seq)
SELECT s.id, p.id, COALESCE(moved.quantity, 0), COALESCE(moved.seq, 0)
  FROM stores_store AS s CROSS JOIN catalog_product AS p
  LEFT JOIN (SELECT store_id, product_id, -{UNIT_THOUSANDTHS} * count(*) AS quantity,
                    max(seq) AS seq
               FROM stock_movement GROUP BY store_id, product_id) AS moved
    ON moved.store_id = s.id AND moved.product_id = p.id
 ORDER BY s.id, p.id;
"""
KEYS_OF_LEDGER = """
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
 WHERE conrelid = 'stock_movement'::regclass AND contype IN ('p', 'u')
"""
INDEXES_OF_LEDGER = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
 WHERE indrelid = 'stock_movement'::regclass
   AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid)
"""


def fill(
    superuser: psycopg.Connection[Any], seller: str, stores: int, products: int, movements: int
) -> None:
    """Register the chain and lay a ledger down whose books are right; takes minutes at 30 million.

    Levels begin at 0 and everything is sold, so they are below it: the chain allows and flags that.
    """
    superuser.execute("SET session_replication_role = replica")  # foreign keys hold by making
    superuser.execute("SET work_mem = '1GB'; SET maintenance_work_mem = '1GB'")
    _run(superuser, REGISTER.format(
        stores=stores, products=products, seller=seller, tills=TILLS,
        head_office_keys=HEAD_OFFICE_KEYS, scopes=SCOPES))  # fmt: skip
    keys, indexes = (superuser.execute(q).fetchall() for q in (KEYS_OF_LEDGER, INDEXES_OF_LEDGER))
    for name, _ in keys:
        _run(superuser, f"ALTER TABLE stock_movement DROP CONSTRAINT {name}")
    for name, _ in indexes:
        _run(superuser, f"DROP INDEX {name}")
    first_s = int(time.time()) - movements // 1000 - 3600
    _run(superuser, MOVEMENTS.format(
        stores=stores, products=products, movements=movements, first_s=first_s,
        tail=1 - (products + 1) ** (1 - ZIPF), power=1 / (1 - ZIPF)))  # fmt: skip
    for name, definition in keys:
        _run(superuser, f"ALTER TABLE stock_movement ADD CONSTRAINT {name} {definition}")
    for _, definition in indexes:
        _run(superuser, definition)
    _run(superuser, LEVELS)
    _run(superuser, "VACUUM (ANALYZE)")
    _run(superuser, "CHECKPOINT")


def _run(connection: psycopg.Connection[Any], statement: str) -> None:
    connection.execute(statement)  # type: ignore[call-overload]
