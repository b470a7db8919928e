"""The audit in the back office: to find, to look at and to take away; never to touch."""

import csv
import io
import json
import re

import pytest
import time_machine

from accounts import audit
from accounts.audit import Subject
from accounts.models import AuditEntry
from stores import registry
from tests import make, office
from tests.databases import unchanged
from tests.office import rows_of, text_of

pytestmark = pytest.mark.django_db

PAGE = "/admin/accounts/auditentry/"


@pytest.fixture
def head():
    return office.head_of_chain()


@pytest.fixture
def chain(lahore, karachi, tea):
    registry.change_store(lahore, name="Renamed")
    return lahore, karachi


def found(client, **query):
    answer = client.get(PAGE, query)
    assert answer.status_code == 200, answer
    return rows_of(answer)


def test_it_is_for_who_has_the_permission(chain):
    everything_else = office.sign_in(office.make_staff(chain[0], permissions=office.EVERYTHING))
    seeing = ["view_auditentry", "read_chain_wide"]
    auditor = office.make_staff(permissions=seeing, username="auditor")
    entry = AuditEntry.objects.first()
    for path in (PAGE, f"{PAGE}{entry.pk}/change/", f"{PAGE}export/"):
        assert everything_else.get(path).status_code == 403
    assert everything_else.post(f"{PAGE}export/").status_code == 403
    assert "Audit" not in text_of(everything_else.get("/admin/"))
    client = office.sign_in(auditor)
    assert client.get(PAGE).status_code == 200
    assert "Audit" in text_of(client.get("/admin/"))


def test_it_is_of_the_whole_chain_and_so_for_who_sees_all_of_it(chain):
    """A role of the operator's own, given to somebody of one store."""
    permissions = ["view_auditentry", "view_store"]
    sana = office.sign_in(office.make_staff(chain[0], permissions=permissions))
    entry = AuditEntry.objects.first()
    for path in ("", f"{entry.pk}/change/", f"{entry.pk}/history/", "export/"):
        assert sana.get(f"{PAGE}{path}").status_code == 403
    assert sana.post(f"{PAGE}export/").status_code == 403
    assert "Audit" not in text_of(sana.get("/admin/"))
    own = sana.get(f"/admin/stores/store/{chain[0].pk}/history/")
    assert own.status_code == 200  # Django's notes of the page, and not the audit


def test_nobody_can_touch_it_there(head, chain):
    entry = AuditEntry.objects.first()
    with unchanged():
        for path in ("add/", f"{entry.pk}/change/", f"{entry.pk}/delete/"):
            answer = head.post(f"{PAGE}{path}", {"actor": "x", "post": "yes"})
            assert answer.status_code == 403
        head.post(PAGE, {"action": "delete_selected", "_selected_action": [entry.pk]})


def test_the_list_says_who_what_when_and_of_what(head, chain):
    head.post(
        f"/admin/stores/store/{chain[0].pk}/change/",
        {"code": "LHR-01", "name": "By hand", "address": "", "timezone": "Asia/Karachi",
         "currency": "PKR", "negative_stock": ""},
    )  # fmt: skip
    row = found(head)[0]
    assert re.search(r"Store changed store LHR-01 name person head 127\.0\.0\.1 1$", row), row
    entry = AuditEntry.objects.first()
    page = text_of(head.get(f"{PAGE}{entry.pk}/change/"))
    assert "By hand" in page and entry.request_id in page


def test_filters(head, chain):
    assert len(found(head, what="store.changed")) == 1
    assert len(found(head, of="store")) == 3
    assert len(found(head, of="product")) == 1
    assert {row.split()[-3] for row in found(head, actor_kind__exact="person")} == {"head"}


def test_filter_by_day_is_by_the_chains_clock(head, settings):
    settings.STORE_TIMEZONE = "Asia/Karachi"
    for at in ("2026-03-01T18:59:59Z", "2026-03-01T19:00:00Z", "2026-03-02T18:59:59Z"):
        with time_machine.travel(at, tick=False):
            audit.record("x", Subject("store", 1, at))
    day = {"at_from": "2026-03-02", "at_to": "2026-03-02"}
    assert [row.count("2026-03") for row in found(head, **day)] == [1, 1]
    for nonsense in ("0000-00-00", "x", "9999-12-31", "2026-02-30"):
        assert head.get(PAGE, {"at_from": nonsense, "at_to": nonsense}).status_code == 200


def test_search_by_object_name_request_and_who(head, chain, till):
    request_id = till.post("/api/stores/", {})["X-Request-ID"]
    assert len(found(head, q="LHR-01")) == 2
    assert len(found(head, q=request_id)) == 1
    assert len(found(head, q="head")) == 2  # was added, and logged in
    assert len(found(head, q=till.credential.partition(".")[0])) == 2  # issued, refused
    assert found(head, q="LHR") == []


@pytest.mark.parametrize(
    ("page", "kind"), [("stores/store", "store"), ("stores/storekey", "key"),
                       ("accounts/user", "person"), ("auth/group", "role")]
)  # fmt: skip
def test_history_of_an_object_is_what_the_audit_has_of_it(head, chain, till, page, kind):
    head.post("/admin/auth/group/add/", {"name": "Night shift"})
    make.make_user("sana")
    entry = AuditEntry.objects.filter(object_type=kind).first()
    answer = head.get(f"/admin/{page}/{entry.object_id}/history/")
    assert answer.status_code == 302
    rows = rows_of(head.get(answer.url))
    own = AuditEntry.objects.filter(object_type=kind, object_id=entry.object_id).count()
    assert len(rows) == own > 0
    assert all(f" {kind} {entry.object_name}" in row for row in rows)


def test_history_without_the_permission_is_djangos_own(chain):
    staff = office.sign_in(office.make_staff(permissions=["view_store", "work_chain_wide"]))
    assert staff.get(f"/admin/stores/store/{chain[0].pk}/history/").status_code == 200


def export(client, **query):
    answer = client.post(f"{PAGE}export/", QUERY_STRING=f"{_encode(query)}")
    assert answer.status_code == 200
    text = b"".join(answer.streaming_content).decode()
    assert text[0] == "\ufeff"
    return answer, list(csv.DictReader(io.StringIO(text[1:], newline="")))


def _encode(query):
    return "&".join(f"{name}={value}" for name, value in query.items())


def test_export_has_what_the_list_shows_and_is_noted_itself(head, chain):
    answer, rows = export(head, of="store", q="LHR-01")
    assert "no-store" in answer["Cache-Control"]
    assert re.search(r'^attachment; filename="audit-\d+T\d+.csv"$', answer["Content-Disposition"])
    assert [row["action"] for row in rows] == ["store.changed", "store.registered"]
    assert json.loads(rows[0]["after"]) == {"name": "Renamed"}
    entry = AuditEntry.objects.first()
    assert (entry.action, entry.actor) == ("export.made", "head")
    told = json.loads(entry.after)
    assert told == {"what": "audit", "rows": 2, "filters": {"of": ["store"], "q": ["LHR-01"]}}


def test_opening_the_address_of_the_export_takes_nothing_away(head, chain):
    with unchanged():
        assert head.get(f"{PAGE}export/").status_code == 302


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_no_cell_of_an_export_is_a_formula(head, start):
    make.make_user("sana")
    name = f"{start}cmd|' /C calc'!A0"
    audit.record("x", Subject("store", name, name))
    _, rows = export(head, q="x")
    _, rows = export(head)
    (row,) = [row for row in rows if row["action"] == "x"]
    assert (row["object_id"], row["object_name"]) == (f"'{name}", f"'{name}")
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row.values())


def test_export_goes_on_behind_a_thousand(head, monkeypatch):
    monkeypatch.setattr("stores.audit_pages.ROWS_READ_AT_ONCE", 4)
    for number in range(9):
        audit.record("x", Subject("store", number, "N"))
    _, rows = export(head, q="N")
    assert [row["object_id"] for row in rows] == [str(number) for number in reversed(range(9))]
    monkeypatch.setattr("stores.audit_pages.EXPORT_ROWS_MAX", 6)
    assert len(export(head, q="N")[1]) == 6
