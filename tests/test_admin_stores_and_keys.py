"""Stores are registered, changed, retired; keys are shown once and revoked at once."""

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session

from stores.models import TILL_SCOPES, Store, StoreKey, StoresHead
from tests import make, office

pytestmark = pytest.mark.django_db

STORES = "/admin/stores/store/"
KEYS = "/admin/stores/storekey/"
STORE = {
    "code": "LHR-01", "name": "Kiryana Lahore", "address": "Mall Road",
    "timezone": "Asia/Karachi", "currency": "PKR", "negative_stock": "",
}  # fmt: skip


@pytest.fixture
def head():
    return office.head_of_chain()


def key_form(name="till 1", store="", date="", time="", may=TILL_SCOPES):
    times = {"expires_at_0": date, "expires_at_1": time}
    return {"name": name, "store": store, "may": [str(scope) for scope in may]} | times


def read_credential(response):
    return re.search(r'id="credential"[^>]*>([^<]+)<', response.content.decode()).group(1)


def test_a_store_is_registered_and_changed_with_a_new_version_each(head):
    assert head.post(f"{STORES}add/", STORE).status_code == 302
    store = Store.objects.get()
    assert (store.code, store.address, store.version) == ("LHR-01", "Mall Road", 1)
    head.post(f"{STORES}{store.pk}/change/", STORE | {"name": "Kiryana Mall"})
    store.refresh_from_db()
    assert (store.name, store.version, StoresHead.objects.get().version) == ("Kiryana Mall", 2, 2)


def test_saving_a_store_without_a_change_makes_no_version(head):
    store = make.make_store("LHR-01", name="A")
    head.post(f"{STORES}{store.pk}/change/", STORE | {"name": "A", "address": ""})
    store.refresh_from_db()
    assert store.version == 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"code": "a b"}, "Use 1 to 32 of A-Z"),
        ({"code": "current"}, "Use 1 to 32 of A-Z"),
        ({"timezone": "Karachi"}, "time zone name"),
        ({"currency": "pkr"}, "three capital letters"),
        ({"name": "a\x00b"}, "ull characters are not allowed"),
        ({"code": "TAKEN"}, "already exists"),
    ],
)
def test_a_wrong_store_is_refused_and_not_stored(head, fields, says):
    make.make_store("TAKEN")
    answer = head.post(f"{STORES}add/", STORE | fields)
    assert answer.status_code == 200
    assert says in office.text_of(answer)
    assert Store.objects.count() == 1


def test_a_forged_post_cannot_change_the_code_of_a_store(head):
    store = make.make_store("LHR-01")
    head.post(f"{STORES}{store.pk}/change/", STORE | {"code": "XXX"})
    store.refresh_from_db()
    assert store.code == "LHR-01"


def test_a_store_is_retired_and_opened_again_after_a_question(head, till, lahore):
    head.get(f"{STORES}{lahore.pk}/retire/")
    assert till.get("/api/stores/current/").status_code == 200
    head.post(f"{STORES}{lahore.pk}/retire/")
    assert till.get("/api/stores/current/").status_code == 401
    head.post(f"{STORES}{lahore.pk}/restore/")
    assert till.get("/api/stores/current/").status_code == 200


def test_neither_stores_nor_keys_are_ever_deleted(head, till, lahore):
    key = StoreKey.objects.get()
    for address, pk in ((STORES, lahore.pk), (KEYS, key.pk)):
        assert head.post(f"{address}{pk}/delete/", {"post": "yes"}).status_code == 403
        head.post(address, {"action": "delete_selected", "_selected_action": [pk], "post": "yes"})
    assert (Store.objects.count(), StoreKey.objects.count()) == (1, 1)


def test_a_new_key_works_and_its_secret_is_shown_once(head, lahore):
    answer = head.post(f"{KEYS}add/", key_form(store=lahore.pk))
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    credential = read_credential(answer)
    key = StoreKey.objects.get()
    assert (key.name, key.store) == ("till 1", lahore)
    assert make.Api(credential).get("/api/stores/current/").status_code == 200
    secret = credential.partition(".")[2]
    for address in (KEYS, f"{KEYS}{key.pk}/change/", f"{KEYS}{key.pk}/history/", "/admin/"):
        assert secret not in head.get(address).content.decode()


def test_the_secret_is_left_in_no_session_cookie_or_log(head, lahore):
    answer = head.post(f"{KEYS}add/", key_form(store=lahore.pk))
    credential = read_credential(answer)
    secret = credential.partition(".")[2]
    stored = [str(Session.objects.get(pk=s.pk).get_decoded()) for s in Session.objects.all()]
    stored += [f"{e.object_repr} {e.change_message}" for e in LogEntry.objects.all()]
    stored += [cookie.OutputString() for cookie in answer.cookies.values()]
    stored += [cookie.OutputString() for cookie in head.cookies.values()]
    stored += [str(vars(StoreKey.objects.get()))]
    assert len(stored) > 3
    assert not [text for text in stored if secret in text]


def test_a_key_of_head_office_and_one_with_an_end(head, lahore):
    credential = read_credential(head.post(f"{KEYS}add/", key_form(name="office")))
    assert make.Api(credential).get("/api/stores/LHR-01/").status_code == 200
    head.post(f"{KEYS}add/", key_form(name="guest", date="2199-01-01", time="00:00:00"))
    assert StoreKey.objects.get(name="guest").expires_at.isoformat() == "2199-01-01T00:00:00+00:00"


def test_a_key_that_would_have_ended_already_is_refused(head):
    answer = head.post(f"{KEYS}add/", key_form(date="2001-01-01", time="00:00:00"))
    assert "must be in the future" in office.text_of(answer)
    assert not StoreKey.objects.exists()


def test_a_revoked_key_is_refused_at_its_next_request(head, till):
    key = StoreKey.objects.get()
    head.get(f"{KEYS}{key.pk}/revoke/")
    assert till.get("/api/stores/current/").status_code == 200
    assert head.post(f"{KEYS}{key.pk}/revoke/").status_code == 302
    assert till.get("/api/stores/current/").status_code == 401


def test_a_key_is_never_edited(head, till):
    key = StoreKey.objects.get()
    assert head.post(f"{KEYS}{key.pk}/change/", key_form(name="other")).status_code == 403
    key.refresh_from_db()
    assert key.name == "till"


def test_the_hash_of_a_secret_cannot_be_asked_letter_by_letter(head, till):
    answer = head.get(KEYS, {"secret_sha256__startswith": "a"})
    assert answer.status_code == 400


def test_staff_of_a_store_issues_and_revokes_keys_of_their_store_only(lahore, karachi, till):
    make.make_device(karachi)
    make.make_head_office()
    staff = office.sign_in(office.make_staff(lahore))
    assert len(office.rows_of(staff.get(KEYS))) == 1
    for foreign in StoreKey.objects.exclude(store=lahore):
        assert staff.post(f"{KEYS}{foreign.pk}/revoke/").status_code == 404
    for store in (karachi.pk, ""):
        assert staff.post(f"{KEYS}add/", key_form(store=store)).status_code == 200
    assert StoreKey.objects.count() == 3
    assert StoreKey.objects.filter(revoked_at__isnull=False).count() == 0
    credential = read_credential(staff.post(f"{KEYS}add/", key_form(store=lahore.pk)))
    assert make.Api(credential).get("/api/stores/KHI-02/").status_code == 404
    staff.post(f"{KEYS}{StoreKey.objects.get(store=lahore, name='till').pk}/revoke/")
    assert till.get("/api/stores/current/").status_code == 401


def test_staff_without_the_permission_issues_and_revokes_nothing(lahore, till):
    staff = office.sign_in(office.make_staff(lahore, permissions=["view_storekey"]))
    key = StoreKey.objects.get()
    assert staff.get(KEYS).status_code == 200
    assert staff.post(f"{KEYS}add/", key_form(store=lahore.pk)).status_code == 403
    assert staff.post(f"{KEYS}{key.pk}/revoke/").status_code == 403
    key.refresh_from_db()
    assert (StoreKey.objects.count(), key.revoked_at) == (1, None)


def test_staff_of_a_store_sees_their_store_and_changes_no_store(lahore, karachi):
    staff = office.sign_in(office.make_staff(lahore))
    assert [row.split()[0] for row in office.rows_of(staff.get(STORES))] == ["LHR-01"]
    assert staff.get(f"{STORES}{karachi.pk}/change/").status_code == 302
    assert staff.post(f"{STORES}{lahore.pk}/change/", STORE | {"name": "X"}).status_code == 403
    assert staff.post(f"{STORES}{lahore.pk}/retire/").status_code == 403
    assert staff.post(f"{STORES}add/", STORE | {"code": "NEW"}).status_code == 403
    assert Store.objects.filter(name="X").count() == 0
