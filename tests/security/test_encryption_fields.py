"""Personal fields: sealed by a key outside the database, readable in their own place only."""

import itertools

import pytest
from django.core.exceptions import ImproperlyConfigured

from inventory_project.keyring import (
    LOCAL_KEYS_NAME,
    KeyRing,
    Unreadable,
    get_keyring,
    read_key_id,
    read_keys,
)
from stores import registry
from stores.contacts import Contact, find_stores, read_contact
from stores.models import Store, StoreContact, normalise_phone
from tests.make import make_store
from tests.security.keys import SANA, draw_key, read_everything

PARTS = Contact._fields
PLACE = b"table\x1fcolumn\x1f1"


@pytest.fixture
def keys(settings):
    """Sets the keys of this process."""

    def set_keys(*entries):
        settings.FIELD_KEYS = ",".join(entries)

    set_keys(draw_key("k1"))
    return set_keys


@pytest.fixture
def called(db, keys):
    """Two stores with a contact each."""
    other = Contact("Bilal Khan", "042 999 888", "bilal@example.org")
    return make_store("LHR-01", contact=SANA), make_store("KHI-02", contact=other)


def column(name, store):
    return bytes(StoreContact.objects.values_list(name, flat=True).get(store=store))


def test_what_is_written_is_read(called):
    assert read_contact(called[0]) == SANA
    assert read_contact(called[1]).name == "Bilal Khan"


def test_database_holds_none_of_it(called):
    everything = read_everything().casefold()
    for word in ("sana", "mirza", "111 222 333", "9242111222333", "bilal", "999 888", "999888"):
        assert word not in everything
    assert "LHR-01".casefold() in everything  # the reader does read


def test_same_text_is_never_sealed_the_same_twice(keys):
    ring = get_keyring()
    assert len({ring.seal("Sana", PLACE) for _ in range(1_000)}) == 1_000


def test_what_an_earlier_release_has_sealed_stays_readable():
    """Written down once: whoever changes how values are sealed loses what is in the databases."""
    ring = KeyRing({"k1": bytes(range(32))})
    sealed = bytes.fromhex(
        "01026b315e190e172f21a12940344a86052b175598ab51b2450956095284f62cb3258dd5"
    )
    assert ring.unseal(sealed, PLACE) == "Sana"
    assert ring.index("+9242", PLACE).hex() == "83d2e7bd19e233f2d8a0f5ebb639b234"


def test_ciphertext_says_its_key(called):
    assert {read_key_id(column(part, called[0])) for part in PARTS} == {"k1"}
    assert StoreContact.objects.first().find_key_ids() == {"k1"}


@pytest.mark.parametrize("part", PARTS)
def test_value_of_another_row_cannot_be_read(called, part):
    lahore, karachi = called
    mine, theirs = column(part, lahore), column(part, karachi)
    StoreContact.objects.filter(store=lahore).update(**{part: theirs})
    StoreContact.objects.filter(store=karachi).update(**{part: mine})
    for store in called:
        with pytest.raises(Unreadable, match="not written there"):
            read_contact(store)


@pytest.mark.parametrize(("part", "other"), list(itertools.permutations(PARTS, 2)))
def test_value_of_another_column_cannot_be_read(called, part, other):
    StoreContact.objects.filter(store=called[0]).update(**{part: column(other, called[0])})
    with pytest.raises(Unreadable, match="not written there"):
        read_contact(called[0])


def test_no_changed_byte_is_read(keys):
    ring = get_keyring()
    sealed = ring.seal("Sana", PLACE)
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(Unreadable):
            ring.unseal(bytes(changed), PLACE)
    for length in range(len(sealed)):
        with pytest.raises(Unreadable):
            ring.unseal(sealed[:length], PLACE)


def test_wrong_key_of_the_same_name_raises(called, keys):
    keys(draw_key("k1"))
    with pytest.raises(Unreadable, match="The key k1 here is not the one that sealed it"):
        read_contact(called[0])


def test_missing_key_raises_and_says_which_one(called, keys):
    keys(draw_key("k2"))
    with pytest.raises(Unreadable, match="key k1, which is not here: add it to FIELD_KEYS"):
        read_contact(called[0])


def test_first_key_writes_and_all_read(called, keys, settings):
    old = settings.FIELD_KEYS
    keys(draw_key("k2"), old)
    assert read_contact(called[0]) == SANA
    registry.change_store(called[0], contact=SANA._replace(name="Sana M."))
    assert StoreContact.objects.get(store=called[0]).find_key_ids() == {"k2"}
    assert StoreContact.objects.get(store=called[1]).find_key_ids() == {"k1"}
    assert read_contact(called[0]).name == "Sana M."


def test_unreadable_contact_can_be_written_over(called, keys):
    keys(draw_key("k2"))
    registry.change_store(called[0], contact=SANA)
    assert read_contact(called[0]) == SANA


def test_empty_contact_leaves_no_row(called):
    registry.change_store(called[0], contact=Contact())
    assert read_contact(called[0]) == Contact()
    assert list(StoreContact.objects.values_list("store", flat=True)) == [called[1].pk]


# --- found again ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "phone", ["+92 42 111 222 333", "0092-42-111222333", "+92 (0)42 111 222 333", "+9242111222333"]
)
def test_store_is_found_by_the_number_however_it_is_written(called, phone):
    assert list(find_stores(phone=phone)) == [called[0].pk]


@pytest.mark.parametrize("email", ["sana.mirza@example.org", "SANA.MIRZA@EXAMPLE.ORG"])
def test_store_is_found_by_the_address_however_it_is_written(called, email):
    assert list(find_stores(email=email)) == [called[0].pk]


def test_part_of_a_number_and_nothing_find_nothing(called):
    for phone in ("111222333", "+9242", "", "+", "x"):
        assert list(find_stores(phone=phone)) == []
    assert list(find_stores(phone="sana.mirza@example.org")) == []
    assert list(find_stores()) == []


def test_two_stores_with_one_number_are_both_found_in_any_age_of_key(called, keys, settings):
    keys(draw_key("k2"), settings.FIELD_KEYS)
    registry.change_store(called[1], contact=SANA)
    assert set(find_stores(phone=SANA.phone)) == {store.pk for store in called}


def test_index_is_of_its_column_and_of_its_key(keys):
    ring, other = get_keyring(), read_keys(draw_key("k1"), "here")
    values = {
        ring.index("1", b"a"), ring.index("1", b"b"), ring.index("2", b"a"), other.index("1", b"a"),
    }  # fmt: skip
    assert len(values) == 4
    assert ring.index("1", b"a") == ring.index("1", b"a")


def test_numbers_are_written_one_way():
    assert normalise_phone("00 92 (0)42-111") == normalise_phone("+92 42 111") == "+9242111"
    assert normalise_phone("042 111") == "042111"


# --- where keys come from -------------------------------------------------------------------


def test_desk_makes_itself_a_key_that_only_its_owner_reads(settings, tmp_path):
    settings.FIELD_KEYS, settings.FIELD_KEYS_FILE, settings.LOCAL_DIR = "", "", tmp_path
    ring = get_keyring()
    path = tmp_path / LOCAL_KEYS_NAME
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().startswith(f"{ring.writing_id}:")
    assert [found.name for found in tmp_path.iterdir()] == [LOCAL_KEYS_NAME]


def test_file_of_lines_is_read_and_its_mode_looked_at(settings, tmp_path):
    path = tmp_path / "keys"
    path.write_text(f"{draw_key('new')}\n{draw_key('old')}\n")
    settings.FIELD_KEYS, settings.FIELD_KEYS_FILE = "", str(path)
    for mode in (0o644, 0o604, 0o660, 0o620):
        path.chmod(mode)
        with pytest.raises(ImproperlyConfigured, match=f"mode {mode:o}.*chmod 600"):
            get_keyring()
    path.chmod(0o640)
    assert (get_keyring().writing_id, get_keyring().key_ids) == ("new", ["new", "old"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no key"), ("k1", "is not 32 bytes"), ("k1:AAAA", "is not 32 bytes"),
        ("k1:!" + "A" * 43, "is not 32 bytes"), (":" + "A" * 43 + "=", "has no id"),
        ("k 1:" + "A" * 43 + "=", "is not 32 bytes"), ("ü:" + "A" * 43 + "=", "has no id"),
        ("k1:" + "A" * 43 + "=,k1:" + "B" * 42 + "A=", "the id k1 a second time"),
    ],
)  # fmt: skip
def test_keys_that_make_no_sense_are_refused_and_not_repeated(text, said):
    with pytest.raises(ImproperlyConfigured, match=said) as refused:
        read_keys(text, "FIELD_KEYS")
    assert "AAAA" not in str(refused.value)


def test_both_places_at_once_are_refused(settings, keys, tmp_path):
    settings.FIELD_KEYS_FILE = str(tmp_path / "keys")
    with pytest.raises(ImproperlyConfigured, match="not both"):
        get_keyring()


def test_ring_of_another_place_reads_behind_ours(keys):
    ours, theirs = get_keyring(), read_keys(draw_key("shop"), "here")
    joined = ours.with_others(theirs)
    assert joined.unseal(theirs.seal("Sana", PLACE), PLACE) == "Sana"
    assert joined.writing_id == "k1"
    assert joined.key_ids == ["k1", "shop"]


def test_no_key_is_stored(called, settings):
    _, _, encoded = settings.FIELD_KEYS.partition(":")
    assert encoded not in read_everything()
    assert Store.objects.count() == 2
