"""The rules of the house that a reader relies on: who imports whom, names, sizes, reasons."""

import ast
import re
from pathlib import Path

import pytest
from django.apps import apps

CHECKOUT = Path(__file__).resolve().parent.parent
# Each may import what stands to its left, and nothing else of ours.
ORDER = ["inventory_project", "accounts", "stores", "catalog", "stock", "orders", "compat"]
PROGRAMS = [*ORDER, "script", "examples", "benchmarks", "tests"]
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "services", "misc"}
# The one screen with all addresses, and what the web server calls, have to know all doors.
KNOWS_EVERY_APP = {Path(f"inventory_project/{name}.py") for name in ("urls", "wsgi", "asgi")}
FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 500

pytestmark = pytest.mark.sqlite  # files are the same on every database


def sources(*folders):
    return sorted(
        path.relative_to(CHECKOUT)
        for folder in folders
        for path in (CHECKOUT / folder).rglob("*.py")
        if "migrations" not in path.parts
    )


def parse(path):
    return ast.parse((CHECKOUT / path).read_text(), filename=str(path))


def imported(node):
    """The modules a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        return [node.module]
    return []


def imported_packages(path):
    nodes = ast.walk(parse(path))
    return {module.split(".")[0] for node in nodes for module in imported(node)}


@pytest.mark.parametrize("path", sources(*ORDER), ids=str)
def test_imports_point_left(path):
    place = ORDER.index(path.parts[0])
    to_the_right = set() if path in KNOWS_EVERY_APP else set(ORDER[place + 1 :])
    forbidden = to_the_right | {"tests", "script", "examples", "benchmarks"}
    assert imported_packages(path) & forbidden == set()


def test_migrations_depend_to_the_left_only():
    for place, app in enumerate(ORDER):
        for path in (CHECKOUT / app).glob("migrations/0*.py"):
            tree = ast.parse(path.read_text())
            named = {
                node.elts[0].value
                for node in ast.walk(tree)
                if isinstance(node, ast.Tuple)
                and len(node.elts) == 2
                and isinstance(node.elts[0], ast.Constant)
                and isinstance(node.elts[1], ast.Constant)
                and re.match(r"\d{4}_", str(node.elts[1].value))
            }
            assert named & set(ORDER[place + 1 :]) == set(), path


def test_the_till_client_knows_nothing_but_the_api():
    for path in sources("examples"):
        assert imported_packages(path) & {*ORDER, "django", "tests", "script"} == set(), path


@pytest.mark.parametrize("path", sources(*PROGRAMS), ids=str)
def test_file_is_named_and_sized_for_a_reader(path):
    assert set(path.with_suffix("").parts) & FORBIDDEN_NAMES == set()
    assert len((CHECKOUT / path).read_text().splitlines()) < FILE_LINES_MAX


@pytest.mark.parametrize("path", sources(*PROGRAMS), ids=str)
def test_functions_are_short_and_import_nothing_inside(path):
    for function in ast.walk(parse(path)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        where = f"{path}:{function.lineno} {function.name}"
        assert function.end_lineno - function.lineno + 1 <= FUNCTION_LINES_MAX, where
        inside = [node for node in ast.walk(function) if imported(node)]
        assert inside == [], where


@pytest.mark.parametrize("path", sources(*ORDER), ids=str)
def test_no_error_is_swallowed_in_silence(path):
    for handler in ast.walk(parse(path)):
        if isinstance(handler, ast.ExceptHandler):
            where = f"{path}:{handler.lineno}"
            assert handler.type is not None, where
            assert not all(isinstance(line, ast.Pass) for line in handler.body), where


@pytest.mark.parametrize("path", sources(*ORDER), ids=str)
def test_apps_send_each_other_no_signals(path):
    """Only the house's own post_migrate and request signals; what happens stands in one place."""
    names = {
        alias.name
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("django.")
        for alias in node.names
    }
    assert names & {"pre_save", "post_save", "pre_delete", "post_delete", "m2m_changed"} == set()


def our_models():
    return [
        model
        for model in apps.get_models()
        if model._meta.app_label in ORDER and model._meta.managed and not model._meta.proxy
    ]


@pytest.mark.parametrize("model", our_models(), ids=lambda model: model._meta.label)
def test_model_says_its_table_class(model):
    classes = re.findall(r"\((?:Table class |Class )([ABC])[.:)]", model.__doc__)
    assert len(classes) == 1, "one of A (store-scoped), B (catalogue), C (the rest)"
    key = model._meta.pk
    if classes == ["A"]:
        first = getattr(key, "field_names", [key.attname])[0]
        assert first == "store_id"
        assert all(unique.fields[0] == "store" for unique in uniques(model))
    assert (classes == ["A"]) == ("store_id" in key_columns(model))


def key_columns(model):
    key = model._meta.pk
    return list(getattr(key, "field_names", [key.attname]))


def uniques(model):
    return [c for c in model._meta.constraints if type(c).__name__ == "UniqueConstraint"]


def test_hot_tables_have_no_foreign_key_to_what_is_not_in_their_class():
    """Class A must be able to live on another node than users, keys and documents."""
    for model in our_models():
        if "store_id" not in key_columns(model):
            continue
        for field in model._meta.concrete_fields:
            if field.is_relation and field.db_constraint:
                assert field.related_model._meta.label in {"stores.Store", "catalog.Product"}


@pytest.mark.parametrize("path", sorted(path.name for path in CHECKOUT.glob("requirements*.in")))
def test_every_requirement_has_its_reason(path):
    for line in (CHECKOUT / path).read_text().splitlines():
        if not line.strip() or line.startswith(("#", "-")):
            continue
        requirement, _, reason = line.partition("#")
        assert re.fullmatch(r"[\w.,\[\]-]+==[\w.]+(\s*;.*)?", requirement.strip()), line
        assert len(reason.strip()) >= 10, f"{requirement.strip()} says no reason"


@pytest.mark.parametrize("app", ORDER[2:])
def test_each_app_has_one_write_module(app):
    """Views, admin, tasks and commands present; they write no rows themselves."""
    writes = re.compile(
        r"\.(save|create|bulk_create|bulk_update|get_or_create|update_or_create)\(|\.delete\(\)"
        r"|objects[^\n]*\.update\("
    )
    doors = [
        path
        for path in sources(app)
        if path.stem in {"views", "tasks", "serializers", "parsing", "filters"}
    ]
    for path in doors:
        assert writes.findall((CHECKOUT / path).read_text()) == [], path
