"""The queue-per-sale service that the product is compared with; see README.md beside it."""
