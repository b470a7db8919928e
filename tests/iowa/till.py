"""A small chain's files, the example till client run on them, and what it reports."""

import csv
import gzip
import http.client
import json
import os
import subprocess
import sys
from pathlib import Path

from stock.models import Movement

CHECKOUT = Path(__file__).resolve().parents[2]

KEYS = [
    "lines", "accepted", "duplicate", "conflict", "rejected", "parked", "net_units",
    "expected_net_units", "stores", "drift", "seconds", "events_per_s", "accept_p50_ms",
    "accept_p99_ms", "applied_lag_p99_ms",
]  # fmt: skip
STORES = [
    ["Store", "Name", "Store Status", "Address", "City", "State", "Zip Code", "Store Address"],
    ["2190", "CENTRAL CITY LIQUOR, INC.", "A", "1460 2ND AVE", "DES MOINES", "IA", "50314", ""],
    ["010003", "NEW STORE\xa0/ AMES", "A", "1 MAIN ST", "AMES", "IA", "", ""],
    ["4000", "CLOSED STORE", "I", "", "", "", "712-2", ""],
]
PRODUCTS = [
    [
        "Item Number",
        "Category Name",
        "Item Description",
        "Pack",
        "UPC",
        "SCC",
        "State Bottle Retail",
    ],
    # UPC without its leading zero; a case of 12
    ["100", "VODKA", "PLAIN VODKA", "12", "36000291452", "10036000291459", "9.38"],
    ["200", "VODKA", "CR\ufffdME \x07BANANE", "6", "036000291453", "979986", "45.00"],
    ["300", "", "NO CATEGORY", "0", "", "10036000291459", "0.00"],
]
SALES_COLUMNS = (
    "Invoice/Item Number", "Date", "Store Number", "Item Number", "Bottles Sold", "Sale (Dollars)",
)  # fmt: skip
SALES = [
    [*SALES_COLUMNS],
    ["INV-00000100001", "2022-10-01", "2190", "100", "12", "112.56"],
    ["INV-00000100002", "2022-10-01", "2190", "200", "6", "270.0"],
    # twice the same but for the line: no duplicate
    ["INV-00000100003", "2022-10-01", "2190", "200", "6", "270.0"],
    ["INV-00000200001", "2022-10-03", "10003", "100", "1", "9.38"],
    ["RINV-00000300001", "2022-10-31", "10003", "100", "-3", "-28.14"],
    ["INV-00000400001", "2022-10-31", "4000", "300", "2", "0.0"],
]  # fmt: skip
LINES, NET_UNITS = 6, 12 + 6 + 6 + 1 - 3 + 2


def write_csv(path: Path, rows: list[list[str]]) -> None:
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def run(data: Path, url: str, key: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "-m", "examples.iowa", "--data", data, "--month", "2022-10",
        "--url", url, "--key", key, "--batch", "2", *options,
    ]  # fmt: skip
    # Nothing of the product's environment: it is a stranger.
    environment = {"PATH": os.environ["PATH"], "COLUMNS": "80"}
    return subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=120
    )


def read_report(done: subprocess.CompletedProcess[str]) -> dict:
    report = json.loads(done.stdout.splitlines()[-1])
    assert list(report) == KEYS
    return report


def counts(report: dict) -> dict:
    """What is exact in a report; times are not."""
    return {name: report[name] for name in KEYS[:10]}


ALL_ACCEPTED = {
    "lines": LINES, "accepted": LINES, "duplicate": 0, "conflict": 0, "rejected": 0, "parked": 0,
    "net_units": NET_UNITS, "expected_net_units": NET_UNITS, "stores": 3, "drift": 0,
}  # fmt: skip


def ledger_rows() -> list:
    rows = Movement.objects.order_by("store__code", "event_id")
    return list(rows.values_list("store__code", "event_id", "seq", "quantity", "balance_after"))


def post(url: str, key: str, event: dict) -> int:
    return forward(url, "POST", "/api/orders/sales/", key_headers(key), json.dumps(event).encode())[
        0
    ]


def key_headers(key: str) -> dict:
    return {"Authorization": f"Api-Key {key}", "Content-Type": "application/json"}


def forward(url: str, method: str, path: str, headers: dict, body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content
