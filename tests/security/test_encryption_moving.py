"""A shop's contact and its key: in a backup, on another computer, on the way into a chain."""

import io

import pytest
from django.core.management import CommandError, call_command

from inventory_project.keyring import LOCAL_KEYS_NAME
from inventory_project.rotation import count_by_key
from orders.moving import CannotMove, Wish, plan_move
from stores.contacts import read_contact
from stores.models import Store
from tests import shop
from tests.databases import unchanged
from tests.security.keys import SANA, draw_key

# SQLite files are copied whatever the chain's database is; a move is into both.
MAKE_SHOP = """
import tests.shop_work as work; work.main(5)
from stores import registry; from stores.models import Store; from tests.security.keys import SANA
registry.change_store(Store.objects.get(), contact=SANA)
"""
SHOW = """
from stores.contacts import read_contact; from stores.models import Store
print(read_contact(Store.objects.get()).name)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A shop with somebody to call, made once."""
    local = tmp_path_factory.mktemp("made")
    done = shop.manage(local, "shell", "-v", "0", "-c", MAKE_SHOP, FIELD_KEYS="")
    assert done.returncode == 0, done.stderr
    return local


@pytest.fixture
def local(made, tmp_path, settings):
    """A folder with a shop and its key file, beside a chain that has keys of its own."""
    for name in ("shop.sqlite3", LOCAL_KEYS_NAME):
        (tmp_path / name).write_bytes((made / name).read_bytes())
        (tmp_path / name).chmod(0o600)
    settings.IS_DATABASE_NAMED = True
    settings.FIELD_KEYS = draw_key("chain")
    return tmp_path


def move(local, *arguments):
    out = io.StringIO()
    file = str(local / "shop.sqlite3")
    call_command("moveshop", "--from", file, "--code", "LHR-01", *arguments, stdout=out)
    return out.getvalue()


def key_id(local, name=LOCAL_KEYS_NAME):
    return (local / name).read_text().partition(":")[0]


def test_contact_comes_along_and_is_sealed_with_the_keys_of_the_chain(committed, local):
    move(local)
    assert read_contact(Store.objects.get(code="LHR-01")) == SANA
    assert count_by_key() == {"chain": 1}


def test_key_file_is_named_where_it_lies_elsewhere(committed, local):
    (local / LOCAL_KEYS_NAME).rename(local / "elsewhere")
    with unchanged(), pytest.raises(CommandError) as refused:
        move(local, "--dry-run")
    assert f"It was sealed with the key {key_id(local, 'elsewhere')}" in str(refused.value)
    assert "Name the key file of the shop with --field-keys" in str(refused.value)
    assert "Nothing was changed." in str(refused.value)
    move(local, "--field-keys", str(local / "elsewhere"))
    assert read_contact(Store.objects.get(code="LHR-01")) == SANA


def test_shop_and_chain_may_have_given_their_keys_the_same_name(committed, local, settings):
    """The manual tells both of them to begin with `k1`."""
    settings.FIELD_KEYS = draw_key(key_id(local))
    move(local)
    moved = Store.objects.get(code="LHR-01")
    assert read_contact(moved) == SANA
    assert count_by_key() == {key_id(local): 1}


@pytest.mark.parametrize("what", ["missing", "open", "wrong"])
def test_keys_that_do_not_fit_stop_the_move(committed, local, what):
    keys = local / LOCAL_KEYS_NAME
    if what == "missing":
        keys.unlink()
    elif what == "open":
        keys.chmod(0o644)
    else:
        keys.write_text(draw_key(key_id(local)))
    before = (local / "shop.sqlite3").read_bytes()
    with unchanged(), pytest.raises(CannotMove, match="The shop's contact cannot be read"):
        plan_move(
            file=local / "shop.sqlite3",
            wish=Wish(code="LHR-01", field_keys=None if what == "missing" else keys),
        )
    assert (local / "shop.sqlite3").read_bytes() == before


@pytest.mark.sqlite
def test_backup_holds_no_key_and_says_where_it_is(local):
    copy = local / "copy.sqlite3"
    done = shop.manage(local, "backupshop", str(copy), FIELD_KEYS="")
    assert done.returncode == 0
    assert (
        f"Contacts in it are sealed with {key_id(local)}, which is not in it: "
        f"keep {local / LOCAL_KEYS_NAME} elsewhere, too." in done.stdout
    )
    stored = copy.read_bytes()
    for secret in ((local / LOCAL_KEYS_NAME).read_text().partition(":")[2].strip(), "Sana Mirza"):
        assert secret.encode() not in stored


@pytest.mark.sqlite
def test_backup_on_another_computer_says_which_key_is_missing(local, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    done = shop.manage(other, "restoreshop", str(local / "shop.sqlite3"), FIELD_KEYS="")
    assert done.returncode == 0
    assert (
        f"Contacts in it are sealed with {key_id(local)}, which is not here: add the" in done.stderr
    )
    shown = shop.manage(other, "shell", "-v", "0", "-c", SHOW, FIELD_KEYS="")
    assert shown.returncode == 1
    assert f"It was sealed with the key {key_id(local)}, which is not here" in shown.stderr
    with (other / LOCAL_KEYS_NAME).open("a") as keys:
        keys.write((local / LOCAL_KEYS_NAME).read_text())
    again = shop.manage(other, "rotatekeys", FIELD_KEYS="")
    assert "1 rows looked at, 1 sealed anew with local-" in again.stdout
