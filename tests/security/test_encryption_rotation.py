"""`manage.py rotatekeys`: while others write, ended anywhere, and at its end nothing is left."""

import io
import os
import random
import signal
import threading
from collections import Counter
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection, connections

from inventory_project import failpoints
from inventory_project.keyring import Unreadable
from inventory_project.rotation import ROWS_PER_TRANSACTION, count_by_key, rotate
from stores import registry
from stores.contacts import find_stores, read_contact
from stores.models import Store, StoreContact
from tests.security.keys import SANA, draw_key, make_stores, read_everything

KILLS = 20
STORES = 120
WRITES_MIN, RESEALED_MIN = 40, 200
OLD, NEW = draw_key("k1"), draw_key("k2")


@pytest.fixture
def old_key(settings):
    settings.FIELD_KEYS = OLD


def read_all():
    return {store.code: read_contact(store) for store in Store.objects.all()}


def run(*arguments):
    """(exit code, what it said) of the command in this process."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("rotatekeys", *arguments, stdout=out, stderr=err)
    except SystemExit as ended:
        return ended.code, out.getvalue() + err.getvalue()
    return 0, out.getvalue() + err.getvalue()


def die_at_row(number):
    """The command in a process of its own, which is killed at so many rows."""
    connections.close_all()
    pid = os.fork()
    if not pid:
        failpoints.arm_from_environment(f"mid_rotation:{number}")
        run()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status


def test_killed_at_random_rows_every_row_stays_readable_and_the_next_run_goes_on(
    committed, settings, old_key
):
    made = make_stores(STORES)
    settings.FIELD_KEYS = f"{NEW},{OLD}"
    seed = random.randrange(2**32)
    lot, mixed, before = random.Random(seed), 0, 0
    for kill in range(KILLS):
        die_at_row(lot.randint(1, STORES))
        in_use = count_by_key()
        assert read_all() == made, f"seed {seed}, kill {kill}"
        assert in_use["k2"] >= before, f"seed {seed}, kill {kill}"
        before, mixed = in_use["k2"], mixed + (len(in_use) == 2)
    print(f"seed {seed}: {KILLS} kills, rows of both keys after {mixed}, {before} of {STORES} new")
    code, said = run()
    assert (code, read_all()) == (0, made)
    assert count_by_key() == {"k2": STORES}
    assert f"{STORES} rows looked at, {STORES - before} sealed anew with k2." in said
    assert f"In use: k2, {STORES} rows." in said and "Not in use: k1." in said
    settings.FIELD_KEYS = NEW
    assert read_all() == made
    assert list(find_stores(phone=made["C007"].phone)) == [Store.objects.get(code="C007").pk]
    assert_no_canary()


def assert_no_canary():
    """Neither in what a dump would have nor, on SQLite, in any byte of its files."""
    everything = read_everything()
    assert "C007" in everything  # it does find what is there
    assert "canary" not in everything and "9230000000" not in everything
    if connection.vendor == "sqlite":
        path = Path(connection.settings_dict["NAME"])
        stored = b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
        assert b"C007" in stored
        assert b"canary" not in stored and b"9230000000" not in stored


def test_rows_of_a_killed_batch_are_of_one_key_each(committed, settings, old_key):
    make_stores(ROWS_PER_TRANSACTION + 5)
    settings.FIELD_KEYS = f"{NEW},{OLD}"
    die_at_row(ROWS_PER_TRANSACTION + 3)
    assert count_by_key() == {"k2": ROWS_PER_TRANSACTION, "k1": 5}
    for row in StoreContact.objects.all():
        assert len(row.find_key_ids()) == 1


def test_what_is_written_meanwhile_is_not_overwritten(committed, settings, old_key):
    make_stores(60)
    settings.FIELD_KEYS = f"{NEW},{OLD}"
    written, done = [], threading.Event()

    def write():
        lot = random.Random(7)
        while not done.is_set():
            store = Store.objects.get(code=f"C{lot.randrange(60):03}")
            contact = SANA._replace(name=f"written {len(written)}")
            registry.change_store(store, contact=contact)
            written.append((store.code, contact))
        connections.close_all()

    writer = threading.Thread(target=write)
    writer.start()
    resealed = 0
    while (len(written) < WRITES_MIN or resealed < RESEALED_MIN) and writer.is_alive():
        # To and fro, so that there is always something to do.
        settings.FIELD_KEYS = ",".join(reversed(settings.FIELD_KEYS.split(",")))
        resealed += rotate().resealed
    done.set()
    writer.join()
    assert len(written) >= WRITES_MIN
    now, last = read_all(), dict(written)
    assert {code: now[code] for code in last} == last


def test_second_run_writes_nothing(committed, settings, old_key):
    make_stores(3)
    before = read_everything()
    code, said = run()
    assert code == 0 and "3 rows looked at, 0 sealed anew with k1." in said
    assert read_everything() == before


def test_what_cannot_be_read_is_named_and_left_as_it_is(committed, settings, old_key):
    made = make_stores(2)
    settings.FIELD_KEYS = draw_key("lost")
    lost = registry.register_store(code="LOST", name="A shop", contact=SANA)
    stored = StoreContact.objects.values().get(store=lost)
    settings.FIELD_KEYS = f"{NEW},{OLD}"
    code, said = run()
    assert code == 1
    assert "Contact of LOST A shop: It was sealed with the key lost, which is not here" in said
    assert "1 rows cannot be read and stay as they are" in said
    assert "Sana" not in said and "canary" not in said
    assert StoreContact.objects.values().get(store=lost) == stored
    assert {code: read_contact(Store.objects.get(code=code)) for code in made} == made
    assert count_by_key() == Counter({"k2": 2, "lost": 1})
    with pytest.raises(Unreadable):
        read_contact(lost)


def test_nothing_sealed_yet_is_said_so(committed, settings, old_key):
    settings.FIELD_KEYS = f"{NEW},{OLD}"
    code, said = run()
    assert (code, said.splitlines()[0]) == (0, "0 rows looked at, 0 sealed anew with k2.")
