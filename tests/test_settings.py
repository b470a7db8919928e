"""A setting that makes no sense stops the start with a sentence, not the first sale."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from inventory_project.settings import AUDITED_SETTINGS, NEGATIVE_STOCK_WORDS
from stores.models import NegativeStock

CHECKOUT = Path(__file__).resolve().parent.parent
NAMES = ("NEGATIVE_STOCK_OF_SALES", "NEGATIVE_STOCK_OF_REMOVALS",
         "SALES_APPLY_EVENTS_MAX", "SALES_APPLY_STORES_MAX", "LIMIT_LOG_IN")  # fmt: skip

pytestmark = pytest.mark.sqlite  # the settings are read before any database


def start(tmp_path, **variables):
    """(exit code, the settings' values, last line of what was said)."""
    command = (
        f"from inventory_project import settings as s; print(*(getattr(s, n) for n in {NAMES}))"
    )
    environment = {"PATH": os.environ["PATH"], "LOCAL_DIR": str(tmp_path)} | variables
    done = subprocess.run(
        [sys.executable, "-c", command],
        cwd=CHECKOUT, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout.split(), (done.stderr.splitlines() or [""])[-1]


@pytest.mark.parametrize("variable", NAMES[:2])
@pytest.mark.parametrize("word", ["", "Refuse", "deny", "allow_and_flag "])
def test_word_that_is_no_policy_is_refused(tmp_path, variable, word):
    code, _, said = start(tmp_path, **{variable: word})
    assert (code, said) == (
        1,
        f"django.core.exceptions.ImproperlyConfigured: {variable} takes one of: "
        "allow_and_flag, refuse, allow.",
    )


@pytest.mark.parametrize("variable", NAMES[2:])
@pytest.mark.parametrize("number", ["0", "-1", "", "many", "1.5", "٣"])
def test_number_that_takes_nothing_is_refused(tmp_path, variable, number):
    code, _, said = start(tmp_path, **{variable: number})
    assert (code, said) == (
        1,
        f"django.core.exceptions.ImproperlyConfigured: {variable} takes a whole number "
        "of at least 1.",
    )


@pytest.mark.parametrize("url", ["valkey://127.0.0.1/0", "127.0.0.1:6379", "http://cache/"])
def test_address_that_is_no_redis_is_refused(tmp_path, url):
    code, _, said = start(tmp_path, REDIS_URL=url)
    assert code == 1
    assert said.endswith("REDIS_URL begins with redis:// or rediss://, also for Valkey.")


def test_what_makes_sense_is_taken(tmp_path):
    assert start(tmp_path)[:2] == (0, ["allow_and_flag", "refuse", "1000", "256", "5"])
    values = ["refuse", "allow", "1", "7", "9"]
    assert start(tmp_path, **dict(zip(NAMES, values, strict=True)))[:2] == (0, values)


def test_limits_of_the_api(tmp_path):
    command = "from inventory_project import settings as s; print(s.LIMITS_A_MINUTE)"
    environment = {"PATH": os.environ["PATH"], "LOCAL_DIR": str(tmp_path), "LIMIT_DEVICE": "7"}
    told = subprocess.run(
        [sys.executable, "-c", command],
        cwd=CHECKOUT, env=environment, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert ast.literal_eval(told) == {
        "device": 7, "head_office": 60_000, "staff": 600, "earlier": 100, "anonymous": 60,
    }  # fmt: skip


def test_words_are_those_of_the_model():
    assert set(NEGATIVE_STOCK_WORDS) == set(NegativeStock.values)


def test_whatever_an_operator_sets_of_the_log_in_is_noted_in_the_audit():
    """Who turns the second factor off, lets idle sessions live or trusts another provider."""
    tree = ast.parse((CHECKOUT / "inventory_project" / "log_in_settings.py").read_text())
    read = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        for target in node.targets
        if isinstance(target, ast.Name) and not target.id.startswith("_")
        if ast.unparse(node.value.func).startswith(("_env.", "_read_"))
    }
    assert {"SECOND_FACTOR_OF", "ASK_AGAIN_AFTER_MIN", "OIDC_SERVER_URL"} <= read
    assert read <= {*AUDITED_SETTINGS}
