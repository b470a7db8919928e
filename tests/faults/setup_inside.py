"""Makes the stores, products and keys of a laboratory. Runs inside Django: `manage.py shell -c`."""

import json

from stores.registry import issue_key
from tests.make import make_product, make_store

STORES = [f"S-{number:02}" for number in range(20)]
SKUS = [f"P-{number:03}" for number in range(200)]
TILLS = 3  # stores with a till of their own; head office tells the sales of the others


def main() -> None:
    """Make them; prints the keys as JSON."""
    stores = {code: make_store(code) for code in STORES}
    for sku in SKUS:
        make_product(sku)
    keys = {code: issue_key(name="till", store=stores[code]).credential for code in STORES[:TILLS]}
    keys["head office"] = issue_key(name="head office", store=None).credential
    print(json.dumps({"keys": keys, "stores": STORES, "skus": SKUS, "hot": SKUS[:20]}))
