"""Every number of the list of bad inputs has its test, or says why it has none yet."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.sqlite  # it reads files

NUMBERS = set(range(1, 97))
# What has no feature to be tried at.
WITHOUT_FEATURE = {
    57: "no door takes an Idempotency-Key: events and movements carry an event_id of their own",
    58: "the same",
    59: "the same",
}
_NAME = re.compile(r"^def test((?:_[0-9]+)+)_[a-z]", re.MULTILINE)


def numbers_with_a_test():
    found = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        for named in _NAME.findall(path.read_text()):
            found.update(int(number) for number in named.split("_") if number)
    return found


def test_every_number_has_a_test_or_a_reason():
    found = numbers_with_a_test()
    print(f"bad inputs: {len(found)}/{len(NUMBERS)}, {len(WITHOUT_FEATURE)} without their feature")
    assert found | WITHOUT_FEATURE.keys() == NUMBERS
    assert found & WITHOUT_FEATURE.keys() == set()
    assert all(WITHOUT_FEATURE.values())
