"""The example till client against a real server: what it registers, sends, measures and finds."""

import ast
import csv
import gzip
import http.client
import http.server
import json
import os
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import connections

from catalog.models import Product
from examples.iowa.masters import is_gtin, mend_text
from examples.iowa.month import Month, plan_batches, read_month
from examples.iowa.report import percentile
from orders.models import SaleEvent
from script.server_process import free_port
from stock.models import Level, Movement
from stores import registry
from stores.models import Store
from tests.make import apply_all, sale

CHECKOUT = Path(__file__).resolve().parent.parent
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


@pytest.fixture
def data(tmp_path):
    write_csv(tmp_path / "stores_2022-11-01.csv.gz", STORES)
    write_csv(tmp_path / "products.csv.gz", PRODUCTS)
    write_csv(tmp_path / "sales_2022-10.csv.gz", SALES)
    return tmp_path


@pytest.fixture(scope="module")
def url(django_db_setup):
    """The product behind the web server it is shipped with."""
    port = free_port()
    command = [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--workers", "1",
        "--blocking-threads", "4", "--host", "127.0.0.1", "--port", str(port),
        "inventory_project.wsgi:application",
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=CHECKOUT, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until_ready(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def wait_until_ready(port: int) -> None:
    waiting = threading.Event()
    for _ in range(300):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            waiting.wait(0.1)  # it does not listen yet
    raise AssertionError("the web server did not start")


@pytest.fixture
def worker(committed):
    """Applies what comes in, as the worker does."""
    ending = threading.Event()

    def work() -> None:
        while not ending.wait(0.02):
            apply_all()
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    ending.set()
    thread.join()


@pytest.fixture
def key(committed):
    return registry.issue_key(name="head office", store=None).credential


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


# --- a month -----------------------------------------------------------------------------------


def test_first_run_accepts_every_line_and_reconciles(data, url, key, worker):
    done = run(data, url, key)
    report = read_report(done)
    assert (done.returncode, counts(report)) == (0, ALL_ACCEPTED), done.stderr
    assert report["seconds"] > 0
    assert report["applied_lag_p99_ms"] > 0
    assert report["accept_p50_ms"] <= report["accept_p99_ms"]
    assert len(done.stdout.splitlines()) == 1
    levels = Level.objects.values_list("store__code", "product__sku", "quantity")
    assert set(levels) == {
        ("2190", "100", Decimal(-12)),
        ("2190", "200", Decimal(-12)),
        ("10003", "100", Decimal(2)),
        ("4000", "300", Decimal(-2)),
    }


def test_a_line_arrives_as_it_was_published(data, url, key, worker):
    run(data, url, key)
    told = Movement.objects.get(store__code="10003", kind="return")
    assert (told.quantity, told.amount, told.receipt) == (
        Decimal(3),
        Decimal("28.14"),
        "RINV-000003",
    )
    assert told.occurred_at.isoformat() == "2022-10-31T17:00:00+00:00"  # noon in Chicago
    assert told.business_date.isoformat() == "2022-10-31"


def test_second_run_finds_only_duplicates_and_changes_nothing(data, url, key, worker):
    run(data, url, key)
    before = ledger_rows()
    done = run(data, url, key)
    report = read_report(done)
    assert done.returncode == 0, done.stderr
    assert counts(report) == ALL_ACCEPTED | {"accepted": 0, "duplicate": LINES}
    assert report["applied_lag_p99_ms"] is None  # nothing was accepted, so nothing was followed
    assert ledger_rows() == before
    assert "3 stores: 0 registered now." in done.stderr
    assert "3 products: 0 registered now." in done.stderr


def test_resent_and_shuffled_lines_count_once(data, url, key, worker):
    done = run(data, url, key, "--resend", "50", "--shuffle", "7")
    assert done.returncode == 0, done.stderr
    assert counts(read_report(done)) == ALL_ACCEPTED | {"duplicate": 3}
    assert Movement.objects.count() == LINES


def test_single_sales_at_a_rate(data, url, key, worker):
    done = run(data, url, key, "--rate", "100", "--limit-lines", "4")
    report = read_report(done)
    assert done.returncode == 0, done.stderr
    assert (report["lines"], report["accepted"], report["net_units"]) == (4, 4, 25)
    assert report["applied_lag_p99_ms"] > 0


def test_single_sales_that_are_refused_are_told_like_those_of_a_batch(data, url, key, worker):
    run(data, url, key)
    other_quantity = [*SALES[-1][:4], "7", "0.0"]
    of_nowhere = ["INV-00000500001", "2022-10-31", "9999", "300", "1", "0.0"]
    write_csv(data / "sales_2022-10.csv.gz", [*SALES[:-1], other_quantity, of_nowhere])
    done = run(data, url, key, "--rate", "100")
    report = read_report(done)
    assert (done.returncode, report["duplicate"]) == (1, LINES - 1), done.stderr
    assert (report["conflict"], report["rejected"]) == (1, 1)
    assert Movement.objects.count() == LINES


def test_an_answer_that_is_lost_is_asked_for_again(data, url, key, worker):
    with unreliable_line_to(url) as line:
        done = run(data, line.url, key)
    report = read_report(done)
    assert done.returncode == 0, done.stderr
    assert line.troubles == []
    # One batch of two was stored and its answer lost; the batch refused with 503 was not.
    assert (report["accepted"], report["duplicate"]) == (LINES - 2, 2)
    assert Movement.objects.count() == LINES


# --- the masters -------------------------------------------------------------------------------


def test_stores_are_registered_without_leading_zeros_and_closed_ones_retired(
    data, url, key, worker
):
    run(data, url, key)
    stores = {s.code: s for s in Store.objects.all()}
    assert set(stores) == {"2190", "10003", "4000"}
    assert stores["4000"].retired_at is not None
    assert stores["2190"].retired_at is None
    assert stores["10003"].name == "NEW STORE / AMES"
    assert stores["2190"].address == "1460 2ND AVE, DES MOINES, IA, 50314"
    assert (stores["2190"].timezone, stores["2190"].currency) == ("America/Chicago", "USD")


def test_products_get_clean_names_and_only_right_barcodes(data, url, key, worker):
    done = run(data, url, key)
    products = {p.sku: p for p in Product.objects.all()}
    codes = {
        sku: [(b.code, b.units) for b in p.barcodes.order_by("units")]
        for sku, p in products.items()
    }
    assert codes == {
        "100": [("036000291452", 1), ("10036000291459", 12)],
        "200": [],  # a wrong check digit, and an item number where a case code belongs
        "300": [],  # a case of none
    }
    assert products["200"].name == "CR?ME  BANANE"
    assert (products["200"].price, products["200"].unit) == (Decimal(45), "each")
    assert products["200"].category.name == "VODKA"
    assert products["300"].category is None
    assert "2 texts mended, 3 codes left out as no GTIN" in done.stderr


@pytest.mark.parametrize(
    ("code", "right"),
    [
        ("036000291452", True),
        ("036000291453", False),
        ("10036000291459", True),
        ("96385074", True),
        ("979986", False),
        ("0", False),
        ("", False),
        ("\u0660\u0663\u0666\u0660\u0660\u0660\u0662\u0669\u0661\u0664\u0665\u0662", False),
    ],
)
def test_gtin_check_digit(code, right):
    assert is_gtin(code) is right


def test_mending_leaves_letters_of_any_script_alone():
    assert mend_text("  CÎROC 30° \u200bAÑEJO\tX ") == "CÎROC 30°  AÑEJO X"


# --- what does not reconcile ---------------------------------------------------------------------


def test_a_tampered_level_is_drift(data, url, key, worker):
    run(data, url, key)
    Level.objects.filter(store__code="10003", product__sku="100").update(quantity=Decimal(3))
    done = run(data, url, key)
    report = read_report(done)
    assert (done.returncode, report["drift"], report["net_units"]) == (1, 1, NET_UNITS)
    assert "store 10003, product 100: the level is 3 but its movements add up to 2" in done.stderr


def test_a_sale_that_is_not_in_the_file_is_drift(data, url, key, worker):
    run(data, url, key)
    event = sale("300", 5, store="2190", occurred_at="2022-10-31T23:59:59-05:00")
    assert post(url, key, event) == 202
    event = sale("300", 5, store="2190", occurred_at="2022-11-01T00:00:00-05:00")
    assert post(url, key, event) == 202  # of another month: not compared
    done = run(data, url, key)
    report = read_report(done)
    assert (done.returncode, report["drift"], report["net_units"]) == (1, 1, NET_UNITS + 5)
    assert "store 2190, product 300: the month has sold 5 but the file says 0" in done.stderr


def test_a_product_no_master_knows_is_parked_and_told(data, url, key, worker):
    write_csv(data / "products.csv.gz", PRODUCTS[:-1])
    done = run(data, url, key)
    report = read_report(done)
    assert (done.returncode, report["accepted"], report["parked"]) == (1, LINES, 1)
    assert (report["drift"], report["net_units"]) == (1, NET_UNITS - 2)
    assert "1 events are parked." in done.stderr


def test_a_store_no_master_knows_is_rejected_and_told(data, url, key, worker):
    write_csv(data / "stores_2022-11-01.csv.gz", STORES[:-1])
    done = run(data, url, key)
    report = read_report(done)
    assert (done.returncode, report["accepted"], report["rejected"]) == (1, LINES - 1, 1)
    assert (report["drift"], report["net_units"]) == (1, NET_UNITS - 2)
    assert "unknown_store" in done.stderr


def test_a_line_that_says_something_else_is_a_conflict(data, url, key, worker):
    run(data, url, key)
    before = ledger_rows()
    write_csv(data / "sales_2022-10.csv.gz", [*SALES[:-1], [*SALES[-1][:4], "7", "0.0"]])
    done = run(data, url, key)
    report = read_report(done)
    assert (done.returncode, report["duplicate"], report["conflict"]) == (1, LINES - 1, 1)
    assert (report["net_units"], report["expected_net_units"]) == (NET_UNITS, NET_UNITS + 5)
    assert ledger_rows() == before


# --- what cannot be run --------------------------------------------------------------------------


def one_sentence(done: subprocess.CompletedProcess[str]) -> str:
    """What a run that could not be made says, in its last line."""
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_a_wrong_key(data, url, committed):
    done = run(data, url, "nobody.knows-this-secret")
    assert one_sentence(done) == "The server does not know this key, or it is revoked."
    assert not Store.objects.exists()


def test_the_key_of_one_store(data, url, committed, lahore):
    done = run(data, url, registry.issue_key(name="till", store=lahore).credential)
    assert "head-office key" in one_sentence(done)
    assert Store.objects.count() == 1


def test_nobody_listens(data):
    done = run(data, f"http://127.0.0.1:{free_port()}", "some.key")
    assert "does not answer GET /api/stores/current/: nobody listens there." in one_sentence(done)


def test_no_file_of_the_month(data, url, key):
    (data / "sales_2022-10.csv.gz").unlink()
    assert "There is no sales_2022-10.csv.gz" in one_sentence(run(data, url, key))
    assert not Store.objects.exists()


def test_an_error_page_saved_as_a_master(data, url, key):
    write_csv(data / "stores_2022-11-01.csv.gz", [["<html>"], ["<body>Internal Server Error"]])
    assert "has no column 'Store'; is it the right file?" in one_sentence(run(data, url, key))
    assert not Store.objects.exists()


def test_a_line_that_cannot_be_understood(data, url, key):
    write_csv(data / "sales_2022-10.csv.gz", [*SALES, [*SALES[-1][:4], "2.5", "0.0"]])
    told = one_sentence(run(data, url, key))
    assert told == "sales_2022-10, row 8: '2.5' is no number of bottles."
    assert not SaleEvent.objects.exists()


def test_more_lines_in_a_batch_than_the_server_takes(data, url, key):
    told = one_sentence(run(data, url, key, "--batch", "1001"))
    assert told == "The server takes at most 1000 events in a batch."


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--month", "2022-13"], "'2022-13' is no month such as 2022-10"),
        (["--resend", "101"], "'101' is no whole number from 0 to 100"),
        (["--senders", "0"], "'0' is no whole number of at least 1"),
        (["--masters-date", "../x"], "'../x' is no day such as 2022-11-01"),
        (["--url", "ftp://127.0.0.1"], "ftp://127.0.0.1 is not an address"),
        (["--url", "http://127.0.0.1:x"], "http://127.0.0.1:x is not an address"),
        (["--key", "\u06a9\u0644\u06cc\u062f"], "The key is not one"),
    ],
)
def test_an_option_that_makes_no_sense(data, options, sentence):
    assert sentence in one_sentence(run(data, "http://127.0.0.1:1", "some.key", *options))


# --- the parts -----------------------------------------------------------------------------------


def test_the_same_line_makes_the_same_event_on_every_machine(data):
    line = read_month(data, Month.parse("2022-10"))[0]
    assert line.event_id == "2be78a9c-e8ae-556a-88cd-1045f02fae80"
    assert json.loads(line.body) == {
        "event_id": line.event_id, "store": "2190", "sku": "100", "kind": "sale", "quantity": 12,
        "occurred_at": "2022-10-01T12:00:00-05:00", "amount": "112.56", "receipt": "INV-000001",
    }  # fmt: skip


def test_lines_of_other_months_and_the_portals_own_dates(data):
    of_may = ["S1", "05/31/2022", "2190", "100", "1", "$9.38"]
    of_october = ["S2", "10/31/2022", "2190", "100", "1", "$9.38"]
    write_csv(data / "sales_2022-10.csv.gz", [SALES[0], of_may, of_october])
    (line,) = read_month(data, Month.parse("2022-10"))
    assert json.loads(line.body)["occurred_at"] == "2022-10-31T12:00:00-05:00"
    assert json.loads(line.body)["amount"] == "9.38"


def test_december_ends_with_the_year():
    assert Month.parse("2021-12").behind.isoformat() == "2022-01-01"


def test_lines_sent_again_come_among_the_later_batches():
    lines = list(range(1000))
    batches = plan_batches(lines, size=10, resend_percent=30)
    assert len(batches) == 130
    first_half = [line for batch in batches[:50] for line in batch]
    assert first_half == lines[:500]
    assert sorted(line for batch in batches for line in batch)[:2] in ([0, 0], [0, 1])
    assert len({line for batch in batches for line in batch}) == 1000
    assert batches == plan_batches(lines, size=10, resend_percent=30)


def test_percentile_is_the_nearest_rank():
    assert percentile([], 99) is None
    assert percentile([5.0], 50) == 5.0
    assert percentile([float(n) for n in range(1, 101)], 99) == 99.0
    assert percentile([float(n) for n in range(1, 102)], 99) == 100.0


def test_the_client_knows_nothing_of_the_product():
    allowed = sys.stdlib_module_names | {"urllib3", "rich"}
    files = list((CHECKOUT / "examples" / "iowa").glob("*.py"))
    assert len(files) > 5
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                own = name.startswith("examples.iowa.") or name == "examples.iowa"
                assert own or name.split(".")[0] in allowed, f"{file.name} imports {name}"


# --- a line that fails ---------------------------------------------------------------------------


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


class UnreliableLine(http.server.ThreadingHTTPServer):
    """Passes everything on, but refuses one batch and loses the answer to another."""

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), UnreliableHandler)
        self.target, self.troubles = url, ["lose the answer", "refuse"]
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def next_trouble(self, method: str) -> str:
        with self.lock:
            return self.troubles.pop() if method == "POST" and self.troubles else ""


class UnreliableHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        sales = self.path.startswith("/api/orders/sales/")
        trouble = self.server.next_trouble(self.command) if sales else ""
        if trouble == "refuse":
            return self.answer(503, b"{}", {"Retry-After": "0"})
        headers = {n: self.headers[n] for n in ("Authorization", "Content-Type") if self.headers[n]}
        status, content = forward(self.server.target, self.command, self.path, headers, body)
        if trouble == "lose the answer":
            self.close_connection = True
            return None
        return self.answer(status, content, {})

    do_POST = do_GET

    def answer(self, status: int, content: bytes, headers: dict) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class unreliable_line_to:
    def __init__(self, url: str) -> None:
        self.line = UnreliableLine(url)

    def __enter__(self) -> UnreliableLine:
        threading.Thread(target=self.line.serve_forever).start()
        return self.line

    def __exit__(self, *_: object) -> None:
        self.line.shutdown()
        self.line.server_close()
