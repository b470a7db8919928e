"""What a caller sends is never spread into a query, neither by code nor by a parameter's name."""

import ast
import itertools
import json

import pytest
from django.apps import apps

from tests import make, routes
from tests.databases import unchanged
from tests.test_house import ORDER, parse, sources

# Each takes names of columns, paths to other tables and SQL functions from its arguments.
ASKS = {
    "filter", "exclude", "get", "annotate", "alias", "aggregate", "order_by", "values",
    "values_list", "only", "defer", "distinct", "update", "extra", "raw", "select_related",
    "prefetch_related", "get_or_create", "update_or_create", "create", "in_bulk", "dates", "Q",
    "RawSQL", "bulk_update", "FilteredRelation", "get_object_or_404",
}  # fmt: skip
# Whatever is spread at these places comes from us. Whoever adds one says from where.
FROM_US = {
    "stores/models.py: filter(**{self.store_field: principal.store.pk})":
        "a class attribute of the queryset",
    "stores/models.py: filter(**{f'{self.store_field}__in': principal.member_store_ids})":
        "a class attribute of the queryset",
    "stock/filters.py: filter(**{f'{field}__gte': low})": "the two fields are named in the filters",
    "stock/filters.py: filter(**{f'{field}__lt': high})": "the two fields are named in the filters",
    "stock/admin.py: filter(**{lookup[self.value()]: 0})":
        "a key of a table in the filter; Django's admin refuses any other value",
    "stock/models.py: order_by(*order)": "constants of the history's plan",
    "orders/moving.py: exclude(**{column: None})": "columns of our own models",
    "orders/moving.py: annotate(**exact)": "columns of our own models",
    "catalog/writing.py: values_list(*PRODUCT_COLUMNS)": "a constant",
    "stores/writing.py: values_list(*STORE_COLUMNS)": "a constant",
    "stock/sealing.py: values_list(*FIELDS)": "a constant",
    "stores/audit_pages.py: values_list(*COLUMNS)": "a constant",
    "stores/audit_pages.py: Q(**{name: term})": "the columns that are searched, a constant",
    "accounts/sealing.py: values_list(*SEAL_FIELDS)": "a constant",
    "accounts/sealing.py: create(**_values(seal))": "the fields of a seal",
    "accounts/views.py: get(*args)": "a view that passes on to its parent, no query",
    "accounts/views.py: get(**kwargs)": "a view that passes on to its parent, no query",
    "inventory_project/sealed_fields.py: Q(**{f'{name}_index__in': indexes})":
        "a sealed column of the model, named by our code",
    "stores/backoffice.py: select_related(*self.list_select_related)": "a class attribute",
    "stores/backoffice.py: filter(**{self.address_field: rest})": "a class attribute of the page",
    "orders/moving.py: values(*names)": "columns of our own models",
    "inventory_project/paging.py: order_by(*self._order)": "a class attribute of the view",
    "inventory_project/paging.py: Q(**{f'{path}__{way}': value})":
        "the order of the view; only the value is the caller's",
    "inventory_project/paging.py: Q(**{path: value})":
        "the order of the view; only the value is the caller's",
}  # fmt: skip


def spread_in(path):
    """Calls in a file that spread something into a query, as written."""
    for call in ast.walk(parse(path)):
        if not isinstance(call, ast.Call):
            continue
        name = getattr(call.func, "attr", None) or getattr(call.func, "id", None)
        if name not in ASKS:
            continue
        for spread in (*call.args, *call.keywords):
            if isinstance(spread, ast.Starred):
                yield f"{path}: {name}(*{ast.unparse(spread.value)})"
            elif isinstance(spread, ast.keyword) and spread.arg is None:
                yield f"{path}: {name}(**{ast.unparse(spread.value)})"


@pytest.mark.sqlite  # it reads files
def test_nothing_is_spread_into_a_query_but_what_is_ours():
    found = {place for path in sources(*ORDER) for place in spread_in(path)}
    assert found - FROM_US.keys() == set(), "say from where it comes, or name the fields"
    assert FROM_US.keys() - found == set(), "these are no more"
    assert all(FROM_US.values())


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "code",
    ["rows.filter(**request.query_params.dict())", "rows.order_by(*fields)", "Q(**data)",
     "rows.annotate(**{name: F(name)})", "Store.objects.get(**kwargs)"],
)  # fmt: skip
def test_the_rule_sees_it(code, monkeypatch):
    monkeypatch.setattr(f"{__name__}.parse", lambda _: ast.parse(code))
    assert len(list(spread_in("views.py"))) == 1


# --- names of parameters -----------------------------------------------------------------------

LOOKUPS = ("", "__startswith", "__regex", "__isnull", "__in")
NAMES_A_REQUEST = 50  # as many as a problem document tells
LISTS = [route for method, route in routes.api_routes() if method == "GET"]


def made_up_names():
    """Every column and relation of every table, from here and from there, with lookups."""
    fields = {field.name for model in apps.get_models() for field in model._meta.get_fields()}
    fields |= {"pk", "password", "_connector", "_negated", "self", "request", "ordering"}
    ways = ("", "store__", "product__", "store__keys__", "-")
    return [f"{w}{f}{k}" for w, f, k in itertools.product(ways, sorted(fields), LOOKUPS)]


@pytest.mark.django_db
@pytest.mark.parametrize("route", LISTS)
def test_a_parameter_nobody_declared_is_refused_by_every_address(lahore, tea, route):
    make.make_category("TEA")
    path = routes.fill_in(route, code="LHR-01", sku="TEA", name="TEA", event_id=make.new_id())
    api = make.make_head_office()
    known = declared(route)
    names = [name for name in made_up_names() if name not in known]
    asked = 0
    with unchanged():
        for start in range(0, len(names), NAMES_A_REQUEST):
            some = dict.fromkeys(names[start : start + NAMES_A_REQUEST], "1")
            answer = api.client.get(path, some, headers=api._headers())
            assert answer.status_code in (400, 404), some
            if answer.status_code == 400:
                codes = [error["code"] for error in json.loads(answer.content)["errors"]]
                assert codes.count("unknown_parameter") == len(some), (some, codes)
                asked += len(some)
    assert asked == len(names) or "<event_id>" in route


def declared(route):
    """The parameters that the schema tells of."""
    paths = make.Api().get("/api/schema/").body["paths"]
    described = paths.get(route.replace("<", "{").replace(">", "}"), {}).get("get", {})
    return {found["name"] for found in described.get("parameters", ())}
