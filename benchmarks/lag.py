"""Sends single sales beside a load and sees when the ledger has each; a program of end_to_end.

Standard input: one JSON object with `url` of the database, `port`, `per_s` and `probes`, each a
store, an event id, a key and a body. Standard output: a list of milliseconds.
"""

import http.client
import json
import sys
import time

import psycopg

from script.server_process import LOOPBACK

POLL_S = 0.001
SEEN_SECONDS_MAX = 30.0
SEEN = "SELECT 1 FROM stock_movement WHERE store_id = %s AND event_id = %s"


def main() -> None:
    """Probe until there are no more probes."""
    told = json.loads(sys.stdin.readline())
    web = http.client.HTTPConnection(LOOPBACK, told["port"], timeout=SEEN_SECONDS_MAX)
    lags_ms = []
    with psycopg.connect(told["url"], autocommit=True) as connection:
        connection.prepare_threshold = 0
        for store_id, event_id, key, body in told["probes"]:
            next_at = time.perf_counter() + 1 / told["per_s"]
            _post(web, key, body)
            lags_ms.append(_wait_for(connection, store_id, event_id))
            time.sleep(max(0.0, next_at - time.perf_counter()))
    print(json.dumps(lags_ms))


def _post(web: http.client.HTTPConnection, key: str, body: str) -> None:
    headers = {"Authorization": f"Api-Key {key}", "Content-Type": "application/json"}
    web.request("POST", "/api/orders/sales/", body, headers)
    answer = web.getresponse()
    answer.read()
    assert answer.status == 202, answer.status


def _wait_for(connection: psycopg.Connection[tuple[int]], store_id: int, event_id: str) -> float:
    """Milliseconds until the movement is there."""
    answered = time.perf_counter()
    while connection.execute(SEEN, [store_id, event_id]).fetchone() is None:
        assert time.perf_counter() - answered < SEEN_SECONDS_MAX, "it was never applied"
        time.sleep(POLL_S)
    return (time.perf_counter() - answered) * 1000


if __name__ == "__main__":
    main()
