"""benchmarks.month against a real server: what it measures, and what it says where it cannot."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from benchmarks import month
from script.server_process import free_port
from stock.models import Movement
from tests.iowa import conftest, till

CHECKOUT = Path(__file__).resolve().parent.parent
HELD_MB = 64
# A process with an odd name that holds memory, and its child that holds as much.
FAMILY = f"""
import subprocess, sys
open("/proc/self/comm", "w").write("a) b (c")
held = bytearray(b"x") * ({HELD_MB} << 20)
if sys.argv[1:]:
    child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=sys.stdin, stdout=-1)
    child.stdout.readline()
    print(child.pid, flush=True)
else:
    print("ready", flush=True)
sys.stdin.read()
"""
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
needs_no_product = pytest.mark.sqlite  # it is the same on every database
key, url, worker = conftest.key, conftest.url, conftest.worker
LINES, LINES_BEFORE = 6, 4


@pytest.fixture
def data(tmp_path):
    """A folder with files of both months, and nothing in them."""
    for name in ("2022-09", "2022-10"):
        (tmp_path / f"sales_{name}.csv").write_text("")
    return tmp_path


@pytest.fixture
def chain(tmp_path):
    """A folder with a small chain's masters, and lines of both months."""
    of_september = [
        [row[0].replace("INV-0", "INV-9"), row[1].replace("2022-10", "2022-09"), *row[2:]]
        for row in till.SALES[: LINES_BEFORE + 1]
    ]
    for name, rows in {
        "stores_2022-11-01": till.STORES, "products": till.PRODUCTS,
        "sales_2022-10": till.SALES, "sales_2022-09": of_september,
    }.items():  # fmt: skip
        till.write_csv(tmp_path / f"{name}.csv.gz", rows)
    return tmp_path


@pytest.fixture
def server(tmp_path):
    """Writes a server.json; nobody listens at its address."""

    def server(**changes):
        facts = {
            "url": f"http://127.0.0.1:{free_port()}", "head_office_key": "some.secret",
            "pids": {"web": os.getpid(), "worker": os.getpid()},
            "env": {"DATABASE_URL": os.environ.get("DATABASE_URL", "sqlite:///none.sqlite3")},
        }  # fmt: skip
        (tmp_path / "server.json").write_text(json.dumps(facts | changes))
        return tmp_path / "server.json"

    return server


def command(data, server, *options):
    return [
        sys.executable, "-m", "benchmarks.month", "--data", data, "--server", server, *options,
    ]  # fmt: skip


def run(*arguments):
    return subprocess.run(
        command(*arguments), cwd=CHECKOUT, capture_output=True, text=True, timeout=120
    )


def one_sentence(done):
    """What a run without numbers says, in its last line."""
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
    return done.stderr.splitlines()[-1]


# --- a product that runs -----------------------------------------------------------------------


def test_both_months_are_sent_and_measured(chain, server, url, key, worker):
    path = server(url=url, head_office_key=key)
    done = run(chain, path, "--rate", "50", "--rate-lines", "3", "--json")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    findings = json.loads(line)
    assert list(findings) == [
        "events_per_s", "single_per_s", "lag_p99_ms", "worker_mb_max", "web_mb_max", "engine",
        "cores", "versions",
    ]  # fmt: skip
    assert min(findings[name] for name in ("events_per_s", "single_per_s", "lag_p99_ms")) > 0
    # Here both are this process, with the web server as its child.
    assert findings["worker_mb_max"] == pytest.approx(findings["web_mb_max"], rel=0.1)
    assert findings["web_mb_max"] > 50
    assert (findings["engine"], findings["cores"]) == (connection.vendor, os.cpu_count())
    assert set(findings["versions"]) == {"python", "django", "granian", "celery", connection.vendor}
    receipts = Movement.objects.values_list("receipt", flat=True)
    assert len(receipts) == LINES + 3
    assert sum(receipt.startswith("INV-9") for receipt in receipts) == 3


def test_a_month_the_server_knew_gives_no_numbers(chain, server, url, key, worker):
    assert till.run(chain, url, key).returncode == 0
    told = one_sentence(run(chain, server(url=url, head_office_key=key)))
    assert told == "benchmarks.month: 6 lines of 2022-10 were on the server before."
    assert Movement.objects.count() == LINES  # the other month was not sent


@needs_no_product
def test_a_product_that_stops_ends_the_client_too(chain, server):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        path = server(url=f"http://127.0.0.1:{silent.getsockname()[1]}")
        with subprocess.Popen(
            command(chain, path), cwd=CHECKOUT, stderr=subprocess.PIPE, text=True
        ) as process:
            till_connection, _ = silent.accept()
            path.unlink()
            told = process.communicate(timeout=60)[1].splitlines()[-1]
        with till_connection:
            till_connection.settimeout(60)
            while till_connection.recv(4096):  # until the client has gone
                continue
    assert process.returncode == 2
    assert told.startswith("benchmarks.month: script/server has written no")


# --- memory --------------------------------------------------------------------------------------


@needs_no_product
@needs_proc
def test_memory_is_summed_over_all_descendants_and_the_peak_stays():
    peaks = {}
    with subprocess.Popen(
        [sys.executable, "-c", FAMILY, FAMILY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        pids = {"web": parent.pid, "worker": int(parent.stdout.readline())}
        month.raise_peaks(pids, peaks)
        parent.stdin.close()
    assert set(peaks) == {"web", "worker"}
    assert HELD_MB <= peaks["worker"] < 2 * HELD_MB
    assert peaks["worker"] + HELD_MB <= peaks["web"] < 4 * HELD_MB
    before = dict(peaks)
    month.raise_peaks(pids, peaks)  # both have ended
    assert peaks == before


@needs_no_product
@needs_proc
def test_a_smaller_sample_does_not_lower_the_peak():
    peaks = {"web": 10.0**6}
    month.raise_peaks({"web": os.getpid()}, peaks)
    assert peaks == {"web": 10.0**6}


@needs_no_product
def test_without_proc_nothing_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(month, "PROC", tmp_path / "no-proc")
    peaks = {}
    month.raise_peaks({"web": os.getpid()}, peaks)
    assert peaks == {}


@needs_no_product
def test_table():
    findings = {
        "events_per_s": 10234.5, "single_per_s": 199.9, "lag_p99_ms": 87.0, "worker_mb_max": 151.2,
        "web_mb_max": None, "engine": "sqlite", "cores": 2,
        "versions": {"python": "3.11.7", "sqlite": "3.46.1"},
    }  # fmt: skip
    assert month.write_table(findings, 60.5).splitlines() == [
        "events_per_s   10234.5",
        "single_per_s   199.9",
        "lag_p99_ms     87.0",
        "worker_mb_max  151.2",
        "web_mb_max     not measured",
        "engine         sqlite",
        "cores          2",
        "versions       python 3.11.7, sqlite 3.46.1",
        "sweep_mb_max   60.5",
    ]


# --- what cannot be measured ---------------------------------------------------------------------


@needs_no_product
def test_no_product_runs(data):
    told = one_sentence(run(data, data / "none.json"))
    assert told == (
        f"benchmarks.month: script/server has written no {data / 'none.json'}; "
        "start it, or name its file with --server."
    )


@needs_no_product
@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"url": "x", "head_office_key": "a.secret", "pids": null}', "\0"]
)
def test_a_file_that_script_server_did_not_write(data, text):
    (data / "server.json").write_text(text)
    told = one_sentence(run(data, data / "server.json"))
    assert "script/server has written no" in told


@needs_no_product
@pytest.mark.parametrize("name", ["2022-10", "2022-09"])
def test_a_month_that_is_not_in_the_folder_is_told_before_anything_is_sent(data, server, name):
    (data / f"sales_{name}.csv").unlink()
    done = run(data, server())
    assert one_sentence(done) == f"benchmarks.month: There is no sales_{name}.csv.gz in {data}."
    assert len(done.stderr.splitlines()) == 1  # the till client was not started


@needs_no_product
def test_a_month_the_client_cannot_send(data, server):
    done = run(data, server())
    told = "benchmarks.month: 2022-10 did not go through; the client said above why."
    assert one_sentence(done) == told
    assert "has no column" in done.stderr.splitlines()[-2]


@needs_no_product
def test_a_database_that_does_not_answer(data, server):
    address = f"postgresql://app:secret@127.0.0.1:{free_port()}/kiryana"
    told = one_sentence(run(data, server(env={"DATABASE_URL": address})))
    assert told == "benchmarks.month: The database that server.json names does not answer."


@needs_no_product
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--month", "2022-13"], "'2022-13' is no month such as 2022-10"),
        (["--rate", "0"], "'0' is no whole number of at least 1"),
        (["--rate-lines", "x"], "'x' is no whole number of at least 1"),
    ],
)
def test_an_option_that_makes_no_sense(data, server, options, sentence):
    assert sentence in one_sentence(run(data, server(), *options))
