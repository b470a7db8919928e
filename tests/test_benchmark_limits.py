"""benchmarks.limits: what it measures, and that it would say so if a limit did not hold."""

import json
import subprocess
import sys

import pytest

from benchmarks import limits
from tests.databases import CHECKOUT

pytestmark = pytest.mark.sqlite  # it asks no database
HELD = {
    "limit": 100, "allowed": 100, "allowed_over_restart": 100, "limit_without_redis": 6,
    "allowed_without_redis": 96, "errors": 0, "requests": 200, "processes": 16,
}  # fmt: skip


def run(*options):
    command = [sys.executable, "-m", "benchmarks.limits", "--json", *options]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=120)


def test_a_limit_holds_in_sixteen_processes_across_a_restart_and_without_redis():
    done = run()
    assert done.returncode == 0, done.stderr
    findings = json.loads(done.stdout)
    assert findings.pop("hit_us") > 0
    assert findings.pop("hit_without_redis_us") > 0
    assert findings == HELD


def test_so_does_one_that_is_a_count():
    done = run("--limit", "1500")
    findings = json.loads(done.stdout)
    assert (done.returncode, findings["allowed"], findings["allowed_over_restart"]) == (0, 200, 200)


@pytest.mark.parametrize(
    "wrong",
    [
        {"allowed": 101}, {"allowed": 99}, {"allowed_over_restart": 110},
        {"allowed_without_redis": 200}, {"allowed_without_redis": 0}, {"errors": 1},
    ],
)  # fmt: skip
def test_what_did_not_hold_is_noticed(wrong):
    assert limits.holds(HELD)
    assert not limits.holds(HELD | wrong)


def test_a_limit_that_is_none_is_refused():
    done = run("--limit", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no whole number of at least 1" in done.stderr
