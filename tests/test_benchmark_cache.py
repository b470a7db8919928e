"""benchmarks.cache: that it measures what it says, with few rows and no time."""

import json
import subprocess
import sys

import pytest

from tests.databases import CHECKOUT

pytestmark = pytest.mark.sqlite  # it brings its own PostgreSQL


def run(*options):
    command = [sys.executable, "-m", "benchmarks.cache", "--json", *options]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=120)


def test_one_makes_a_list_for_all_and_the_ratios_are_of_one_run():
    done = run("--products", "30", "--processes", "2", "--milliseconds", "5")
    assert done.returncode == 0, done.stderr
    findings = json.loads(done.stdout)
    assert (findings["products"], findings["callers"], findings["processes"]) == (30, 16, 2)
    assert findings["recomputations"] == 1
    assert findings["recomputations_without_redis"] == 2  # one in each process
    for name in ("cached_vs_constant", "uncached_vs_values", "not_modified_vs_constant"):
        assert findings[name] > 0
    ways = {"constant", "cached", "not_modified", "uncached", "values"}
    assert {name: set(rates) for name, rates in findings["requests_per_s"].items()} == {
        "page": ways, "whole": ways,
    }  # fmt: skip


def test_no_products_are_refused():
    done = run("--products", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no whole number of at least 1" in done.stderr
