"""`manage.py createkey`: what it prints opens doors, and nothing is made of bad input."""

import io
import json
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command

from stores import registry
from stores.models import StoreKey
from tests.make import Api

pytestmark = pytest.mark.django_db


def create_key(*arguments):
    out, err = io.StringIO(), io.StringIO()
    call_command("createkey", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_printed_key_opens_its_store(lahore):
    printed, _ = create_key("--store", "LHR-01", "--name", "till 1")
    answer = Api(printed.strip()).get("/api/stores/current/")
    assert (answer.status_code, answer.body["store"]["code"]) == (200, "LHR-01")


def test_key_alone_goes_to_standard_output_and_is_not_stored(lahore):
    printed, said = create_key("--store", "LHR-01", "--name", "till 1")
    key = StoreKey.objects.get()
    assert printed == f"{printed.split()[0]}\n"
    assert printed.startswith(f"{key.prefix}.")
    assert said == "This key of store LHR-01 is not shown again.\n"
    assert printed.split(".")[1].strip() not in str(vars(key))


def test_head_office_key_sees_every_store(lahore, karachi):
    printed, _ = create_key("--head-office", "--name", "reports")
    answer = Api(printed.strip()).get("/api/stores/")
    assert [store["code"] for store in answer.body["results"]] == ["KHI-02", "LHR-01"]


def test_json_tells_key_prefix_and_store(lahore):
    told = json.loads(create_key("--store", "LHR-01", "--name", "till 1", "--json")[0])
    key = StoreKey.objects.get()
    assert told == {
        "key": told["key"], "prefix": key.prefix, "store": "LHR-01", "scopes": key.scopes.split(),
    }  # fmt: skip
    assert told["key"].startswith(f"{key.prefix}.")


def test_json_of_head_office_has_no_store():
    told = json.loads(create_key("--head-office", "--name", "reports", "--json")[0])
    assert told["store"] is None


def test_expiry_is_the_start_of_the_day_in_the_store(lahore):
    create_key("--store", "LHR-01", "--name", "till 1", "--expires", "2190-01-01")
    assert StoreKey.objects.get().expires_at == datetime(2189, 12, 31, 19, tzinfo=UTC)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--store", "NOWHERE", "--name", "t"], "There is no store 'NOWHERE'."),
        (["--store", "", "--name", "t"], "There is no store ''."),
        (["--store", "LHR-01", "--name", " "], "--name must not be blank."),
        (["--store", "LHR-01", "--name", "x" * 81], "--name must have at most 80 characters."),
        (
            ["--head-office", "--name", "t", "--expires", "soon"],
            "--expires must be a day such as 2030-01-01.",
        ),
        (
            ["--head-office", "--name", "t", "--expires", "2020-01-01"],
            "--expires must be a day that has not begun.",
        ),
    ],
)
def test_bad_input_is_one_sentence_and_no_key(lahore, arguments, sentence):
    with pytest.raises(CommandError) as error:
        create_key(*arguments)
    assert str(error.value) == sentence
    assert not StoreKey.objects.exists()


def test_retired_store_gets_no_key(lahore):
    registry.retire_store(lahore)
    with pytest.raises(CommandError, match="Store LHR-01 is retired; its keys would be refused"):
        create_key("--store", "LHR-01", "--name", "t")
    assert not StoreKey.objects.exists()


@pytest.mark.parametrize("whose", [[], ["--store", "LHR-01", "--head-office"]])
def test_exactly_one_owner_is_named(lahore, whose):
    with pytest.raises(CommandError):
        create_key(*whose, "--name", "t")
    assert not StoreKey.objects.exists()
