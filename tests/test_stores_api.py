"""`/api/stores/`: who may see a store reads it, head office registers, changes and retires."""

import pytest

from stores.models import Store, StoresHead
from tests import make
from tests.bad_input.doors import is_problem
from tests.databases import unchanged
from tests.make import movement, sale

pytestmark = pytest.mark.django_db


def codes(answer):
    return [store["code"] for store in answer.body["results"]]


def test_store_is_registered_changed_and_retired(head_office):
    made = head_office.post("/api/stores/", {
        "code": "LHR-01", "name": "Lahore", "address": "The Mall", "timezone": "Asia/Karachi",
        "currency": "PKR", "negative_stock": "refuse",
    })  # fmt: skip
    assert made.status_code == 201
    assert made.body == {
        "code": "LHR-01", "name": "Lahore", "address": "The Mall", "timezone": "Asia/Karachi",
        "currency": "PKR", "negative_stock": "refuse", "retired_at": None,
        "created_at": made.body["created_at"], "contact": {"name": "", "phone": "", "email": ""},
    }  # fmt: skip
    assert head_office.get("/api/stores/LHR-01/").body == made.body
    changed = head_office.patch("/api/stores/LHR-01/", {"name": "Lahore 1", "address": ""})
    assert changed.body == made.body | {"name": "Lahore 1", "address": ""}
    retired = head_office.post("/api/stores/LHR-01/retire/").body
    assert retired["retired_at"]
    assert head_office.post("/api/stores/LHR-01/retire/").body == retired
    assert StoresHead.objects.get().version == 3


def test_store_says_little_and_gets_the_chains_zone_and_currency(head_office):
    made = head_office.post("/api/stores/", {"code": "A", "name": "A"}).body
    assert (made["timezone"], made["currency"], made["negative_stock"]) == (
        "Asia/Karachi", "PKR", "",
    )  # fmt: skip


def test_closed_shop_is_registered_retired_and_its_events_count(head_office, tea):
    made = head_office.post("/api/stores/", {"code": "OLD", "name": "Old", "retired": True})
    assert made.body["retired_at"]
    assert head_office.post("/api/orders/sales/", sale(store="OLD")).status_code == 202
    with unchanged():
        refused = head_office.post("/api/stock/movements/", movement(store="OLD"))
        is_problem(refused, 409, "retired")


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("code", "current", "store_code"), ("code", "a b", "store_code"),
        ("code", "a/b", "store_code"), ("code", "c" * 33, "store_code"), ("code", 5, "not_text"),
        ("code", "LHR-01\n", "control_character"), ("code", "-a", "store_code"),
        ("timezone", "Mars/Olympus", "timezone"), ("timezone", "+05:00", "timezone"),
        ("timezone", "../etc/passwd", "timezone"), ("currency", "pkr", "currency"),
        ("currency", "RUPEE", "currency"), ("retired", "yes", "not_a_boolean"),
        ("negative_stock", "maybe", "not_a_choice"), ("name", "", "blank"),
    ],
)  # fmt: skip
def test_wrong_field_is_refused_by_name(head_office, field, value, code):
    with unchanged():
        answer = head_office.post("/api/stores/", {"code": "A", "name": "A", field: value})
    assert is_problem(answer, 400, code)["errors"][0]["pointer"] == f"/{field}"


def test_code_is_taken_once_and_kept_for_ever(head_office, lahore):
    with unchanged():
        is_problem(
            head_office.post("/api/stores/", {"code": "LHR-01", "name": "A"}), 409,
            "store_code_taken",
        )  # fmt: skip
        is_problem(head_office.patch("/api/stores/LHR-01/", {"code": "B"}), 400, "fixed")
        is_problem(head_office.patch("/api/stores/LHR-01/", {"retired": True}), 400, "fixed")


def test_stores_are_paged_and_filtered(head_office):
    for code in ("C", "A", "D", "B"):
        make.make_store(code, retired=code == "D")
    first = head_office.get("/api/stores/", limit=3)
    assert codes(first) == ["A", "B", "C"]
    assert codes(head_office.get("/api/stores/", limit=3, cursor=first.body["next"])) == ["D"]
    assert codes(head_office.get("/api/stores/", retired="true")) == ["D"]
    assert codes(head_office.get("/api/stores/", retired="false")) == ["A", "B", "C"]


def test_device_sees_its_own_store_only(till, karachi):
    assert codes(till.get("/api/stores/")) == ["LHR-01"]
    assert till.get("/api/stores/LHR-01/").status_code == 200
    assert Store.objects.count() == 2
    is_problem(till.get("/api/stores/KHI-02/"), 404, "not_found")


@pytest.mark.parametrize("rows", [3, 30])
def test_list_costs_the_same_queries_whatever_its_length(
    head_office, django_assert_num_queries, rows
):
    for number in range(rows):
        make.make_store(f"S{number}")
    with django_assert_num_queries(4):  # the key, the version twice, the stores
        assert len(head_office.get("/api/stores/").body["results"]) == rows
