"""`/api/schema/` and `/api/docs/`: true, complete, and nothing from outside."""

import json
import os
import re
import subprocess
import sys

import pytest
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator

from tests import make, routes
from tests.databases import CHECKOUT


@pytest.fixture
def schema(db, client):
    answer = client.get("/api/schema/")
    assert answer.status_code == 200
    return json.loads(answer.content)


def test_schema_is_openapi_3_1(schema):
    assert schema["openapi"] == "3.1.0"
    validate_schema(schema)
    for component in schema["components"]["schemas"].values():
        Draft202012Validator.check_schema(component)


def test_schema_has_every_route_and_method(schema):
    told = {
        (method.upper(), re.sub(r"{(\w+)}", r"<\1>", path))
        for path, operations in schema["paths"].items()
        for method in operations
    }
    documentation = {("GET", "/api/schema/"), ("GET", "/api/docs/")}
    assert told == set(routes.api_routes()) - documentation


def test_every_operation_says_what_it_does_and_how_it_refuses(schema):
    for operations in schema["paths"].values():
        for operation in operations.values():
            assert operation["summary"]
            for status in ("400", "401", "404", "503"):
                content = operation["responses"][status]["content"]
                assert list(content) == ["application/problem+json"]
            assert operation["security"] == [{"ApiKey": []}, {"StaffSession": []}]


def test_lists_tell_their_filters_and_pages(schema):
    for path, names in {
        "/api/stock/levels/": {"store", "product", "category", "limit", "cursor"},
        "/api/orders/sales/": {"store", "status", "limit", "cursor"},
        "/api/catalog/products/": {
            "barcode", "category", "retired", "limit", "cursor", "If-None-Match",
        },
    }.items():  # fmt: skip
        assert {p["name"] for p in schema["paths"][path]["get"]["parameters"]} == names
    movements = schema["paths"]["/api/stock/movements/"]["get"]["parameters"]
    assert {"from", "to", "recorded_from", "recorded_to"} <= {p["name"] for p in movements}


def test_docs_load_nothing_from_outside(db, client):
    page = client.get("/api/docs/")
    assert page.status_code == 200
    text = page.content.decode()
    loaded = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)["']""", text)
    assert [address for address in loaded if "swagger-ui" in address]
    assert not [
        a for a in loaded if a.startswith(("http:", "https:", "//")) and "localhost" not in a
    ]
    assert "cdn." not in text
    for address in loaded:
        if address.startswith("/static/"):
            assert client.get(address).status_code == 200, address


IN_PRODUCTION = """
import django; django.setup()
from django.test import Client
from accounts.models import User
people = {"nobody": Client(), "customer": Client(), "staff": Client()}
people["customer"].force_login(User.objects.get(username="customer"))
people["staff"].force_login(User.objects.get(username="manager"))
for name, client in people.items():
    for path in ("/api/schema/", "/api/docs/"):
        answer = client.get(path, secure=True, headers={"Host": "shop.example"})
        print(name, path, answer.status_code, answer["Content-Type"].partition(";")[0])
key = {"Authorization": "Api-Key KEY", "Host": "shop.example"}
print("device", Client().get("/api/schema/", secure=True, headers=key).status_code)
print("plain", Client().get("/api/stores/", headers=key).status_code)
"""


def test_in_production_only_people_who_are_signed_in_read_the_schema(committed, tmp_path):
    make.make_user("customer")
    make.make_user("manager", is_staff=True)
    credential = make.make_device(make.make_store()).credential
    environment = os.environ | {
        "PRODUCTION": "true", "SECRET_KEY": "s" * 60, "FIELD_KEYS": f"k1:{'A' * 43}=",
        "ALLOWED_HOSTS": "shop.example",
        "DJANGO_SETTINGS_MODULE": "inventory_project.settings",
    }  # fmt: skip
    subprocess.run(
        [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"],
        cwd=CHECKOUT, env=environment, check=True,
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", IN_PRODUCTION.replace("KEY", credential)],
        cwd=CHECKOUT, env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    problem = "application/problem+json"
    assert done.stdout.splitlines() == [
        f"nobody /api/schema/ 401 {problem}", f"nobody /api/docs/ 401 {problem}",
        f"customer /api/schema/ 401 {problem}", f"customer /api/docs/ 401 {problem}",
        "staff /api/schema/ 200 application/vnd.oai.openapi+json",
        "staff /api/docs/ 200 text/html",
        "device 403", "plain 403",
    ]  # fmt: skip
