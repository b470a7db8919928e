"""`/api/catalog/categories/`: every caller reads, head office writes."""

from urllib.parse import quote

import pytest

from catalog.models import ProductChange
from tests import make
from tests.bad_input.doors import is_problem
from tests.databases import unchanged

pytestmark = pytest.mark.django_db
CATEGORIES = "/api/catalog/categories/"


def names(answer):
    return [category["name"] for category in answer.body["results"]]


@pytest.mark.parametrize("name", ["Tea", "چائے", "50 % off?"])
def test_category_is_made_read_renamed_and_retired(head_office, till, name):
    path = f"{CATEGORIES}{quote(name, safe='')}/"
    made = head_office.post(CATEGORIES, {"name": name})
    assert (made.status_code, made.body) == (201, {"name": name, "retired_at": None})
    assert till.get(path).body == made.body
    retired = head_office.post(f"{path}retire/")
    assert retired.status_code == 200 and retired.body["retired_at"]
    renamed = head_office.patch(path, {"name": "Other"})
    assert (renamed.status_code, renamed.body["name"]) == (200, "Other")
    is_problem(till.get(path), 404, "not_found")
    actions = ProductChange.objects.order_by("version").values_list("action", flat=True)
    assert list(actions) == ["created", "retired", "changed"]


def test_name_is_taken_once(head_office):
    make.make_category("Tea")
    make.make_category("Rice")
    with unchanged():
        is_problem(head_office.post(CATEGORIES, {"name": "Tea"}), 409, "category_name_taken")
        is_problem(
            head_office.patch(f"{CATEGORIES}Rice/", {"name": "Tea"}), 409, "category_name_taken"
        )


def test_products_follow_a_renamed_category(head_office, till):
    make.make_product("TEA", category=make.make_category("Tea"))
    head_office.patch(f"{CATEGORIES}Tea/", {"name": "Hot drinks"})
    assert till.get("/api/catalog/products/TEA/").body["category"] == "Hot drinks"


def test_categories_are_paged_and_filtered(till):
    for name in ("Rice", "Oil", "Tea"):
        make.make_category(name)
    make.editing.retire_category(make.make_category("Coal"))
    first = till.get(CATEGORIES, limit=2)
    assert names(first) == ["Coal", "Oil"]
    assert names(till.get(CATEGORIES, limit=2, cursor=first.body["next"])) == ["Rice", "Tea"]
    assert names(till.get(CATEGORIES, retired="true")) == ["Coal"]
    assert names(till.get(CATEGORIES, retired="false")) == ["Oil", "Rice", "Tea"]


@pytest.mark.parametrize("rows", [3, 30])
def test_list_costs_the_same_queries_whatever_its_length(till, django_assert_num_queries, rows):
    for number in range(rows):
        make.make_category(f"C{number}")
    with django_assert_num_queries(2):
        assert len(till.get(CATEGORIES).body["results"]) == rows
