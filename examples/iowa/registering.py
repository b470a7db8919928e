"""Tells the server the stores, categories and products it does not know yet."""

import json
from collections.abc import Sequence
from typing import Any

from examples.iowa.api import Api
from examples.iowa.errors import CannotGoOnError
from examples.iowa.masters import Masters
from examples.iowa.progress import Progress, say
from examples.iowa.threads import Threads

REFUSALS_SHOWN = 3


def register_all(api: Api, masters: Masters, *, threads: int) -> None:
    """Register what is missing: categories first, because products name them.

    A row the server refuses is told and left out; its sales will show up as parked or rejected.
    """
    for what, path, key, rows in (
        ("categories", "/api/catalog/categories/", "name", masters.categories),
        ("stores", "/api/stores/", "code", masters.stores),
        ("products", "/api/catalog/products/", "sku", masters.products),
    ):
        known = {row[key] for row in api.pages(path)}
        missing = [row for row in rows if row[key] not in known]
        refused = _register(api, path, missing, what, threads)
        say(f"{len(rows):,} {what}: {len(missing) - len(refused):,} registered now.")
        for sentence in refused[:REFUSALS_SHOWN]:
            say(f"  refused: {sentence}")


def _register(
    api: Api, path: str, rows: Sequence[dict[str, Any]], what: str, threads: int
) -> list[str]:
    refused = []
    with Progress(f"Registering {what}", len(rows)) as progress, Threads(api, threads) as pool:
        for refusal in pool.map(lambda row: _register_one(api, path, row), rows):
            progress.advance(1)
            refused += [refusal] if refusal else []
    return refused


def _register_one(api: Api, path: str, row: dict[str, Any]) -> str | None:
    """Register one; returns why not. That somebody else was first (409) is fine."""
    answer = api.post(path, json.dumps(row).encode(), allowed=(201, 400, 409))
    if answer.status == 201:
        return None
    if answer.status == 409:
        if answer.body["code"] in ("store_code_taken", "sku_taken", "category_name_taken"):
            return None
        raise CannotGoOnError(f"POST {path} was answered 409: {answer.body['detail']}")
    return f"{json.dumps(row)}: {answer.body.get('errors') or answer.body['detail']}"
