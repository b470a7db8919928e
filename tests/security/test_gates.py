"""Each gate of script/lint, and pip's, is shut: something bad is put before it and must be seen.

A gate runs in a copy of what it looks at. First without the bad thing, so that it is that and
nothing else which trips it.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

from script import find_secrets
from tests.databases import CHECKOUT
from tests.test_house import ORDER

pytestmark = pytest.mark.sqlite  # no database is asked

REQUIREMENTS = ("requirements.txt", "requirements-dev.txt", "requirements-servers.txt")
# Put together here, so that this file holds none of them.
AWS_KEY = "AKIA" + "Z7QK3XNPL5VJ2R8T"
PRIVATE_KEY = "-----BEGIN RSA " + "PRIVATE KEY-----"
TYPED_IN = "pass" + 'word = "Tr0ub4dor-and-3-more"'
ADDRESS = "postgresql://kiryana:" + "Tr0ub4dor@db/kiryana"


@pytest.fixture
def checkout(tmp_path):
    """A checkout of nothing but script/ and the settings of the tools."""
    folder = tmp_path / "checkout"
    shutil.copytree(CHECKOUT / "script", folder / "script")
    for name in (*REQUIREMENTS, "pyproject.toml", "manage.py"):
        shutil.copy(CHECKOUT / name, folder)
    (folder / ".venv").symlink_to(CHECKOUT / ".venv")
    (folder / "planted").mkdir()
    return folder


def lint(checkout, gate, **environment):
    return subprocess.run(
        [checkout / "script" / "lint", gate],
        cwd=checkout, env=own_environment() | environment, capture_output=True, text=True,
    )  # fmt: skip


def own_environment():
    foreign = {"LOCAL_DIR", "DJANGO_SETTINGS_MODULE", "PYTHONPATH"}
    return {name: value for name, value in os.environ.items() if name not in foreign}


def is_tripped(done, gate, *words):
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"script/lint: failed: {gate}: " in done.stderr
    for word in words:
        assert word in done.stdout + done.stderr


# --- dangerous calls -------------------------------------------------------------------------

DANGEROUS = {
    "B307": "def run(text):\n    return eval(text)\n",
    "B506": "import yaml\n\n\ndef read(text):\n    return yaml.load(text)\n",
    "B301": "import pickle\n\n\ndef read(text):\n    return pickle.loads(text)\n",
    "B602": "import subprocess\n\n\ndef run(text):\n    subprocess.run(text, shell=True)\n",
    "B324": "import hashlib\n\n\ndef name(text):\n    return hashlib.md5(text)\n",
    "B501": "import requests\n\n\ndef ask(url):\n    requests.get(url, verify=False)\n",
}


def test_one_gate_at_a_time_and_each_has_a_name(checkout):
    done = lint(checkout, "nothing")
    assert (done.returncode, done.stderr) == (2, "script/lint: there is no gate nothing.\n")


def test_dangerous_calls_are_seen(checkout):
    assert lint(checkout, "calls").returncode == 0
    for name, text in DANGEROUS.items():
        (checkout / "planted" / f"{name.lower()}.py").write_text(text)
    is_tripped(lint(checkout, "calls"), "calls", *DANGEROUS)


# --- secrets ---------------------------------------------------------------------------------


@pytest.fixture
def repository(checkout):
    """One in which nothing that looks like a secret is known to be none."""
    program = checkout / "script" / "find_secrets.py"
    text = re.sub(r"^KNOWN = \(.*?^\)", "KNOWN = ()", program.read_text(), flags=re.S | re.M)
    program.write_text(text)
    (checkout / ".gitignore").write_text(".venv\n__pycache__/\nrequirements*.txt\n")
    subprocess.run(["git", "init", "--quiet"], cwd=checkout, check=True)
    return checkout


def test_secrets_are_seen_and_not_repeated(repository):
    assert lint(repository, "secrets").returncode == 0
    planted = {"cloud.py": f'KEY = "{AWS_KEY}"', "server.pem": PRIVATE_KEY, "settings.py": TYPED_IN,
               "shop.env": f"DATABASE_URL={ADDRESS}"}  # fmt: skip
    for name, text in planted.items():
        (repository / "planted" / name).write_text(f"{text}\n")
    done = lint(repository, "secrets")
    is_tripped(done, "secrets", *(f"planted/{name}:1: " for name in planted))
    assert "Tr0ub4dor" not in done.stdout + done.stderr
    assert AWS_KEY not in done.stdout + done.stderr


def test_what_is_known_is_passed_over_and_what_is_nowhere_may_not_stay_known(repository):
    program = repository / "script" / "find_secrets.py"
    known = f'KNOWN = (("{AWS_KEY}", "of this test"),)'
    program.write_text(program.read_text().replace("KNOWN = ()", known))
    is_tripped(lint(repository, "secrets"), "secrets", "is in KNOWN and in no file.")
    (repository / "planted" / "cloud.py").write_text(f'KEY = "{AWS_KEY}"\n')
    assert lint(repository, "secrets").returncode == 0


def test_every_known_text_has_its_reason():
    assert all(len(reason) >= 10 for _, reason in find_secrets.KNOWN)


# --- production settings ---------------------------------------------------------------------

WEAK = {
    "DEBUG = False": ("DEBUG = True", "security.W018"),
    "SESSION_COOKIE_SECURE = PRODUCTION": ("SESSION_COOKIE_SECURE = False", "security.W012"),
    "CSRF_COOKIE_SECURE = PRODUCTION": ("CSRF_COOKIE_SECURE = False", "security.W016"),
    "SECURE_SSL_REDIRECT = PRODUCTION": ("SECURE_SSL_REDIRECT = False", "security.W008"),
    "SECURE_HSTS_SECONDS = 31_536_000 if PRODUCTION else 0":
        ("SECURE_HSTS_SECONDS = 0", "security.W004"),
}  # fmt: skip


@pytest.fixture
def product(checkout):
    for name in (*ORDER, "templates"):
        shutil.copytree(CHECKOUT / name, checkout / name)
    return checkout


def test_weak_production_settings_are_seen(product):
    settings = product / "inventory_project" / "settings.py"
    text = settings.read_text()
    for strong, (weak, _) in WEAK.items():
        assert text.count(f"{strong}\n") == 1, strong
        text = text.replace(f"{strong}\n", f"{weak}\n")
    settings.write_text(text)
    is_tripped(lint(product, "deploy"), "deploy", *(warning for _, warning in WEAK.values()))


def test_production_settings_as_they_are_pass(product):
    assert lint(product, "deploy").returncode == 0


def test_production_without_a_secret_key_does_not_start(product):
    lint_script = product / "script" / "lint"
    lint_script.write_text(
        re.sub(r"SECRET_KEY=\"\$\(.*\)\"", "SECRET_KEY=", lint_script.read_text())
    )
    is_tripped(lint(product, "deploy"), "deploy", "PRODUCTION needs SECRET_KEY")


# --- pinned packages -------------------------------------------------------------------------


@pytest.fixture
def shelf(tmp_path):
    """A folder with one package, which needs nothing and is in no registry."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    with zipfile.ZipFile(folder / "kiryana_parcel-1.0-py3-none-any.whl", "w") as wheel:
        about = "kiryana_parcel-1.0.dist-info"
        wheel.writestr("kiryana_parcel.py", "")
        wheel.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: kiryana-parcel\nVersion: 1.0\n"
        )
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", "")
    return folder


@pytest.fixture
def bootstrap(checkout, shelf, tmp_path):
    """Runs script/bootstrap for these requirements; says what was installed and what was said."""
    (checkout / ".venv").unlink()
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)

    def bootstrap(requirements):
        (checkout / "requirements.txt").write_text(requirements)
        place = tmp_path / "place"
        only_from_shelf = {
            "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(shelf), "PIP_TARGET": str(place),
        }  # fmt: skip
        done = subprocess.run(
            [checkout / "script" / "bootstrap"],
            env=own_environment() | only_from_shelf, capture_output=True, text=True,
        )  # fmt: skip
        installed = (place / "kiryana_parcel.py").exists()
        return done.returncode, installed, (checkout / ".venv" / "pip.log").read_text()

    return bootstrap


def test_a_package_of_another_hash_or_none_is_not_installed(bootstrap, shelf):
    wheel = next(shelf.iterdir())
    right = hashlib.sha256(wheel.read_bytes()).hexdigest()
    code, installed, said = bootstrap(f"kiryana-parcel==1.0 --hash=sha256:{'0' * 64}\n")
    assert (code, installed) == (1, False)
    assert "DO NOT MATCH THE HASHES" in said
    code, installed, said = bootstrap("kiryana-parcel==1.0\n")
    assert (code, installed) == (1, False)
    assert "Hashes are required" in said
    code, installed, _ = bootstrap(f"kiryana-parcel==1.0 --hash=sha256:{right}\n")
    assert (code, installed) == (0, True)


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_every_pinned_package_has_a_hash(name):
    lines = (CHECKOUT / name).read_text().replace("\\\n", " ").splitlines()
    assert lines
    for line in lines:
        assert re.match(r"[\w.\[\]-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line), line


# --- what it is made of ----------------------------------------------------------------------


def test_the_list_of_parts_has_every_pinned_package_with_its_hashes():
    document = json.loads(
        subprocess.run(
            [CHECKOUT / "script" / "sbom"], capture_output=True, text=True, check=True
        ).stdout
    )  # fmt: skip
    pinned = re.findall(r"^([\w.-]+)==([\w.]+)", (CHECKOUT / "requirements.txt").read_text(), re.M)
    parts = document["components"]
    assert [(part["name"], part["version"]) for part in parts] == pinned
    assert all(part["externalReferences"] for part in parts)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.5")
