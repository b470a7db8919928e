"""Runs inside the product, by `manage.py shell`, and does what a benchmark tells it.

Each line of standard input is a JSON object whose `do` names a command; the answer is one line.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection, transaction
from django.test import Client

from orders.draining import Round, drain
from orders.models import SaleEvent, Status

DRAIN_S_MAX = 600
PAUSE_S = 0.002
END_OF_TRANSACTION = "COMMIT"

_captured: list[tuple[str, Any]] = []


def main() -> None:
    """Answer until standard input ends."""
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(COMMANDS[asked.pop("do")](**asked)), flush=True)


def wake() -> dict[str, Any]:
    """Connect, which a first command would have to wait for, and count what was done so far."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
    return {}


def drain_inbox() -> dict[str, Any]:
    """Do what a worker does until nothing waits."""
    going, taken, began = Round(), 0, time.perf_counter()
    while True:
        now = drain(seconds_max=DRAIN_S_MAX, going=going)
        taken += now
        if not SaleEvent.objects.filter(status=Status.PENDING).exists():
            return {"taken": taken, "seconds": time.perf_counter() - began}
        if not now:  # others hold the lanes that are left
            time.sleep(PAUSE_S)


def capture() -> dict[str, Any]:
    """Drain, and keep every statement with its parameters and the ends of transactions."""
    _captured.clear()
    with connection.execute_wrapper(_keep):
        answer = drain_inbox()
    return answer | {"statements": len(_captured)}


def _keep(execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    assert not many
    if connection.in_atomic_block and not connection.run_on_commit:
        transaction.on_commit(lambda: _captured.append((END_OF_TRANSACTION, None)))
    _captured.append((sql, params))
    if not connection.in_atomic_block:
        _captured.append((END_OF_TRANSACTION, None))
    return execute(sql, params, many, context)


def replay() -> dict[str, Any]:
    """Run what was captured on a connection of the driver's own, on an inbox just like that one."""
    parameters = connection.get_connection_params()
    wanted = ("host", "port", "user", "password", "dbname", "options")
    given = {name: parameters[name] for name in wanted if name in parameters}
    with psycopg.connect(**given, cursor_factory=psycopg.ClientCursor) as bare:
        cursor = bare.cursor()
        began = time.perf_counter()
        for sql, params in _captured:
            if sql == END_OF_TRANSACTION:
                bare.commit()
                continue
            cursor.execute(sql, params)
            if cursor.description:
                cursor.fetchall()
        bare.commit()
        return {"seconds": time.perf_counter() - began}


def get(paths: list[str], key: str) -> dict[str, Any]:
    """Ask the API for each address in turn; returns seconds, and bytes of the first answer."""
    client = Client(headers={"authorization": f"Api-Key {key}", "host": "localhost"})
    answer = client.get(paths[0])
    assert answer.status_code == 200, answer.content
    began = time.perf_counter()
    for path in paths:
        answer = client.get(path)
        assert answer.status_code == 200, answer.content
    return {"seconds": time.perf_counter() - began, "bytes": len(answer.content)}


def explain(paths: list[str], posts: list[str], key: str, device_key: str) -> dict[str, Any]:
    """Plans of the statements that these requests and one drain run, by statement.

    Each is run twice: once to be explained, in a savepoint that is rolled back.
    """
    plans: dict[str, str] = {}
    with connection.execute_wrapper(_make_explainer(plans)):
        client = Client(headers={"authorization": f"Api-Key {device_key}", "host": "localhost"})
        for body in posts:
            client.post("/api/orders/sales/", body, content_type="application/json")
        drain_inbox()
        get(paths, key)
    return plans


def _make_explainer(plans: dict[str, str]) -> Callable[..., Any]:
    def explain_once(
        execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]
    ) -> Any:
        if sql not in plans and sql.lstrip().upper().startswith(("SELECT", "INSERT", "UPDATE",
                                                                 "DELETE", "WITH")):  # fmt: skip
            plans[sql] = ""  # before it is explained: the explanation comes by here as well
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {sql}", params)
                plans[sql] = "\n".join(row[0] for row in cursor.fetchall())
                transaction.set_rollback(True)
        return execute(sql, params, many, context)

    return explain_once


def tell_settings() -> dict[str, Any]:
    """The product's settings that a reader of figures wants to know."""
    names = ("SALES_APPLY_EVENTS_MAX", "SALES_APPLY_STORES_MAX", "LIMITS_A_MINUTE")
    return {name: getattr(settings, name) for name in names}


COMMANDS: dict[str, Callable[..., Any]] = {
    "wake": wake,
    "drain": drain_inbox,
    "capture": capture,
    "replay": replay,
    "get": get,
    "explain": explain,
    "settings": tell_settings,
}
