"""A month the example till client cannot send is refused in one sentence, and changes nothing."""

import subprocess

import pytest

from orders.models import SaleEvent
from script.server_process import free_port
from stores import registry
from stores.models import Store
from tests.iowa.till import SALES, run, write_csv


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
