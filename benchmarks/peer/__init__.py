"""The queue-per-sale service that the product is compared with: Node, Express, BullMQ, pg.

One job a sale, one UPDATE a job, found by the key of its table. It knows no keys, no limits and
no ledger, and its answer is not on disk: what it is spared makes it faster.
"""
