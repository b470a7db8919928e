"""The app can be taken away: one folder, and one line of the addresses."""

import re
import shutil
import subprocess
import sys

import pytest

from tests.databases import CHECKOUT

pytestmark = pytest.mark.sqlite  # files are the same on every database

PROGRAM = ["inventory_project", "accounts", "stores", "catalog", "stock", "orders"]
LINE = '    path("", include("compat.urls")),\n'


def test_one_line_of_the_program_names_the_app():
    named = [
        line
        for folder in [*PROGRAM, "script", "examples", "benchmarks"]
        for path in sorted((CHECKOUT / folder).rglob("*.py"))
        for line in path.read_text().splitlines(keepends=True)
        if re.search(r"\bcompat\b", line)
    ]
    assert named == [LINE]


IN_THE_REST = """
import django; django.setup()
from django.core.management import call_command
from django.test import Client
call_command("check")
for path in ("/api/stores/", "/allStores", "/api/store/stores", "/api/stores"):
    print(path, Client().get(path).status_code)
"""


def test_without_it_the_rest_stands_and_the_addresses_are_404(tmp_path):
    for folder in [*PROGRAM, "templates"]:
        shutil.copytree(CHECKOUT / folder, tmp_path / folder)
    addresses = tmp_path / "inventory_project" / "urls.py"
    addresses.write_text(addresses.read_text().replace(LINE, ""))
    done = subprocess.run(
        [sys.executable, "-c", IN_THE_REST], cwd=tmp_path, check=True, capture_output=True,
        text=True, env={"DJANGO_SETTINGS_MODULE": "inventory_project.settings",
                        "ALLOWED_HOSTS": "testserver", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.stdout.splitlines()[-4:] == [
        "/api/stores/ 401", "/allStores 404", "/api/store/stores 404", "/api/stores 404",
    ]  # fmt: skip


def test_none_of_them_is_in_the_schema(client, db):
    told = client.get("/api/schema/").json()["paths"]
    assert told and all(path.endswith("/") for path in told)
