"""What does not add up is told by the example till client, and its exit code says so."""

from decimal import Decimal

from stock.models import Level
from tests.iowa.till import (
    LINES,
    NET_UNITS,
    PRODUCTS,
    SALES,
    STORES,
    ledger_rows,
    post,
    read_report,
    run,
    write_csv,
)
from tests.make import sale


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
