"""The statements of the ledger; ledger.py runs them, in this order.

One text for SQLite and PostgreSQL wherever both can read it.
"""

# A staged row posts unless something speaks against it; `verdict` says what. `posts` is a
# boolean of its own because PostgreSQL guesses that `verdict = ''` keeps one row in 200 and
# then joins row by row. Column types follow the Movement table.
MAKE_STAGE = """
CREATE TEMPORARY TABLE IF NOT EXISTS stock_posting {on_commit} AS
SELECT store_id, seq AS nth, product_id, kind, quantity, amount, event_id, digest, occurred_at,
       business_date, receipt, reason, actor_id, device_id, reverses_seq,
       CAST(1 AS boolean) AS posts, CAST(0 AS boolean) AS refuses_below_zero,
       CAST('' AS varchar(24)) AS verdict, {row_address} AS inbox_row
  FROM stock_movement
 WHERE 1 = 0
"""

# A temporary table is never vacuumed: emptied by DELETE alone it would grow for ever.
ON_COMMIT = {"postgresql": "ON COMMIT DELETE ROWS", "sqlite": ""}
# Where a staged sale lies in its inbox, so that it is removed without looking for it again.
ROW_ADDRESS = {"postgresql": "ctid", "sqlite": "rowid"}

STAGE_TYPES = {
    "store_id": "bigint",
    "nth": "bigint",
    "product_id": "bigint",
    "kind": "text",
    "quantity": "bigint",
    "amount": "bigint",
    "event_id": "uuid",
    "digest": "bytea",
    "occurred_at": "timestamptz",
    "business_date": "date",
    "receipt": "text",
    "reason": "text",
    "actor_id": "bigint",
    "device_id": "bigint",
    "reverses_seq": "bigint",
    "posts": "boolean",
    "refuses_below_zero": "boolean",
    "verdict": "text",
}
STAGE_COLUMNS = ", ".join(STAGE_TYPES)
STAGE_KEY_TYPES = {"store_id": "bigint", "nth": "bigint"}
STAGE_ROWS = "INSERT INTO stock_posting ({columns}) SELECT {columns} FROM {rows}"

# One probe of the unique index (store, event_id) a row. What the ledger knows already outranks
# any other verdict.
FIND_KNOWN = """
UPDATE stock_posting
   SET posts = false,
       verdict = CASE WHEN known.digest = stock_posting.digest THEN 'duplicate' ELSE 'conflict' END
  FROM stock_movement AS known
 WHERE known.store_id = stock_posting.store_id
   AND known.event_id = stock_posting.event_id
"""

COUNT_REFUSING = "SELECT count(*) FROM stock_posting WHERE posts AND refuses_below_zero"

# Every posting row of each product that has a refusing one, with the balance it starts from.
READ_REFUSING = """
SELECT p.store_id, p.product_id, p.nth, p.quantity, p.refuses_below_zero,
       COALESCE(level.quantity, 0)
  FROM stock_posting AS p
  LEFT JOIN stock_level AS level
    ON level.store_id = p.store_id AND level.product_id = p.product_id
 WHERE p.posts
   AND EXISTS (SELECT 1 FROM stock_posting AS r
                WHERE r.posts AND r.refuses_below_zero
                  AND r.store_id = p.store_id AND r.product_id = p.product_id)
 ORDER BY p.store_id, p.product_id, p.nth
"""

REFUSE = """
UPDATE stock_posting SET posts = false, verdict = 'insufficient_stock'
 WHERE (store_id, nth) IN (SELECT store_id, nth FROM {rows})
"""

# `seq` continues the store's head; `later` is what the rows after this one add to the same
# level, so that balance_after = the level after all of them - later.
NUMBERED = """
SELECT p.*,
       head.last_seq + row_number() OVER (PARTITION BY p.store_id ORDER BY p.nth) AS seq,
       sum(p.quantity) OVER (PARTITION BY p.store_id, p.product_id ORDER BY p.nth DESC
                             ROWS UNBOUNDED PRECEDING) - p.quantity AS later
  FROM stock_posting AS p
  JOIN stock_ledgerhead AS head ON head.store_id = p.store_id
 WHERE p.posts
"""

# Sorted by key: with two workers an unsorted upsert deadlocks by the hundred.
WRITE_LEVELS = f"""
INSERT INTO stock_level (store_id, product_id, quantity, updated_seq)
SELECT n.store_id, n.product_id, CAST(sum(n.quantity) AS bigint), max(n.seq)
  FROM ({NUMBERED}) AS n
 WHERE true
 GROUP BY n.store_id, n.product_id
 ORDER BY n.store_id, n.product_id
    ON CONFLICT (store_id, product_id) DO UPDATE
   SET quantity = stock_level.quantity + EXCLUDED.quantity,
       updated_seq = EXCLUDED.updated_seq
"""

# No ON CONFLICT here, ever: a row that is already there means the lock was not held, and the
# transaction has to fail rather than leave a gap.
WRITE_MOVEMENTS = f"""
INSERT INTO stock_movement
       (store_id, seq, product_id, kind, quantity, balance_after, amount, event_id, digest,
        occurred_at, recorded_at, business_date, receipt, reason, actor_id, device_id, reverses_seq)
SELECT n.store_id, n.seq, n.product_id, n.kind, n.quantity,
       CAST(level.quantity - n.later AS bigint), n.amount, n.event_id, n.digest,
       n.occurred_at, %s, n.business_date, n.receipt, n.reason, n.actor_id, n.device_id,
       n.reverses_seq
  FROM ({NUMBERED}) AS n
  JOIN stock_level AS level
    ON level.store_id = n.store_id AND level.product_id = n.product_id
 ORDER BY n.store_id, n.seq
"""

ADVANCE_HEADS = """
UPDATE stock_ledgerhead
   SET last_seq = stock_ledgerhead.last_seq + added.movements
  FROM (SELECT store_id, count(*) AS movements FROM stock_posting WHERE posts GROUP BY store_id)
       AS added
 WHERE added.store_id = stock_ledgerhead.store_id
"""

READ_RECORDED = """
SELECT m.event_id, p.verdict, m.seq, m.balance_after
  FROM stock_posting AS p
  JOIN stock_movement AS m ON m.store_id = p.store_id AND m.event_id = p.event_id
 ORDER BY p.nth
"""

# The inbox belongs to orders, which stands to the right of us; only its keys are looked at. An id
# that a till used for a sale must not count as a receipt, whatever became of that sale.
FIND_TOLD = """
SELECT min(p.nth)
  FROM stock_posting AS p
 WHERE p.verdict <> 'duplicate'
   AND (SELECT told.event_id FROM orders_saleevent AS told
         WHERE told.store_id = p.store_id AND told.event_id = p.event_id) IS NOT NULL
"""

OPEN_LANES = """
INSERT INTO stock_ledgerhead (store_id, last_seq)
SELECT store.id, 0 FROM stores_store AS store
 WHERE store.id {among}
   AND NOT EXISTS (SELECT 1 FROM stock_ledgerhead AS head WHERE head.store_id = store.id)
 ORDER BY store.id
    ON CONFLICT DO NOTHING
"""

# A store that moves in brings its numbers, balances and times along as they are.
PAST_TYPES = {
    "store_id": "bigint",
    "seq": "bigint",
    "product_id": "bigint",
    "kind": "text",
    "quantity": "bigint",
    "balance_after": "bigint",
    "amount": "bigint",
    "event_id": "uuid",
    "digest": "bytea",
    "occurred_at": "timestamptz",
    "recorded_at": "timestamptz",
    "business_date": "date",
    "receipt": "text",
    "reason": "text",
    "actor_id": "bigint",
    "device_id": "bigint",
    "reverses_seq": "bigint",
}
PAST_COLUMNS = ", ".join(PAST_TYPES)
ADOPT_MOVEMENTS = f"""
INSERT INTO stock_movement ({PAST_COLUMNS}) SELECT {PAST_COLUMNS} FROM {{rows}} ORDER BY seq
"""

STANDING_TYPES = {
    "store_id": "bigint",
    "product_id": "bigint",
    "quantity": "bigint",
    "updated_seq": "bigint",
}
STANDING_COLUMNS = ", ".join(STANDING_TYPES)
ADOPT_LEVELS = f"""
INSERT INTO stock_level ({STANDING_COLUMNS}) SELECT {STANDING_COLUMNS} FROM {{rows}}
 ORDER BY product_id
"""
