"""What script/server makes in a shop's database, start after start."""

import pytest

from script.first_access import ensure_access
from stores import registry
from stores.models import Store, StoreKey

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def shop(settings):
    settings.SHOP = True


def test_a_new_shop_gets_its_store_and_keeps_it():
    first = ensure_access({})
    assert first["store"] == "SHOP"
    assert ensure_access(first) == first
    assert Store.objects.count() == 1


def test_a_shop_whose_store_is_retired_starts_all_the_same():
    first = ensure_access({})
    registry.retire_store(Store.objects.get())
    second = ensure_access(first)
    assert (second["store"], second["store_key"]) == (None, None)
    assert second["admin_password"] == first["admin_password"]
    assert Store.objects.count() == 1


def test_a_shop_whose_store_is_retired_gets_no_new_head_office_key():
    """Its store was moved into a chain: with such a key the old file would sell on."""
    first = ensure_access({})
    store = Store.objects.get()
    registry.retire_store(store)
    StoreKey.objects.update(revoked_at=store.created_at)
    keys = StoreKey.objects.count()
    assert ensure_access(first)["head_office_key"] is None
    assert StoreKey.objects.count() == keys


def test_head_office_of_a_chain_has_its_key_without_any_open_store(settings):
    settings.SHOP = False
    assert ensure_access({})["head_office_key"] is not None
