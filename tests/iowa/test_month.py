"""The example till client sends a month to a real server: what it sends, measures and finds."""

from decimal import Decimal

from stock.models import Level, Movement
from tests.iowa.till import (
    ALL_ACCEPTED,
    LINES,
    SALES,
    counts,
    ledger_rows,
    read_report,
    run,
    write_csv,
)
from tests.iowa.unreliable import unreliable_line_to


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
