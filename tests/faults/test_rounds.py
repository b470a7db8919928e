"""A short form of `script/faults`: a few rounds on real processes, with nothing lost or doubled."""

import os

import pytest
from django.db import connection

from tests.faults.judge import Database, Judge, Told
from tests.faults.kinds import KINDS
from tests.faults.lab import laboratory
from tests.faults.rounds import Result, Runner, choose_kinds, summarise
from tests.journal import accept, line
from tests.make import apply_all, make_product, make_store

SEED = 4_000
# The ones that take least time and hit most: a whole server, a commit without its reply, all
# messages, a process at its worst place.
SHORT = {
    "postgresql": ("kill_postgresql", "cut_commit", "flushall", "kill_worker"),
    "sqlite": ("kill_web_main", "kill_worker"),
}


def run_short(engine):
    results = []
    with laboratory(engine) as lab:
        runner = Runner(lab)
        for number, name in enumerate(SHORT[engine]):
            results.append(runner.run(number, KINDS[name], SEED + number))
    return results


def judge_short(results):
    told = "\n".join(result.tell() for result in results)
    assert [result.kind for result in results if result.is_red] == [], told
    assert [result.kind for result in results if result.is_void] == [], told
    assert all(result.events > 100 and result.looks for result in results), told


@pytest.mark.postgresql
def test_four_faults_on_postgresql_and_redis():
    judge_short(run_short("postgresql"))


@pytest.mark.sqlite
def test_two_faults_on_sqlite():
    judge_short(run_short("sqlite"))


# --- the judge itself -----------------------------------------------------------------------


@pytest.fixture
def told(committed):
    """A store that told two sales, both applied; the judge and what it was told."""
    store, _ = make_store("S-00"), make_product("P-000")
    sold = [line("P-000", units) for units in (1, 2)]
    accept(store, *sold)
    apply_all()
    rounds = Told()
    for event in sold:
        rounds.events["S-00", event.event_id.hex] = "P-000", -event.quantity, False
    rounds.acked = set(rounds.events)
    url = os.environ.get("DATABASE_URL") or f"sqlite:///{connection.settings_dict['NAME']}"
    return Judge(Database(url)), rounds


def names_of(verdict):
    return {name for name, texts in verdict.items() if texts}


def test_judge_is_content_with_what_is_right(told):
    judge, rounds = told
    assert names_of(judge.judge(rounds)) == set()


def test_judge_misses_what_was_acknowledged(told):
    judge, rounds = told
    rounds.events["S-00", "0" * 32] = "P-000", -5, False
    rounds.acked.add(("S-00", "0" * 32))
    assert "lost" in names_of(judge.judge(rounds))


def test_judge_sees_what_nobody_told(told):
    judge, rounds = told
    key = rounds.acked.pop()
    del rounds.events[key]
    assert "doubled" in names_of(judge.judge(rounds))


def test_judge_sees_another_quantity(told):
    judge, rounds = told
    key = next(iter(rounds.acked))
    rounds.events[key] = "P-000", -9, False
    assert "drift" in names_of(judge.judge(rounds))


def test_judge_sees_an_event_without_an_answer(told):
    judge, rounds = told
    rounds.acked.pop()
    assert names_of(judge.judge(rounds)) == {"other"}


def test_coherence_sees_a_level_that_is_off_by_a_thousandth(told):
    judge, _ = told
    with connection.cursor() as cursor:
        cursor.execute("UPDATE stock_level SET quantity = quantity + 1")
    assert judge.database.coherence() == ["a level is not the sum of its movements: 1 times"]


# --- the rules of a round ---------------------------------------------------------------------


@pytest.mark.sqlite
def test_round_whose_fault_was_not_seen_is_void_and_a_red_one_is_not():
    seen, unseen = Result(0, 1, "a", evidence="pid 7"), Result(1, 2, "b")
    red = Result(2, 3, "c", findings={"lost": ["x", "y"], "drift": ["z"]})
    skipped = Result(3, 4, "d", impossible="no mount")
    told = summarise([seen, unseen, red, skipped], 1)
    assert (seen.is_void, unseen.is_void, red.is_void) == (False, True, False)
    assert (told["void"], told["red"]) == (["1: b"], ["2: c seed 3"])
    assert (told["skipped"], told["lost"], told["drift"]) == (["d: no mount"], 2, 1)


@pytest.mark.sqlite
def test_seed_decides_which_faults_come_when_and_each_comes():
    names = list(KINDS)
    chosen = choose_kinds(names, "postgresql", 2 * len(names), 5)
    assert chosen == choose_kinds(names, "postgresql", 2 * len(names), 5)
    assert chosen != choose_kinds(names, "postgresql", 2 * len(names), 6)
    assert {kind.name for kind in chosen[: len(names)]} == set(names)
    assert all("sqlite" in kind.engines for kind in choose_kinds(names, "sqlite", 20, 5))
