"""The audit in processes of their own: a web server, commands and the sweep."""

import json
import os
import stat
import subprocess
import sys

import pytest

from accounts.models import AuditEntry
from catalog.sealing import check_audited
from inventory_project.heads import read_heads
from script.server_process import wait_until
from stock.models import LedgerSeal
from stock.sealing import check_store
from tests import databases, make
from tests.bad_input import raw
from tests.web import running_web

SWEEP_S_MAX = 20.0


@pytest.mark.usefixtures("committed")
def test_over_real_http_behind_a_gateway_the_address_is_what_the_gateway_saw():
    head = """GET /api/stores/ HTTP/1.1
        X-Forwarded-For: 9.9.9.9, 203.0.113.7
        X-Request-ID: gateway-12345"""
    with running_web(BEHIND_TLS_GATEWAY="true") as url:
        status, answer = raw.talk(url, head)
    assert (status, "x-request-id: gateway-12345\r\n" in answer.lower()) == (401, True)
    entry = AuditEntry.objects.get(action="access.refused")
    assert (entry.address, entry.request_id) == ("203.0.113.7", "gateway-12345")


@pytest.mark.usefixtures("committed")
def test_a_command_is_named_with_whose_it_was_and_without_its_arguments():
    make.make_store("LHR-01")
    subprocess.run(
        [sys.executable, "manage.py", "createkey", "--store", "LHR-01", "--name", "till"],
        cwd=databases.CHECKOUT, check=True, capture_output=True,
    )  # fmt: skip
    entry = AuditEntry.objects.get(action="key.issued")
    assert entry.actor.startswith("manage.py createkey as ")
    assert (entry.actor_kind, "LHR" in entry.actor, entry.address != "") == ("program", False, True)


KEY = "one:" + "1" * 64


def sweep_until(condition, **environment):
    """A sweep of its own process, until something is so."""
    sweep = subprocess.Popen(
        [sys.executable, "manage.py", "sweep"], cwd=databases.CHECKOUT,
        env=os.environ | environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_until(lambda: sweep.poll() is not None or condition(), SWEEP_S_MAX)
        assert condition(), sweep.poll() is not None and sweep.stderr.read()
    finally:
        sweep.terminate()
        sweep.wait(10)
        sweep.stderr.close()


def test_the_sweep_seals_and_tells_the_heads_and_the_settings(committed, tmp_path):
    lahore = make.make_store("LHR-01")
    make.make_product("TEA")
    make.receive(lahore, "TEA", 10)
    file = tmp_path / "heads.jsonl"
    environment = {"AUDIT_SEAL_KEY": KEY, "AUDIT_HEADS_FILE": str(file), "LIMIT_LOG_IN": "7"}
    sweep_until(lambda: file.exists() and file.read_text().endswith("\n"), **environment)
    noted = AuditEntry.objects.get(action="settings.changed")
    assert (noted.actor_kind, noted.actor.partition(" as ")[0]) == ("program", "manage.py sweep")
    assert (json.loads(noted.after)["LIMIT_LOG_IN"], noted.before) == (7, "")
    assert {seal.key_name for seal in LedgerSeal.objects.all()} == {"one"}
    told = read_heads(file)
    assert set(told) == {"audit", "catalog", f"ledger {lahore.pk}"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    keys = {"one": bytes.fromhex("1" * 64)}
    assert check_store(lahore.pk, keys, heads=told).wrong is None
    assert all(c.wrong is None for c in check_audited(keys, heads=told).values())


def test_in_production_the_sweep_does_not_start_without_a_key_of_its_own():
    environment = {
        "PRODUCTION": "true", "SECRET_KEY": "x" * 60, "ALLOWED_HOSTS": "localhost",
        "FIELD_KEYS": f"k1:{'A' * 43}=",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "manage.py", "sweep"], cwd=databases.CHECKOUT, text=True,
        env=os.environ | environment, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "PRODUCTION needs AUDIT_SEAL_KEY or AUDIT_SEAL_KEY_FILE" in done.stderr
