"""script/bench: its arithmetic, its load generator, its page, and that every part runs."""

import json
import os
import socket
import subprocess
import sys
import threading
import uuid
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks import chain, load, report
from benchmarks.findings import TARGETS, CannotMeasureError, Findings, Ratio, percentile
from benchmarks.rig import QUICK

CHECKOUT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.sqlite  # it starts servers of its own
MARK = uuid.uuid4().hex
RATIOS = {target.name for target in TARGETS}
OF_THE_PEER = {name for name in RATIOS if "_vs_peer" in name}


def run(*options, program="benchmarks"):
    command = [sys.executable, "-m", program, *options]
    environment = os.environ | {"RUN_OF_TEST": MARK}
    return subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=300
    )


# --- every part ----------------------------------------------------------------------------------


def test_every_part_runs_and_ends_with_one_object_and_no_process():
    done = run("--tiny", "--no-peer", "--json")
    assert done.returncode == 0, done.stderr
    assert "All books are right" in done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    measured = RATIOS - OF_THE_PEER
    assert measured <= told["ratios"].keys()
    assert all(told["ratios"][name] > 0 for name in measured)
    assert told["ratios"].keys() | told["not_measured"].keys() >= RATIOS
    assert {told["not_measured"][name] for name in OF_THE_PEER} == {"it was left out"}
    figures = told["figures"]
    assert set(figures) == {"bound", "accept", "apply", "end to end", "growth", "cold read"}
    assert figures["apply"]["deadlocks"] == 0
    assert figures["end to end"]["lag_probes"] >= 2
    assert not processes_of_this_run()


def test_a_soak_says_what_was_and_what_is_and_checks_the_books():
    done = run("--minutes", "0.05", "--rate", "40", "--json", program="benchmarks.soak")
    assert done.returncode == 0, done.stderr
    assert "All books are right" in done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert 20 < told["sales_per_s_last"] <= 41
    assert told["levels_hot_updates_percent"] > 0
    for name in ("inbox_mb", "worker_mb", "sweep_mb", "web_mb"):
        assert 0 < told[f"{name}_first"] <= told[f"{name}_max"] >= told[f"{name}_last"]
    assert not processes_of_this_run()


def test_a_soak_of_no_time_is_refused():
    done = run("--minutes", "0", program="benchmarks.soak")
    assert done.returncode == 2
    assert "--minutes is more than 0" in done.stderr


def processes_of_this_run():
    """Another run on the same machine is nobody's fault: ours inherit a mark."""
    left = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            environment = path.read_bytes().decode(errors="replace")
        except OSError:  # another account's, or it ended meanwhile
            continue
        if MARK in environment:
            left.append(path.parent.name)
    return left


@pytest.mark.parametrize("program", ["benchmarks", "benchmarks.bound", "benchmarks.peer"])
@pytest.mark.parametrize("options", [["--quik"], ["--quick", "--tiny"], ["now"]])
def test_an_option_that_makes_no_sense_starts_nothing(program, options):
    done = run(*options, program=program)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Starting" not in done.stderr


# --- arithmetic and telling ----------------------------------------------------------------------


def test_a_ratio_is_the_median_of_the_rounds_ratios():
    # The medians of the series would say 20 / 20; the second minute was slow for both.
    assert Ratio.of([20, 10, 40], [10, 20, 20]) == Ratio(2, 0.5, 2)


def test_the_first_round_is_forgotten_where_there_is_another():
    findings = Findings("part")
    for value in (1, 5, 7):
        findings.add("a_per_s", value)
    findings.add("b_per_s", 3)
    findings.drop_first()
    assert findings.medians == {"a_per_s": 6, "b_per_s": 3}


def test_percentile():
    values = list(range(1, 101))
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([7], 0.99)) == (
        51,
        100,
        7,
    )


@pytest.fixture
def findings():
    found = Findings("apply")
    found.ratios["apply_vs_bound"] = Ratio(0.41, 0.39, 0.44)
    found.ratios["replays_vs_none"] = Ratio(1.6, 1.5, 1.7)
    found.ratios["growth_read"] = Ratio(0.5, 0.4, 0.6)
    found.not_measured["accept_single_vs_peer"] = "there is no Node"
    found.figures["usual_events_per_s"] = 12345.6
    found.plans["\nSELECT 1\n"] = "Result (actual time=0.001)"
    return found


@pytest.fixture
def setting():
    versions, database = {"python": "3.11.7"}, {"fsync": "on"}
    return report.Setting(QUICK, "2 cores", versions, database, "abc1234")


def test_object(setting, findings):
    told = report.to_object(setting, [findings])
    assert told["ratios"] == {"apply_vs_bound": 0.41, "replays_vs_none": 1.6, "growth_read": 0.5}
    assert told["figures"] == {"apply": {"usual_events_per_s": 12346}}
    assert told["not_measured"] == {"accept_single_vs_peer": "there is no Node"}


def test_page_has_every_ratio_and_says_where_one_is_not_reached(setting, findings):
    page = report.write_page(setting, [findings])
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    assert set(rows) == RATIOS
    assert rows["apply_vs_bound"].startswith(
        "| `apply_vs_bound` | 0.41 | 0.39 - 0.44 | 0.4 | 0.6 | reached |"
    )
    assert "| aim reached |" in rows["replays_vs_none"]
    assert "| not reached |" in rows["growth_read"]
    assert "| not measured | | 0.6 | 1 | there is no Node |" in rows["accept_single_vs_peer"]
    assert "```sql\nSELECT 1\n```" in page
    assert "Result (actual time=0.001)" in page


def test_what_a_person_wrote_on_the_page_stays(setting, findings):
    page = report.write_page(setting, [findings], "The page of history has more rows.")
    assert report.read_judgement(page) == "The page of history has more rows."
    again = report.write_page(setting, [findings], report.read_judgement(page))
    assert again == page
    assert report.read_judgement("no such page") == ""


# --- the chain -----------------------------------------------------------------------------------


@pytest.mark.parametrize("zipf", [chain.UNIFORM, chain.ZIPF, chain.ZIPF_HOT])
def test_sales_stay_within_the_chain_and_have_ids_of_their_own(zipf):
    sales = chain.make_sales(5_000, stores=30, products=10, zipf=zipf)
    assert {sale.store_id for sale in sales} == set(range(1, 31))
    assert {sale.product_id for sale in sales} == set(range(1, 11))
    assert len({sale.event_id for sale in sales}) == 5_000
    assert all(sale.event_id[14] == "7" and len(sale.event_id) == 36 for sale in sales)


def test_products_are_as_hot_as_asked():
    def share_of_first(zipf):
        sales = chain.make_sales(5_000, stores=30, products=100, zipf=zipf)
        return Counter(sale.product_id for sale in sales)[1] / 5_000

    shares = [share_of_first(zipf) for zipf in (chain.UNIFORM, chain.ZIPF, chain.ZIPF_HOT)]
    assert shares[0] < 0.02 < 0.10 < shares[1] < 0.30 < 0.45 < shares[2]


def test_the_ledgers_rows_continue_heads_and_levels():
    sales = [chain.Sale(1, 2, chain.make_event_id()) for _ in range(2)]
    heads, levels = {1: 7}, {(1, 2): 500}
    rows = [
        row.split("\t") for row in chain.write_ledger(sales, heads, levels).decode().splitlines()
    ]
    assert [(row[1], row[5]) for row in rows] == [("8", "-500"), ("9", "-1500")]
    assert (heads, levels) == ({1: 9}, {(1, 2): -1500})


# --- the load generator --------------------------------------------------------------------------


class Answering(BaseHTTPRequestHandler):
    """Says 202 to what it reads, and how much that was."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(body)
        status = 429 if b"too many" in body else 202
        self.send_response(status)
        self.send_header("Content-Length", "300000")
        self.end_headers()
        self.wfile.write(b"x" * 300_000)

    def log_message(self, *_):
        """Not into the output of the tests."""


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        server.bodies = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_each_request_is_sent_once_and_answered(server):
    bodies = [f"{number:>8}" * 50_000 for number in range(20)]  # larger than a socket takes at once
    requests = [chain.write_post("/", body) for body in bodies]
    loaded = load.send(server.server_port, requests, connections=4, seconds=60)
    assert sorted(server.bodies) == sorted(body.encode() for body in bodies)
    assert (loaded.requests, len(loaded.latencies_ms)) == (20, 20)
    assert 0 < loaded.percentile_ms(0.5) <= loaded.percentile_ms(0.99)


def test_a_rate_is_kept(server):
    requests = [chain.write_post("/", "x")] * 1000
    loaded = load.send(server.server_port, requests, connections=4, seconds=0.5, per_second=40)
    assert 10 <= loaded.requests <= 20  # 40 a second for half a second


def test_a_refusal_gives_no_numbers(server):
    with pytest.raises(CannotMeasureError, match="429"):
        load.send(server.server_port, [chain.write_post("/", "too many")], connections=1, seconds=5)


def test_a_server_that_hangs_up_gives_no_numbers():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=lambda: listening.accept()[0].close(), daemon=True).start()
        with pytest.raises((CannotMeasureError, ConnectionError)):
            load.send(
                listening.getsockname()[1], [chain.write_post("/", "x")], connections=1, seconds=5
            )
