"""A key is followed by another: both work for some hours, then the old one ends by itself."""

import io
import json
import re
from datetime import timedelta

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command
from django.utils import timezone as clock

from stores import registry
from stores.models import Scope, StoreKey
from tests import office
from tests.databases import unchanged
from tests.make import Api
from tests.test_admin_stores_and_keys import KEYS, read_credential

pytestmark = pytest.mark.django_db
CURRENT = "/api/stores/current/"
HOUR = timedelta(hours=1)


@pytest.fixture
def old(lahore):
    return registry.issue_key(name="till 1", store=lahore, scopes=[Scope.SALES_WRITE])


def status(issued):
    return Api(issued.credential).get(CURRENT).status_code


def test_both_open_until_the_overlap_is_over(old):
    new = registry.rotate_key(old.key)
    assert (status(old), status(new)) == (200, 200)
    with time_machine.travel(clock.now() + 23 * HOUR, tick=False):
        assert (status(old), status(new)) == (200, 200)
    with time_machine.travel(clock.now() + 25 * HOUR, tick=False):
        assert (status(old), status(new)) == (401, 200)


def test_new_key_may_do_the_same_and_says_whom_it_follows(old, lahore):
    new = registry.rotate_key(old.key).key
    assert (new.store, new.name, new.scopes) == (lahore, "till 1", "sales:write")
    assert (new.replaces, new.expires_at) == (old.key, None)
    assert new.secret_sha256 != old.key.secret_sha256


def test_no_overlap_ends_the_old_one_at_once(old):
    new = registry.rotate_key(old.key, overlap=timedelta(0))
    assert (status(old), status(new)) == (401, 200)


def test_key_with_an_end_never_lives_longer_by_it_and_its_successor_lives_as_long(lahore):
    ends = clock.now() + HOUR
    old = registry.issue_key(name="guest", store=lahore, expires_at=ends)
    new = registry.rotate_key(old.key, overlap=24 * HOUR)
    old.key.refresh_from_db()
    assert old.key.expires_at == ends
    assert timedelta(0) <= new.key.expires_at - ends < timedelta(minutes=1)


def test_what_opens_nothing_or_is_followed_already_is_not_rotated(old, lahore, karachi):
    registry.rotate_key(old.key)
    revoked = registry.issue_key(name="r", store=lahore).key
    registry.revoke_key(revoked)
    retired = registry.issue_key(name="c", store=karachi).key
    registry.retire_store(karachi)
    for key in (old.key, revoked, retired):
        with unchanged(), pytest.raises(registry.KeyNotRotated):
            registry.rotate_key(key)


def test_command_prints_the_new_key_once(old):
    out, err = io.StringIO(), io.StringIO()
    call_command("rotatekey", old.key.prefix, "--hours", "2", stdout=out, stderr=err)
    assert Api(out.getvalue().strip()).get(CURRENT).status_code == 200
    old.key.refresh_from_db()
    assert abs(old.key.expires_at - clock.now() - 2 * HOUR) < timedelta(minutes=1)
    assert f"The old key {old.key.prefix} ends at" in err.getvalue()
    out = io.StringIO()
    newest = StoreKey.objects.get(replaces=old.key)
    call_command("rotatekey", newest.prefix, "--json", stdout=out)
    assert json.loads(out.getvalue())["replaces"] == newest.prefix


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nobody"], "There is no key that begins so"),
        (["PREFIX", "--hours", "-1"], "--hours takes 0 to 2160"),
        (["PREFIX", "--hours", "2161"], "--hours takes 0 to 2160"),
    ],
)
def test_bad_input_is_one_sentence_and_no_key(old, arguments, sentence):
    words = [old.key.prefix if word == "PREFIX" else word for word in arguments]
    with unchanged(), pytest.raises(CommandError, match=sentence):
        call_command("rotatekey", *words)


def test_whole_key_typed_by_mistake_is_not_repeated(old):
    with pytest.raises(CommandError) as error:
        call_command("rotatekey", old.credential)
    assert old.credential.partition(".")[2] not in str(error.value)


def test_page_asks_then_shows_the_new_key_once_and_links_both(old):
    head = office.head_of_chain()
    page = f"{KEYS}{old.key.pk}/rotate/"
    with unchanged():
        assert head.get(page).status_code == 200
        assert head.post(page, {"hours": "-1"}).status_code == 200
        assert head.post(page, {"hours": "2161"}).status_code == 200
    answer = head.post(page, {"hours": "24"})
    assert "no-store" in answer["Cache-Control"]
    credential = read_credential(answer)
    assert Api(credential).get(CURRENT).status_code == 200
    new = StoreKey.objects.get(replaces=old.key)
    told = head.get(f"{KEYS}{old.key.pk}/change/").content.decode()
    assert re.search(rf'href="{KEYS}{new.pk}/change/">{new.prefix}', told)
    assert new.prefix in LogEntry.objects.get().change_message
    assert credential.partition(".")[2] not in str(vars(LogEntry.objects.get()))
    assert f"{old.key.pk}/rotate/" not in told
    again = head.post(page, {"hours": "24"}, follow=True)
    assert "has been rotated already" in office.text_of(again)
    assert StoreKey.objects.count() == 2
