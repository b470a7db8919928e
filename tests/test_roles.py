"""The groups are those of the table after every migrate; what an operator made stays."""

import io
import json
from fnmatch import fnmatchcase

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS

from accounts import roles
from accounts.models import AuditEntry
from accounts.roles import ROLES, TABLE, Right, seed_roles
from tests import make, office
from tests.bad_input.doors import is_problem
from tests.databases import CHECKOUT, unchanged

pytestmark = pytest.mark.django_db
GROUPS = "/admin/auth/group/"


def seed():
    seed_roles(using=DEFAULT_DB_ALIAS)


def permissions_of(group):
    rows = Group.objects.get(name=group).permissions
    return {
        f"{app}.{code}" for app, code in rows.values_list("content_type__app_label", "codename")
    }


def test_migrate_has_made_each_role_with_what_the_table_gives_it():
    assert set(Group.objects.values_list("name", flat=True)) == set(ROLES)
    known = {
        f"{app}.{code}"
        for app, code in Permission.objects.values_list("content_type__app_label", "codename")
    }
    for role in ROLES:
        rights = [right.permission for right in TABLE if role in right.roles]
        expected = {name for name in known if any(fnmatchcase(name, right) for right in rights)}
        assert permissions_of(role) == expected


def test_seeding_again_changes_nothing():
    before = {role: permissions_of(role) for role in ROLES}
    ids = set(Group.objects.values_list("pk", flat=True))
    with unchanged():
        seed()
    assert {role: permissions_of(role) for role in ROLES} == before
    assert set(Group.objects.values_list("pk", flat=True)) == ids


def test_what_was_added_to_a_role_by_hand_is_taken_back_and_what_was_lost_returns():
    clerk = Group.objects.get(name=roles.CLERK)
    before = permissions_of(roles.CLERK)
    clerk.permissions.set(Permission.objects.filter(codename="add_store"))
    Group.objects.get(name=roles.AUDITOR).delete()
    seed()
    assert permissions_of(roles.CLERK) == before
    assert "stores.read_chain_wide" in permissions_of(roles.AUDITOR)
    entry = AuditEntry.objects.get(action="role.changed")
    assert (entry.object_name, entry.actor_kind) == (roles.CLERK, "program")
    assert json.loads(entry.before) == {"permissions": ["stores.add_store"]}
    assert set(json.loads(entry.after)["permissions"]) == before


def test_permission_that_left_the_table_leaves_the_role(monkeypatch):
    shorter = tuple(right for right in TABLE if right.permission != "stock.add_movement")
    monkeypatch.setattr(roles, "TABLE", shorter)
    seed()
    assert "stock.add_movement" not in permissions_of(roles.CLERK)


def test_groups_of_the_operator_stay_as_they_are():
    own = Group.objects.create(name="Night shift")
    own.permissions.set(Permission.objects.filter(codename="view_level"))
    seed()
    assert permissions_of("Night shift") == {"stock.view_level"}


def test_permission_that_no_app_has_is_an_error_and_changes_no_role(monkeypatch):
    wrong = Right("stock.add_movment", "A typing error", (roles.CLERK,))
    monkeypatch.setattr(roles, "TABLE", (*TABLE, wrong))
    before = permissions_of(roles.CLERK)
    with pytest.raises(ImproperlyConfigured, match=r"what no app has: stock\.add_movment$"):
        seed()
    assert permissions_of(roles.CLERK) == before


def test_permission_of_a_migration_still_to_come_is_no_error(monkeypatch):
    """As `migrate stores 0002` leaves it; tests/test_key_scopes.py does just that."""
    later = Right("stock.add_stocktake", "Comes later", (roles.CLERK,))
    monkeypatch.setattr(roles, "TABLE", (*TABLE, later))
    monkeypatch.setattr(roles, "_is_all_migrated", lambda _: False)
    seed()
    assert "stock.add_movement" in permissions_of(roles.CLERK)


def test_head_office_has_every_right_and_an_auditor_none_that_changes():
    assert all(roles.HEAD_OFFICE in right.roles for right in TABLE)
    of_auditor = {right.permission for right in TABLE if roles.AUDITOR in right.roles}
    verbs = {permission.partition(".")[2].partition("_")[0] for permission in of_auditor}
    assert verbs == {"view", "read"}
    viewing = {right.permission for right in TABLE if ".view_" in right.permission}
    assert viewing <= of_auditor


def test_page_shows_the_table_as_it_is():
    out = io.StringIO()
    call_command("showroles", stdout=out)
    page = (CHECKOUT / "docs/operate/security.md").read_text()
    assert out.getvalue() in page, "manage.py showroles prints the table for the page"


def test_role_of_the_program_is_read_and_not_changed_even_by_a_superuser():
    head = office.head_of_chain()
    clerk = Group.objects.get(name=roles.CLERK)
    page = f"{GROUPS}{clerk.pk}/change/"
    assert "Book receipts, waste and other movements" in office.text_of(head.get(page))
    assert head.post(page, {"name": "Clerk", "permissions": []}).status_code == 403
    assert "stock.add_movement" in permissions_of(roles.CLERK)


def test_superuser_makes_and_changes_a_role_of_their_own():
    head = office.head_of_chain()
    level = Permission.objects.get(codename="view_level")
    head.post(f"{GROUPS}add/", {"name": "Night shift", "permissions": [level.pk]})
    own = Group.objects.get(name="Night shift")
    assert permissions_of("Night shift") == {"stock.view_level"}
    head.post(f"{GROUPS}{own.pk}/change/", {"name": "Night shift", "permissions": []})
    assert permissions_of("Night shift") == set()


def test_list_of_people_says_role_and_stores(lahore, karachi):
    office.make_person(roles.REGIONAL, lahore, karachi, username="sana")
    office.make_person(roles.AUDITOR, username="omar")
    rows = office.rows_of(office.head_of_chain().get("/admin/accounts/user/"))
    assert [row.split(" - - ", 1)[1] for row in sorted(rows, key=lambda row: row.split()[0])] == [
        "Superuser the whole chain Yes", "Auditor the whole chain Yes",
        "Regional manager KHI-02, LHR-01 Yes",
    ]  # fmt: skip


def test_list_of_people_costs_the_same_queries_whatever_its_length(
    lahore, django_assert_max_num_queries
):
    head = office.head_of_chain()
    for number in range(10):
        office.make_person(roles.CLERK, lahore, username=f"clerk{number}")
    with django_assert_max_num_queries(10):
        assert len(office.rows_of(head.get("/admin/accounts/user/"))) == 11


def test_auditor_who_is_also_clerk_of_a_store_sees_all_and_books_in_that_one(lahore, karachi, tea):
    user = office.make_person(roles.AUDITOR, lahore, username="both")
    user.groups.add(*Group.objects.filter(name__in=[roles.CLERK, roles.MANAGER]))
    api = make.Api()
    api.client.force_login(user)
    event = make.sale("NOPE")
    make.make_device(karachi).post("/api/orders/sales/", event)
    make.apply_all()
    levels = api.get("/api/stock/levels/", store="KHI-02")
    assert (levels.status_code, levels.body["results"]) == (200, [])
    decide = f"/api/orders/sales/{event['event_id']}"
    with unchanged():
        for method, path, body in (
            ("post", "/api/stock/movements/", make.movement(store="KHI-02")),
            ("post", f"{decide}/replay/?store=KHI-02", None),
            ("post", f"{decide}/dismiss/?store=KHI-02", {"reason": "Not mine."}),
            ("put", f"/stock/{karachi.pk}/{tea.pk}", {"movementtype": "add", "quantity": 1}),
            ("post", f"/api/order/orderProduct/{tea.pk}", {"storeId": karachi.pk, "quantity": 1}),
        ):
            answer = api.send(method, path, json.dumps(body) if body else b"")
            is_problem(answer, 403, "not_your_store")
        sale = api.post("/api/orders/sales/", make.sale(store="KHI-02"))
        is_problem(sale, 400, "unknown_store")
        page = f"/admin/orders/parkedevent/{karachi.pk}-{event['event_id']}/dismiss/"
        api.client.post(page, {"reason": "Not mine."})
    assert api.post("/api/stock/movements/", make.movement(store="LHR-01")).status_code == 201
