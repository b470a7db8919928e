"""People: who may sign in and where they work; power is given by those who have it."""

import pytest
from django.contrib.auth.models import Group

from accounts.models import User
from stores.models import StoreMember
from tests import make, office

pytestmark = pytest.mark.django_db

USERS = "/admin/accounts/user/"
PASSWORD = "a long and quiet password"


def user_form(*stores, **fields):
    form = {
        "username": "sana", "first_name": "", "last_name": "", "email": "", "is_active": "on",
        "is_staff": "on", "store_memberships-TOTAL_FORMS": len(stores),
        "store_memberships-INITIAL_FORMS": 0, "store_memberships-MIN_NUM_FORMS": 0,
        "store_memberships-MAX_NUM_FORMS": 1000,
    }  # fmt: skip
    for place, store in enumerate(stores):
        form[f"store_memberships-{place}-store"] = store.pk
    return form | fields


def test_a_person_is_added_and_given_stores_and_roles(lahore, karachi):
    head = office.head_of_chain()
    new = {"username": "sana", "password1": PASSWORD, "password2": PASSWORD}
    answer = head.post(f"{USERS}add/", new | {"usable_password": "true"})
    sana = User.objects.get(username="sana")
    assert (answer.status_code, answer.url) == (302, f"{USERS}{sana.pk}/change/")
    assert sana.check_password(PASSWORD)
    role = Group.objects.get(name="Store manager")
    head.post(f"{USERS}{sana.pk}/change/", user_form(lahore, karachi, groups=[role.pk]))
    sana.refresh_from_db()
    assert (sana.is_staff, list(sana.groups.all())) == (True, [role])
    assert set(StoreMember.objects.values_list("store__code", flat=True)) == {"LHR-01", "KHI-02"}


def test_the_same_store_twice_is_refused(lahore):
    sana = make.make_user("sana")
    answer = office.head_of_chain().post(f"{USERS}{sana.pk}/change/", user_form(lahore, lahore))
    assert answer.status_code == 200
    assert not StoreMember.objects.exists()


def test_head_office_without_superuser_gives_no_power_and_touches_no_superuser(lahore):
    boss = make.make_superuser()
    sana = make.make_user("sana")
    permissions = [*office.EVERYTHING, "work_chain_wide"]
    clerk = office.sign_in(office.make_staff(permissions=permissions, username="clerk"))
    role = Group.objects.create(name="Everything")
    power = {"is_superuser": "on", "groups": [role.pk], "user_permissions": [1]}
    assert clerk.post(f"{USERS}{sana.pk}/change/", user_form(lahore, **power)).status_code == 302
    sana.refresh_from_db()
    assert (sana.is_superuser, sana.groups.count(), sana.user_permissions.count()) == (False, 0, 0)
    assert StoreMember.objects.get().user == sana
    new = {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    assert clerk.post(f"{USERS}{boss.pk}/change/", user_form(username="x")).status_code == 403
    assert clerk.post(f"{USERS}{boss.pk}/password/", new).status_code == 403
    assert clerk.post(f"/admin/auth/group/{role.pk}/change/", {"name": "x"}).status_code == 403
    boss.refresh_from_db()
    assert (boss.username, boss.check_password("correct horse battery")) == ("head", True)


def test_staff_of_a_store_cannot_make_themselves_head_office(lahore, karachi):
    user = office.make_staff(lahore)
    staff = office.sign_in(user)
    assert staff.get(USERS).status_code == 403
    form = user_form(karachi, is_superuser="on")
    assert staff.post(f"{USERS}{user.pk}/change/", form).status_code == 403
    assert StoreMember.objects.get().store == lahore


def test_people_are_not_deleted_but_kept_out():
    head = office.head_of_chain()
    sana = make.make_user("sana", is_staff=True)
    assert head.post(f"{USERS}{sana.pk}/delete/", {"post": "yes"}).status_code == 403
    form = user_form()
    del form["is_active"]
    head.post(f"{USERS}{sana.pk}/change/", form)
    sana.refresh_from_db()
    assert sana.is_active is False


def test_a_password_is_never_shown_or_searched():
    head = office.head_of_chain()
    sana = make.make_user("sana")
    assert sana.password not in head.get(f"{USERS}{sana.pk}/change/").content.decode()
    assert head.get(USERS, {"password__startswith": "argon2"}).status_code == 400
