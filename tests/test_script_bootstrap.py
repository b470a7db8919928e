"""script/bootstrap: what it installs, and the one sentence when it cannot."""

import os
import shutil
import subprocess
import sys

import pytest

from script.server_binaries import CHECKOUT

pytestmark = pytest.mark.sqlite  # whatever database the product uses: once is enough

TOOLS = ("bash", "env", "dirname", "cmp", "cp", "mkdir", "rm")


@pytest.fixture
def checkout(tmp_path):
    """A checkout that has only script/bootstrap and a requirement no registry will be asked for."""
    folder = tmp_path / "checkout"
    (folder / "script").mkdir(parents=True)
    shutil.copy(CHECKOUT / "script" / "bootstrap", folder / "script")
    (folder / "requirements.txt").write_text("")
    return folder


@pytest.fixture
def path(tmp_path):
    """A PATH with ordinary tools and no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool))
    return folder


def put_python(path, script):
    python = path / "python3.11"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)


def bootstrap(checkout, path, *arguments, **environment):
    return subprocess.run(
        [checkout / "script" / "bootstrap", *arguments],
        env={"PATH": str(path), "HOME": str(checkout)} | environment,
        capture_output=True, text=True,
    )  # fmt: skip


def assert_one_sentence(answer, *words):
    assert answer.returncode == 1
    last = answer.stderr.strip().splitlines()[-1]
    assert last.startswith("script/bootstrap: ")
    for word in words:
        assert word in last
    assert "Traceback" not in answer.stderr


def test_no_python_311_is_one_sentence(checkout, path):
    assert_one_sentence(bootstrap(checkout, path), "Python 3.11 was not found")
    assert not (checkout / ".venv").exists()


def test_another_python_is_not_taken(checkout, path):
    put_python(path, "exit 1")  # what asks for the version fails
    assert_one_sentence(bootstrap(checkout, path), "Python 3.11 was not found")


def test_no_venv_module_is_one_sentence(checkout, path):
    put_python(path, 'case "$2" in *ensurepip*) exit 1;; *) exit 0;; esac')
    assert_one_sentence(bootstrap(checkout, path), "no venv module", "python3.11-venv")
    assert not (checkout / ".venv").exists()


def test_missing_file_is_one_sentence(checkout, path):
    assert_one_sentence(bootstrap(checkout, path, "nothing.txt"), "there is no file nothing.txt")
    assert not (checkout / ".venv").exists()


def test_installs_what_is_named_and_only_what_has_changed(checkout, path):
    put_python(path, f'exec {sys.executable} "$@"')
    dev, stamps = checkout / "requirements-dev.txt", checkout / ".venv" / "installed"
    dev.write_text("")
    first = bootstrap(checkout, path, dev.name)
    assert "Installing requirements.txt requirements-dev.txt" in first.stderr
    assert {file.name for file in stamps.iterdir()} == {"requirements.txt", dev.name}
    assert bootstrap(checkout, path, dev.name).stderr == ""

    dev.write_text("# changed\n")
    assert bootstrap(checkout, path, dev.name).stderr.startswith(
        "Installing requirements-dev.txt ..."
    )

    # The registry is out of reach: one sentence, and the next start tries again.
    dev.write_text(f"django==5.2.19 --hash=sha256:{'0' * 64}\n")
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": os.devnull}
    for _ in range(2):
        answer = bootstrap(checkout, path, dev.name, **nowhere)
        assert_one_sentence(
            answer, "requirements-dev.txt could not be installed", "network", ".venv/pip.log"
        )
