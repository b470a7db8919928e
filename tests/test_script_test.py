"""script/test: what it counts, what it says was skipped, and when it fails."""

from collections import Counter

import pytest

from script.run_tests import Outcome, parallel, report, run_pytest

pytestmark = pytest.mark.sqlite  # whatever database the product uses: once is enough

MIXED = """
import os, pytest
def test_passes(): pass
def test_fails(): assert 0
def test_errors(nothing): pass
@pytest.mark.skip(reason="no browser here")
def test_browser(): pass
@pytest.mark.skip(reason="no browser here")
def test_another(): pass
"""
ENVIRONMENT = """
import os
def test_environment(): assert os.environ.get("DATABASE_URL") == {url!r}
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs one test file, away from the product's own tests, with the product's own runner."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # they take seconds to load

    def run(text, addresses=None):
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        file = tmp_path / "test_sample.py"
        file.write_text(text)
        arguments = [
            "-p",
            "xdist.plugin",
            "-n0",
            "-q",
            "-c",
            str(tmp_path / "pytest.ini"),
            str(file),
        ]
        return run_pytest("SQLite", arguments, addresses or {})

    return run


def test_counts_what_pytest_says(run):
    outcome = run(MIXED)
    assert outcome.totals == "1 passed, 2 failed, 2 skipped"
    assert outcome.skipped == {"no browser here": 2}
    assert outcome.exit_code == 1


def test_run_on_sqlite_sees_no_server_of_the_environment(run, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://db.example.org/kiryana")
    assert run(ENVIRONMENT.format(url=None)).totals == "1 passed, 0 failed, 0 skipped"


def test_run_on_postgresql_sees_its_address(run):
    url = "postgresql://db.example.org/kiryana"
    assert (
        run(ENVIRONMENT.format(url=url), {"DATABASE_URL": url}).totals
        == "1 passed, 0 failed, 0 skipped"
    )


def test_file_that_cannot_be_read_is_a_failure(run):
    outcome = run("import no_such_module")
    assert outcome.failed == 1
    assert outcome.exit_code != 0


def test_report_lists_what_was_skipped_and_why_and_the_totals_last(capsys):
    sqlite = Outcome("SQLite", 0, passed=5, skipped=Counter({"no browser here": 2}))
    assert report([sqlite, Outcome("PostgreSQL", 0, passed=7)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "SQLite: 2 x no browser here" in lines
    assert "PostgreSQL: nothing" in lines
    assert lines[-1] == "12 passed, 0 failed, 2 skipped"


@pytest.mark.parametrize(
    ("codes", "exit_code"),
    [
        ((0, 0), 0),
        ((1, 0), 1),
        ((0, 1), 1),
        ((0, 5), 0),  # 5: no test is for this database
        ((5, 5), 1),
        ((2, 0), 1),
    ],
)
def test_fails_when_any_run_failed_or_nothing_ran(codes, exit_code, capsys):
    assert report([Outcome("SQLite", codes[0]), Outcome("PostgreSQL", codes[1])]) == exit_code


@pytest.mark.parametrize("said", [["-n", "4"], ["-n0"], ["--numprocesses=1"], ["--pdb"]])
def test_arguments_may_say_how_many_cores(said):
    assert parallel(said) == said


def test_both_cores_otherwise():
    assert parallel(["tests/test_health.py"]) == [
        "-n",
        "2",
        "--dist",
        "loadfile",
        "tests/test_health.py",
    ]
