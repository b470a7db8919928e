"""docs/operate/shop.md names no command and no option that does not exist."""

import re
import shlex

import pytest
from django.core.management import get_commands, load_command_class

from tests.databases import CHECKOUT

pytestmark = pytest.mark.sqlite  # the page is the same on every database

PAGE = (CHECKOUT / "docs/operate/shop.md").read_text()
# What stands behind manage.py, to the end of the line or of the code in it; $(...) is one word.
COMMANDS = re.findall(r"manage\.py ([^`\n]+)", re.sub(r"\$\([^)]*\)", "x", PAGE))


def test_the_page_has_commands():
    assert {line.split()[0] for line in COMMANDS} == {
        "backupshop", "checkledger", "createkey", "moveshop", "restoreshop",
    }  # fmt: skip


@pytest.mark.parametrize("line", COMMANDS)
def test_command_takes_what_the_page_gives_it(line):
    name, *arguments = shlex.split(line)
    load_command_class(get_commands()[name], name).create_parser("manage.py", name).parse_args(
        arguments
    )
