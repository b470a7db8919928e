"""Probes: alive is alive, ready means that work can be done, and 503 says why not."""

import json
import os
import subprocess
import sys

import pytest

from tests.bad_input.doors import is_problem
from tests.databases import CHECKOUT

ASK = (
    "import django; django.setup(); from django.test import Client; "
    "a = Client().get('/health/{}', headers={{'Host': '127.0.0.1'}}); "
    "print(a.status_code, a['Content-Type'], a.content.decode())"
)


def ask(probe, **environment):
    """A probe of a process of its own, so that its database can be another."""
    done = subprocess.run(
        [sys.executable, "-c", ASK.format(probe)], cwd=CHECKOUT, check=True, text=True,
        capture_output=True,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "inventory_project.settings"} | environment,
    )  # fmt: skip
    status, content_type, body = done.stdout.strip().splitlines()[-1].split(" ", 2)
    return int(status), content_type, json.loads(body)


def test_live_answers_without_a_database(client):
    assert client.get("/health/live").json() == {"status": "live"}


@pytest.mark.django_db
def test_ready_when_the_database_is_migrated(client):
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


def test_not_ready_before_the_migrations(tmp_path):
    url = f"sqlite:///{tmp_path / 'empty.sqlite3'}"
    status, content_type, body = ask("ready", DATABASE_URL=url)
    assert (status, content_type, body["code"]) == (
        503, "application/problem+json", "not_migrated",
    )  # fmt: skip
    assert ask("live", DATABASE_URL=url)[0] == 200


def test_not_ready_when_the_database_is_away():
    url = "postgres://kiryana:zX7echo@127.0.0.1:9/kiryana"
    status, content_type, body = ask("ready", DATABASE_URL=url)
    assert (status, content_type, body["code"]) == (
        503, "application/problem+json", "database_away",
    )  # fmt: skip
    assert "zX7echo" not in json.dumps(body) and "127.0.0.1" not in json.dumps(body)
    assert ask("live", DATABASE_URL=url)[0] == 200


@pytest.mark.parametrize("probe", ["live", "ready"])
def test_probe_is_only_read(client, probe):
    for method in ("post", "put", "delete"):
        answer = getattr(client, method)(f"/health/{probe}")
        is_problem(answer, 405, "method_not_allowed")
        assert answer["Allow"] == "GET, HEAD"
