"""300 made-up requests of everybody to the running product; script/fuzz sends 10,000 of each.

On PostgreSQL, as a chain runs. On SQLite the same schema is fuzzed without a server, in
tests/test_fuzz_schema.py.
"""

import json

import pytest

from tests.fuzz import __main__ as program
from tests.fuzz.judge import Tally, find_leaks
from tests.fuzz.names import ROLES

CASES = 300


@pytest.mark.postgresql
def test_any_request_of_anybody_is_answered_and_tells_nothing(capsys):
    code = program.main(["--cases", str(CASES), "--seed", "7", "--json"])
    printed = capsys.readouterr().out
    assert code == 0, printed[-6_000:]
    told = json.loads(printed.splitlines()[-1])
    assert tuple(told) == ROLES
    for role in ROLES:
        facts = told[role]
        assert (facts["cases"], facts["s5xx"], facts["not_problem"]) == (CASES, 0, 0), facts
        assert facts["failures"] == 0
    assert set(told["anonymous"]["by_status"]) <= {"400", "401", "404", "405", "414", "415"}
    assert "200" in told["head_office"]["by_status"]
    assert {"200", "202"} <= told["device"]["by_status"].keys()


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("status", "content_type", "body", "s5xx", "not_problem"),
    [
        (200, "application/json", "{}", 0, 0),
        (500, "text/html", "<h1>Server Error</h1>", 1, 1),
        (400, "application/json", '{"detail": "No."}', 0, 1),
        (404, "application/problem+json", '{"detail": "No."}', 0, 1),
        (404, "application/problem+json", "no JSON", 0, 1),
        (404, "application/problem+json",
         '{"type": "a", "title": "b", "status": 400, "code": "c", "detail": "d"}', 0, 1),
        (404, "application/problem+json",
         '{"type": "a", "title": "b", "status": 404, "code": "c", "detail": "d"}', 0, 0),
    ],
)  # fmt: skip
def test_the_judge_sees_what_is_wrong(status, content_type, body, s5xx, not_problem):
    tally = Tally()
    tally.note(status, content_type, body, "device GET /")
    assert (tally.cases, tally.s5xx, tally.not_problem) == (1, s5xx, not_problem)
    assert tally.is_clean == (not s5xx and not not_problem)


@pytest.mark.sqlite
def test_the_judge_sees_what_an_answer_must_not_hold():
    secrets = {"the key": "s3cr3t"}
    assert find_leaks('{"detail": "Fine."}', secrets) == []
    assert find_leaks('{"detail": "s3cr3t"}', secrets) == ["the key"]
    for text in ('Traceback (most recent call last): File "/a.py"', "SELECT 1 FROM argon2$"):
        assert len(find_leaks(text, secrets)) == 2
