"""The statements of the inbox: in, to the ledger's stage, out. sales.py runs them.

Where SQLite and PostgreSQL need different words, a dict by vendor has both.
"""

INBOX_TYPES = {
    "store_id": "bigint",
    "event_id": "uuid",
    "kind": "text",
    "sku": "text",
    "barcode": "text",
    "quantity": "bigint",
    "amount": "bigint",
    "receipt": "text",
    "device_seq": "bigint",
    "occurred_at": "timestamptz",
    "received_at": "timestamptz",
    "business_date": "date",
    "digest": "bytea",
    "device_id": "bigint",
    "actor_id": "bigint",
    "status": "text",
    "park_reason": "text",
}
INBOX_COLUMNS = ", ".join(INBOX_TYPES)
KEY_TYPES = {"store_id": "bigint", "event_id": "uuid"}
LANE_TYPES = {"store_id": "bigint"}

FIND_STORES = "SELECT code, id, timezone FROM stores_store WHERE code {among}"

# The unique key decides between two simultaneous copies: the second waits for the first commit
# and then inserts nothing.
INSERT = """
INSERT INTO orders_saleevent ({columns}, attempts, detail, dismiss_reason)
SELECT {columns}, 0, '', '' FROM {rows}
 WHERE (SELECT known.seq FROM stock_movement AS known
         WHERE known.store_id = r.store_id AND known.event_id = r.event_id) IS NULL
    ON CONFLICT (store_id, event_id) DO NOTHING
RETURNING store_id, event_id
"""

# The head row of each store comes with its first event. MANY also tells each store's `last_seq`:
# numbers and movements commit together, so what the snapshot of the insert did not see of a store
# has a number behind the one that the same snapshot saw.
INSERT_WITH_LANES = "WITH opened AS ({lanes}) {insert}"
INSERT_MANY = """
WITH opened AS ({lanes}),
     added AS ({insert})
SELECT added.store_id, added.event_id, CAST(NULL AS bigint) FROM added
 UNION ALL
SELECT head.store_id, NULL, head.last_seq FROM stock_ledgerhead AS head WHERE head.store_id {among}
"""
HEADS = "SELECT store_id, last_seq FROM stock_ledgerhead WHERE store_id {among}"

TAKE_BACK = """
DELETE FROM orders_saleevent
 WHERE (store_id, event_id) IN (SELECT key.store_id, key.event_id FROM {keys})
"""

# A subquery for each key, here and below, where a join would read simpler: the inbox is empty
# whenever statistics are taken, so PostgreSQL believes that it is small and would walk through
# all of it once for every key. MATERIALIZED, or it would be asked twice.
_KNOWN = """
WITH looked AS MATERIALIZED (
    SELECT key.store_id, key.event_id,
           (SELECT known.digest FROM {table} AS known
             WHERE known.store_id = key.store_id AND known.event_id = key.event_id) AS digest
      FROM {keys}),
     known AS MATERIALIZED (SELECT * FROM looked WHERE digest IS NOT NULL)"""
LOOK = (
    _KNOWN
    + """
SELECT store_id, event_id, digest FROM known
"""
)

# For an insert of the same transaction, on PostgreSQL: a row of another one with this key was
# parked or dismissed, and stays.
LOOK_AND_TAKE_BACK = (
    _KNOWN.replace("{table}", "stock_movement")
    + """,
     taken_back AS (
    DELETE FROM orders_saleevent AS e
     WHERE e.ctid = ANY(ARRAY(
           SELECT (SELECT own.ctid FROM orders_saleevent AS own
                    WHERE own.store_id = known.store_id AND own.event_id = known.event_id
                      AND own.xmin = CAST(pg_current_xact_id() AS xid))
             FROM known)))
SELECT store_id, event_id, digest FROM known
"""
)

# The head row is the lane. Two workers never get the same one: who comes second skips it.
# A scalar subquery, because PostgreSQL turns EXISTS into a join with the whole inbox when its
# statistics are old, and an inbox fills faster than statistics: 38 ms instead of 1. ORDER BY
# keeps it on the partial index `sale_event_pending`.
#
# {since} begins behind what was taken before. A report or dump that keeps an old snapshot keeps
# the dead entries of that index as well, and from its front each look would walk over all of
# them: 3.3 s of 7 for claiming after 300,000 events. But arrival times commit out of order and
# failed sales are tried again, so now and then all is looked at (`Round.looks_back`).
CLAIM = """
SELECT head.store_id
  FROM stock_ledgerhead AS head
 WHERE head.store_id > %s
   AND (SELECT e.store_id FROM orders_saleevent AS e
         WHERE e.store_id = head.store_id AND e.status = 'pending' {since}
           AND (e.next_try_at IS NULL OR e.next_try_at <= %s)
         ORDER BY e.received_at LIMIT 1) IS NOT NULL
 ORDER BY head.store_id
 LIMIT %s {lock}
"""
CLAIM_SINCE = "AND e.received_at >= COALESCE(head.taken_until, '-infinity')"
CLAIM_THESE = """
SELECT head.store_id FROM stock_ledgerhead AS head
 WHERE head.store_id IN ({ids}) ORDER BY head.store_id {lock}
"""

# On SQLite the write lock, which BEGIN IMMEDIATE took, is every lane at once.
LOCK = {"postgresql": "FOR UPDATE OF head SKIP LOCKED", "sqlite": ""}

# The oldest events of each lane. One limit over all lanes would cut some of them by chance.
# OFFSET 0 is PostgreSQL's fence: when the inbox was full as statistics were taken, the planner
# would join the stores inside the loop and read all of them once for every lane, 57 ms of 73.
TAKE = {
    "postgresql": """
  FROM (SELECT waiting.*
          FROM {lanes}
         CROSS JOIN LATERAL (
               SELECT q.*, q.ctid AS inbox_row FROM orders_saleevent AS q
                WHERE q.store_id = lane.store_id AND q.status = 'pending' {since}
                  AND (q.next_try_at IS NULL OR q.next_try_at <= %s)
                ORDER BY q.received_at LIMIT %s) AS waiting
        OFFSET 0) AS e
""",
    "sqlite": """
  FROM {lanes}
 CROSS JOIN (SELECT *, rowid AS inbox_row FROM orders_saleevent) AS e
    ON e.inbox_row IN (
       SELECT q.rowid FROM orders_saleevent AS q
        WHERE q.store_id = lane.store_id AND q.status = 'pending' {since}
          AND (q.next_try_at IS NULL OR q.next_try_at <= %s)
        ORDER BY q.received_at LIMIT %s)
""",
}

TAKE_SINCE = """
 AND q.received_at >= (SELECT COALESCE(head.taken_until, '-infinity')
                         FROM stock_ledgerhead AS head WHERE head.store_id = lane.store_id)
"""

TAKE_THESE = """
  FROM (SELECT q.*, q.{row_address} AS inbox_row FROM orders_saleevent AS q
         WHERE q.status = 'pending' AND q.store_id IN ({ids})
           AND (q.store_id, q.event_id) IN (SELECT key.store_id, key.event_id FROM {keys})) AS e
"""

# A sale takes out, a return brings back. Events with a barcode have no product yet.
STAGE = """
INSERT INTO stock_posting ({columns}, inbox_row, received_at)
SELECT e.store_id,
       row_number() OVER (PARTITION BY e.store_id ORDER BY e.received_at, e.event_id),
       row_number() OVER (PARTITION BY e.store_id ORDER BY e.received_at, e.event_id),
       product.id, e.kind,
       CASE WHEN e.kind = 'sale' THEN -e.quantity ELSE e.quantity END,
       e.amount, e.event_id, e.digest, e.occurred_at, e.business_date, e.receipt, '',
       e.actor_id, e.device_id, NULL,
       product.id IS NOT NULL,
       e.kind = 'sale' AND COALESCE(NULLIF(product.negative_stock, ''),
                                    NULLIF(store.negative_stock, ''), %s) = 'refuse',
       CASE WHEN product.id IS NULL THEN 'unknown_product' ELSE '' END,
       e.inbox_row, e.received_at
  {taken}
  JOIN stores_store AS store ON store.id = e.store_id
  LEFT JOIN catalog_product AS product ON product.sku = e.sku
"""

# A code means the one active product that carries it, or the one product at all; more than one
# is for a person to sort out. A pack's code stands for several units. MATERIALIZED: unfolded, the
# planner expects one row of it and walks through the stage once for each barcode, seconds a batch.
RESOLVE_BARCODES = """
WITH e AS MATERIALIZED (
    SELECT p.store_id, p.event_id,
           (SELECT q.barcode FROM orders_saleevent AS q
             WHERE q.{row_address} = p.inbox_row) AS barcode
      FROM stock_posting AS p WHERE NOT p.posts)
UPDATE stock_posting
   SET product_id = meant.product_id,
       quantity = stock_posting.quantity * COALESCE(meant.units, 1),
       posts = meant.product_id IS NOT NULL,
       refuses_below_zero = stock_posting.kind = 'sale' AND meant.policy = 'refuse',
       verdict = CASE WHEN meant.product_id IS NULL THEN 'ambiguous_barcode' ELSE '' END
  FROM (
    SELECT c.store_id, c.event_id, c.policy, c.units,
           CASE WHEN c.candidates = 1 THEN c.product_id END AS product_id
      FROM (
        SELECT e.store_id, e.event_id, product.id AS product_id, barcode.units,
               COALESCE(NULLIF(product.negative_stock, ''),
                        NULLIF(store.negative_stock, ''), %s) AS policy,
               count(*) OVER (PARTITION BY e.store_id, e.event_id, product.retired_at IS NULL)
                 AS candidates,
               row_number() OVER (PARTITION BY e.store_id, e.event_id
                                  ORDER BY product.retired_at IS NULL DESC, product.id) AS place
          FROM e
          JOIN catalog_barcode AS barcode ON barcode.comparable = e.barcode
          JOIN catalog_product AS product ON product.id = barcode.product_id
          JOIN stores_store AS store ON store.id = e.store_id
         WHERE e.barcode <> '') AS c
     WHERE c.place = 1) AS meant
 WHERE stock_posting.store_id = meant.store_id AND stock_posting.event_id = meant.event_id
"""

COUNT_UNRESOLVED = "SELECT count(*) FROM stock_posting WHERE product_id IS NULL"

# Why rows did not post, counted.
COUNT_VERDICTS = "SELECT verdict, count(*) FROM stock_posting WHERE NOT posts GROUP BY verdict"

# Exactly the rows that were read, by where they lie: a row that was committed meanwhile, with an
# older time of arrival even, is not among them. Addresses hold because a pending row is changed
# or deleted only by who has its store's lane. A join would walk through the whole inbox:
# PostgreSQL knows nothing about a temporary table's rows.
_LIES_IN = {"postgresql": "ctid = ANY(ARRAY({rows}))", "sqlite": "rowid IN ({rows})"}

PARK = {
    vendor: f"""
UPDATE orders_saleevent SET status = 'parked', park_reason = %s, next_try_at = NULL
 WHERE {
        lies_in.format(
            rows="SELECT p.inbox_row FROM stock_posting AS p WHERE NOT p.posts AND p.verdict = %s"
        )
    }
"""
    for vendor, lies_in in _LIES_IN.items()
}

CLEAR = {
    vendor: f"""
DELETE FROM orders_saleevent
 WHERE {
        lies_in.format(
            rows="SELECT p.inbox_row FROM stock_posting AS p"
            " WHERE p.posts OR p.verdict = 'duplicate'"
        )
    }
"""
    for vendor, lies_in in _LIES_IN.items()
}

# Parked for a product nobody knew, and the SKU or barcode exists now.
FREE_KNOWN = """
UPDATE orders_saleevent
   SET status = 'pending', park_reason = ''
 WHERE status = 'parked' AND park_reason = 'unknown_product'
   AND (sku IN (SELECT product.sku FROM catalog_product AS product)
        OR barcode IN (SELECT barcode.comparable FROM catalog_barcode AS barcode))
RETURNING store_id
"""
