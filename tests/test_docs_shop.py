"""docs/operate/shop.md is true: its commands exist, and do what it says when they are run."""

import re
import shlex

import pytest
from django.core.management import get_commands, load_command_class
from django.db import connection

from stock.checking import check_ledger
from stores.models import Store
from tests import shop
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


def test_the_commands_of_the_page_lead_from_a_shop_into_a_chain(committed, tmp_path):
    """One after another, with folders and the chain's database of this test in their place."""
    shop.make_shop(tmp_path, sales=60)
    chain = {"SHOP": "", "DATABASE_URL": f"sqlite:///{connection.settings_dict['NAME']}"}

    def run(line):
        line = re.sub("/media/(stick|backup)/", f"{tmp_path}/copy-", line)
        name, *arguments = shlex.split(line.replace("/path/to/", f"{tmp_path}/"))
        done = shop.manage(tmp_path, name, *arguments, **(chain if name == "moveshop" else {}))
        assert done.returncode == 0, (line, done.stderr)
        return done.stdout

    said = [run(line) for line in COMMANDS if "…" not in line]
    assert said[-1].endswith("Dry run, nothing was changed; this is what would move.\n")
    assert not Store.objects.exists()
    run(COMMANDS[-1].removesuffix("--dry-run"))  # "the same command without"
    assert check_ledger(store=Store.objects.get(code="LHR-01")).is_sound
    assert {path.name for path in tmp_path.glob("copy-*")} == {
        "copy-shop.sqlite3", "copy-shop-x.sqlite3",
    }  # fmt: skip
