"""The bugs planted to test the harness fit the code. `script/faults` looks for all of them."""

import ast

import pytest

from tests.faults.planted import BUGS, make_copy, plant
from tests.faults.seeds import run_seeds

pytestmark = pytest.mark.sqlite  # files are the same on every database

SEEDS_TO_FIND_IT = 40


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_bug_can_be_planted(tmp_path, bug):
    copy = make_copy(tmp_path)
    for path in plant(bug, copy):
        ast.parse(path.read_text(), filename=path)


def test_bugs_are_twelve_different_ones():
    assert len({bug.name for bug in BUGS}) == len({bug.edits for bug in BUGS}) == 12


@pytest.mark.parametrize("name", ["two_transactions", "balance_from_all_rows"])
def test_simulation_finds_a_bug_of_the_ledger(tmp_path, name):
    (bug,) = (bug for bug in BUGS if bug.name == name)
    copy = make_copy(tmp_path)
    plant(bug, copy)
    told = run_seeds(0, SEEDS_TO_FIND_IT, 1, copy)
    assert told["red"] != []
