"""Who gets to see whom to call about a store: head office, in that store's answer and page only."""

import logging
import re

import pytest
import redis
from django.conf import settings as django_settings
from django.contrib.admin.models import LogEntry

from inventory_project import caching
from stores.contacts import Contact, read_contact
from stores.models import Store, StoreContact
from tests import make, office
from tests.bad_input.doors import is_problem
from tests.databases import unchanged
from tests.security.keys import SANA, draw_key, read_everything

pytestmark = pytest.mark.django_db
DETAIL, LIST = "/api/stores/LHR-01/", "/api/stores/"
SHOWN = SANA._asdict()
WORDS = re.compile(r"sana|mirza|111.?222.?333|contact", re.IGNORECASE)


@pytest.fixture
def lahore(db):
    return make.make_store("LHR-01", name="Kiryana Lahore", contact=SANA)


@pytest.fixture
def lost_key(settings, lahore):
    settings.FIELD_KEYS = draw_key("other")


def codes(answer):
    return [store["code"] for store in answer.body["results"]]


# --- the API --------------------------------------------------------------------------------


def test_head_office_reads_it_in_the_answer_for_that_store(head_office, lahore, karachi):
    assert head_office.get(DETAIL).body["contact"] == SHOWN
    empty = {"name": "", "phone": "", "email": ""}
    assert head_office.get("/api/stores/KHI-02/").body["contact"] == empty


def test_it_is_in_no_list_and_in_no_answer_to_a_device(head_office, till, lahore):
    for api, path in (
        (head_office, LIST), (till, LIST), (till, DETAIL), (till, "/api/stores/current/"),
        (head_office, "/api/stores/current/"), (head_office, "/allStores"),
        (head_office, "/api/store/stores"), (till, "/api/stock/levels/"), (till, "/metrics"),
    ):  # fmt: skip
        answer = api.client.get(path, headers=api._headers())
        assert answer.status_code in (200, 401, 403), path
        assert not WORDS.search(answer.content.decode()), path


def test_staff_of_the_store_does_not_see_it(lahore):
    client = office.sign_in(office.make_staff(lahore, username="clerk"))
    for path in (DETAIL, f"/admin/stores/store/{lahore.pk}/change/", "/admin/stores/store/"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert not re.search("sana|mirza|111.?222", answer.content.decode(), re.IGNORECASE), path


def test_person_of_head_office_needs_the_permission(lahore):
    work = [*office.EVERYTHING, "work_chain_wide"]
    without = office.sign_in(office.make_staff(username="clerk", permissions=work))
    assert "contact" not in without.get(DETAIL).json()
    reader = office.make_staff(permissions=[*work, "view_storecontact"], username="reader")
    client = office.sign_in(reader)
    assert client.get(DETAIL).json()["contact"] == SHOWN
    page = client.get(f"/admin/stores/store/{lahore.pk}/change/").content.decode()
    assert "Sana Mirza" in page and 'name="contact_name"' not in page


def test_head_office_writes_it_whole_or_in_part(head_office, lahore):
    changed = head_office.patch(DETAIL, {"contact": {"phone": "042 35761999"}})
    assert changed.body["contact"] == SHOWN | {"phone": "042 35761999"}
    assert read_contact(lahore) == SANA._replace(phone="042 35761999")
    gone = head_office.patch(DETAIL, {"contact": {"name": "", "phone": "", "email": ""}})
    assert not any(gone.body["contact"].values())
    assert StoreContact.objects.count() == 0
    made = head_office.post(LIST, {"code": "NEW", "name": "New", "contact": {"name": "Bilal"}})
    assert made.body["contact"] == {"name": "Bilal", "phone": "", "email": ""}
    assert read_contact(Store.objects.get(code="NEW")) == Contact("Bilal")


def test_nobody_else_writes_it(till, lahore):
    with unchanged():
        is_problem(till.patch(DETAIL, {"contact": SHOWN}), 403, "permission_denied")
    work = [*office.EVERYTHING, "work_chain_wide", "view_storecontact"]
    client = office.sign_in(office.make_staff(username="clerk", permissions=work))
    with unchanged():
        answer = client.patch(DETAIL, {"contact": {"name": "x"}}, "application/json")
        assert answer.status_code == 403


@pytest.mark.parametrize(
    ("part", "value", "code"),
    [
        ("phone", "call me", "phone"), ("phone", "1234", "phone"),
        ("phone", "٠٣٠٠١٢٣٤٥٦٧", "phone"), ("phone", "1" * 33, "max_length"),
        ("phone", 923001234567, "not_text"), ("email", "sana", "email"), ("email", "a@b", "email"),
        ("email", "a@b.c\n", "control_character"), ("name", "x" * 121, "max_length"),
        ("name", None, "null"), ("nickname", "S", "unknown_field"),
    ],
)  # fmt: skip
def test_wrong_part_is_refused_by_name(head_office, lahore, part, value, code):
    with unchanged():
        answer = head_office.patch(DETAIL, {"contact": {part: value}})
    problem = is_problem(answer, 400, code)
    assert problem["errors"][0]["pointer"] == f"/contact/{part}"
    assert str(value) not in problem["errors"][0]["detail"]


@pytest.mark.parametrize("value", [None, "Sana", [], 3])
def test_contact_that_is_no_object_is_refused(head_office, lahore, value):
    with unchanged():
        assert head_office.patch(DETAIL, {"contact": value}).status_code == 400


def test_head_office_finds_a_store_by_the_whole_number_or_address(head_office, lahore, karachi):
    assert codes(head_office.get(LIST, phone="0092 42 111222333")) == ["LHR-01"]
    assert codes(head_office.get(LIST, email="SANA.mirza@example.org")) == ["LHR-01"]
    assert codes(head_office.get(LIST, phone="042 99999")) == []
    found = head_office.get(LIST, phone=SANA.phone)
    assert (found["Cache-Control"], found.has_header("ETag")) == ("no-store", False)
    assert not WORDS.search(found.content.decode())
    is_problem(head_office.get(LIST, phone="me"), 400, "phone")
    is_problem(head_office.get(LIST, email="me"), 400, "email")


def test_nobody_else_finds_out_by_asking(till, lahore):
    for query in ({"phone": SANA.phone}, {"phone": "1"}, {"email": SANA.email}):
        is_problem(till.get(LIST, **query), 403, "permission_denied")
    client = office.sign_in(office.make_staff(lahore, username="clerk"))
    assert client.get(LIST, {"phone": SANA.phone}).status_code == 403
    page = client.get("/admin/stores/store/", {"q": SANA.phone})
    assert office.rows_of(page) == []


# --- what is kept and written down ----------------------------------------------------------


def test_no_cache_and_no_log_holds_it(head_office, lahore, caplog):
    with caplog.at_level(logging.DEBUG):
        head_office.patch(DETAIL, {"contact": SHOWN | {"name": "Sana M."}})
        for path in (LIST, DETAIL, f"{LIST}?phone=%2B9242111222333", f"{LIST}?retired=false"):
            assert head_office.get(path).status_code == 200
        client = office.head_of_chain()
        client.get("/admin/stores/store/", {"q": SANA.phone})
        client.get(f"/admin/stores/store/{lahore.pk}/change/")
    for kept in caching._local.values():
        assert not WORDS.search(kept.body.decode())
    assert not re.search("sana|mirza", caplog.text, re.IGNORECASE)
    for value in read_redis():
        assert not re.search(b"sana|mirza|111.?222.?333", value, re.IGNORECASE)


def read_redis():
    """Every key and value of our database there, as bytes."""
    if not django_settings.REDIS_URL:
        return
    client = redis.Redis.from_url(django_settings.REDIS_URL)
    names = list(client.scan_iter())
    assert names  # the limits and the kept list are there
    for name in names:
        yield name
        dumped = client.dump(name)
        assert dumped is not None
        yield dumped
    client.close()


def test_log_of_the_back_office_says_what_changed_and_not_to_what(lahore):
    client = office.head_of_chain()
    answer = client.post(
        f"/admin/stores/store/{lahore.pk}/change/",
        form(lahore, contact_name="Bilal Khan", contact_phone="042 999 888", contact_email=""),
    )
    assert answer.status_code == 302
    assert read_contact(lahore) == Contact("Bilal Khan", "042 999 888", "")
    entry = LogEntry.objects.get()
    assert "Contact name" in entry.get_change_message()
    assert not re.search("sana|mirza|bilal|999 888", read_everything(), re.IGNORECASE)


# --- the back office ------------------------------------------------------------------------


def form(store, **fields):
    sent = {
        "name": store.name, "address": store.address, "timezone": store.timezone,
        "currency": store.currency, "negative_stock": "", "contact_name": SANA.name,
        "contact_phone": SANA.phone, "contact_email": SANA.email,
    }  # fmt: skip
    return sent | fields


def test_head_office_writes_it_in_the_form(lahore):
    client = office.head_of_chain()
    page = client.get(f"/admin/stores/store/{lahore.pk}/change/").content.decode()
    assert 'value="Sana Mirza"' in page and 'value="+92 42 111 222 333"' in page
    wrong = client.post(f"/admin/stores/store/{lahore.pk}/change/", form(lahore, contact_phone="x"))
    assert "must be a telephone number" in wrong.content.decode()
    with unchanged():
        client.post(f"/admin/stores/store/{lahore.pk}/change/", form(lahore, contact_email="a@b"))
    made = client.post("/admin/stores/store/add/", form(lahore, code="NEW"))
    assert made.status_code == 302
    assert read_contact(Store.objects.get(code="NEW")) == SANA


def test_unchanged_form_writes_no_contact(lahore):
    before = StoreContact.objects.values().get()
    client = office.head_of_chain()
    client.post(f"/admin/stores/store/{lahore.pk}/change/", form(lahore, name="Lahore 1"))
    assert Store.objects.get().name == "Lahore 1"
    assert StoreContact.objects.values().get() == before


def test_form_of_who_may_not_takes_no_contact(lahore):
    work = [*office.EVERYTHING, "work_chain_wide"]
    client = office.sign_in(office.make_staff(username="clerk", permissions=work))
    client.post(
        f"/admin/stores/store/{lahore.pk}/change/", form(lahore, name="L", contact_name="Bilal")
    )
    assert Store.objects.get().name == "L"
    assert read_contact(lahore) == SANA


def test_head_office_searches_by_the_whole_number_or_address(lahore, karachi):
    client = office.head_of_chain()
    for sought, found in ((SANA.phone, 1), (SANA.email, 1), ("111", 0), ("sana", 0), ("KHI", 1)):
        rows = office.rows_of(client.get("/admin/stores/store/", {"q": sought}))
        assert len(rows) == found, sought


# --- a key that is not there ----------------------------------------------------------------


def test_answer_says_which_key_is_missing_and_shows_nothing(head_office, lost_key):
    answer = head_office.get(DETAIL)
    problem = is_problem(answer, 503, "unreadable")
    assert "which is not here: add it to FIELD_KEYS" in problem["detail"]
    assert "results" not in answer.body and answer["Retry-After"] == "60"


def test_everything_else_goes_on(head_office, till, lost_key):
    assert head_office.get(LIST).status_code == till.get(DETAIL).status_code == 200
    with unchanged():
        is_problem(head_office.patch(DETAIL, {"contact": {"name": "x"}}), 503, "unreadable")


def test_whole_contact_is_written_over_what_nobody_can_read(head_office, lost_key):
    assert head_office.patch(DETAIL, {"contact": SHOWN}).body["contact"] == SHOWN


def test_page_of_the_store_says_so_and_can_be_saved(lahore, lost_key):
    client = office.head_of_chain()
    address = f"/admin/stores/store/{lahore.pk}/change/"
    page = client.get(address)
    assert page.status_code == 200
    assert "The contact cannot be read. It was sealed with the key" in page.content.decode()
    before = StoreContact.objects.values().get()
    nothing = dict.fromkeys(("contact_name", "contact_phone", "contact_email"), "")
    assert client.post(address, form(lahore, **nothing, address="The Mall")).status_code == 302
    assert Store.objects.get().address == "The Mall"
    assert StoreContact.objects.values().get() == before
    assert client.post(address, form(lahore)).status_code == 302
    assert read_contact(lahore) == SANA


def test_reader_of_the_page_is_told_as_well(lahore, lost_key):
    permissions = ["view_store", "work_chain_wide", "view_storecontact"]
    client = office.sign_in(office.make_staff(username="clerk", permissions=permissions))
    page = client.get(f"/admin/stores/store/{lahore.pk}/change/")
    assert page.status_code == 200
    assert page.content.decode().count("Cannot be read. It was sealed with the key") == 3
