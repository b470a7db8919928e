"""Log-ins, failures, log-outs and refusals are noted, and nobody can fill the disk with them."""

import json

import pytest
from django.db import DatabaseError
from django.test import Client

from accounts import access, audit
from accounts.models import AuditEntry
from inventory_project.doors import Sent
from orders import accepting, gathering
from stores import registry
from stores.models import Scope
from tests import make, office
from tests.make import Api, new_id

pytestmark = pytest.mark.django_db

LOG_IN = "/admin/login/"
PASSWORD = "correct horse battery"


@pytest.fixture
def minutes(monkeypatch):
    """A clock that is put on by hand."""
    clock = [1_000.0]
    monkeypatch.setattr(access.time, "monotonic", lambda: clock[0])
    access.bounded.looked_at = 0

    def pass_by(seconds):
        clock[0] += seconds

    yield pass_by
    access.bounded.looked_at = 0


def entries(action):
    return list(AuditEntry.objects.filter(action=action).order_by("id"))


def log_in(client, username, password=PASSWORD):
    return client.post(LOG_IN, {"username": username, "password": password, "next": "/admin/"})


def test_a_log_in_and_a_log_out_are_noted():
    sana = make.make_user("sana", is_staff=True)
    client = Client()
    answer = log_in(client, "sana")
    (entry,) = entries("log_in.done")
    assert (entry.actor_kind, entry.actor, entry.actor_id) == ("person", "sana", sana.pk)
    assert (entry.object_type, entry.object_name, entry.address) == ("person", "sana", "127.0.0.1")
    assert entry.request_id == answer["X-Request-ID"]
    client.post("/admin/logout/")
    assert [entry.actor for entry in entries("log_out.done")] == ["sana"]


def test_a_failed_log_in_names_the_account_and_never_what_was_typed():
    make.make_user("sana", is_staff=True)
    log_in(Client(), "sana", "wrong password")
    log_in(Client(), "a password in the wrong field")
    known, unknown = entries("log_in.failed")
    assert (known.object_name, known.actor_kind, known.address) == ("sana", "nobody", "127.0.0.1")
    assert (unknown.object_name, unknown.object_id) == ("(no such account)", "")
    everything = str(list(AuditEntry.objects.values()))
    assert "wrong password" not in everything and "wrong field" not in everything


def test_a_refused_key_is_noted_with_the_part_that_is_no_secret():
    answer = Api("abcdefghij.verysecret").get("/api/stores/")
    (entry,) = entries("access.refused")
    assert (entry.actor_kind, entry.address) == ("nobody", "127.0.0.1")
    assert entry.request_id == answer["X-Request-ID"]
    assert json.loads(entry.after) == {
        "status": 401, "method": "GET", "path": "/api/stores/", "key": "abcdefghij",
    }  # fmt: skip
    assert "verysecret" not in str(vars(entry))


def test_what_may_be_no_key_is_not_told(till):
    for credential in ("x" * 43 + ".abcdefghij", "password", "abcdefghij"):
        access.bounded.windows.clear()
        Api(credential).get("/api/stores/")
    assert all("key" not in json.loads(entry.after) for entry in entries("access.refused"))


def test_a_refused_key_is_noted_at_the_door_of_sales(each_door):
    event = make.sale()
    assert Api("abcdefghij.secret").post("/api/orders/sales/", event).status_code == 401
    (entry,) = entries("access.refused")
    assert json.loads(entry.after)["path"] == "/api/orders/sales/"


def test_a_key_without_the_scope_is_noted_at_the_door_of_sales(lahore, each_door):
    key = registry.issue_key(name="display", store=lahore, scopes=[Scope.STOCK_READ])
    assert Api(key.credential).post("/api/orders/sales/", make.sale()).status_code == 403
    (entry,) = entries("access.refused")
    assert (entry.actor_kind, entry.actor, entry.actor_id) == ("key", key.key.prefix, key.key.pk)
    assert json.loads(entry.after) == {
        "status": 403, "method": "POST", "path": "/api/orders/sales/", "key": key.key.prefix,
    }  # fmt: skip


def test_a_refusal_over_asgi_says_where(till):
    """Its door gives no PATH_INFO."""
    scope = {
        "type": "http", "method": "POST", "path": "/api/orders/sales/", "query_string": b"",
        "scheme": "http", "client": ("192.0.2.7", 1),
        "headers": [(b"authorization", b"Api-Key abcdefghij.secret")],
    }  # fmt: skip
    (answer,) = accepting.answer_all([Sent(gathering._read_meta(scope), lambda: b"{}")])
    (entry,) = entries("access.refused")
    assert (answer.status, entry.address) == (401, "192.0.2.7")
    assert json.loads(entry.after)["path"] == "/api/orders/sales/"


def test_a_key_and_a_person_that_may_not_are_named(till, lahore):
    assert till.post("/api/stores/", {"code": "N", "name": "N"}).status_code == 403
    staff = office.sign_in(office.make_staff(lahore, permissions=[]))
    assert staff.get("/admin/stores/store/").status_code == 403
    key, person = entries("access.refused")
    assert (key.actor_kind, key.actor) == ("key", till.credential.partition(".")[0])
    assert (person.actor_kind, person.actor) == ("person", "sana")
    assert json.loads(person.after)["path"] == "/admin/stores/store/"


def test_what_is_not_there_or_not_well_formed_is_no_refusal(till):
    till.get("/api/stores/NOWHERE/"), till.post("/api/orders/sales/", {"event_id": new_id()})
    assert entries("access.refused") == []


def test_one_entry_a_minute_and_caller_with_a_count(minutes):
    stranger = Api("abcdefghij.secret")
    for _ in range(50):
        stranger.get("/api/stores/")
    assert [entry.count for entry in entries("access.refused")] == [1]
    minutes(61)
    Api().client.get("/health/live")
    assert [entry.count for entry in entries("access.refused")] == [1, 49]
    minutes(200)
    for _ in range(3):
        Api().client.get("/health/live")
    assert [entry.count for entry in entries("access.refused")] == [1, 49]
    stranger.get("/api/stores/")
    assert [entry.count for entry in entries("access.refused")] == [1, 49, 1]


def test_the_next_refusal_writes_what_was_counted(minutes):
    stranger = Api("abcdefghij.secret")
    stranger.get("/api/stores/"), stranger.get("/api/stores/")
    minutes(61)
    access.bounded.looked_at = 1_061  # as if somebody had just looked
    stranger.get("/api/stores/")
    assert [entry.count for entry in entries("access.refused")] == [1, 2]


def test_callers_and_kinds_are_counted_apart(till):
    make.make_user("sana", is_staff=True), make.make_user("omar", is_staff=True)
    for _ in range(3):
        Api("abcdefghij.secret").get("/api/stores/")
        till.post("/api/stores/", {})
        log_in(Client(), "sana", "wrong"), log_in(Client(), "omar", "wrong")
    assert [entry.actor_kind for entry in entries("access.refused")] == ["nobody", "key"]
    assert [entry.object_name for entry in entries("log_in.failed")] == ["sana", "omar"]


def test_any_number_of_addresses_cannot_fill_the_disk(minutes, monkeypatch):
    monkeypatch.setattr(access, "CALLERS_MAX", 10)
    stranger = Api().client
    for number in range(200):
        assert stranger.get("/api/stores/", REMOTE_ADDR=f"10.0.0.{number}").status_code == 401
    noted = entries("access.refused")
    assert [entry.address for entry in noted[-2:]] == ["10.0.0.9", "others"]
    assert len(noted) == 11
    minutes(61)
    stranger.get("/health/live")
    noted = entries("access.refused")
    assert len(noted) == 12
    assert sum(entry.count for entry in noted) == 200
    assert len(access.bounded.windows) == 1  # nobody is remembered for ever


def test_many_account_names_of_one_address_are_one_caller():
    for number in range(3):
        log_in(Client(), f"nobody-{number}", "wrong")
    assert len(entries("log_in.failed")) == 1


def test_a_refusal_that_cannot_be_noted_is_a_refusal_all_the_same(monkeypatch, caplog):
    def fail(*args, **kwargs):
        raise DatabaseError("no room")

    monkeypatch.setattr(audit, "save_entry", fail)
    assert Api("abcdefghij.secret").get("/api/stores/").status_code == 401
    assert "could not be noted: no room" in caplog.text
