"""Loaded before Django (`-p tests.environment`): a private place for each test process.

Every process gets its own LOCAL_DIR, so on SQLite its own file; on PostgreSQL its own database,
made by the owner and used as the ordinary application role; on Redis its own database number.
Child processes (web, worker) inherit all of it.
"""

import atexit
import os
import shutil
import tempfile
from urllib.parse import urlsplit, urlunsplit

import psycopg

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
OWNER_URL = ""


def _with_path(url: str, path: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{path}"))


def _make_database(owner_url: str, name: str) -> None:
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        owner.execute(f'CREATE DATABASE "{name}"')


def _settle() -> None:
    global OWNER_URL
    local = tempfile.mkdtemp(prefix="kiryana-test-")
    atexit.register(shutil.rmtree, local, ignore_errors=True)
    os.environ["LOCAL_DIR"] = local
    os.environ["LOG_LEVEL"] = "WARNING"
    os.environ.pop("SHOP", None)
    # Out of reach of every test that is not about limits; children inherit it.
    for name in ("DEVICE", "HEAD_OFFICE", "STAFF", "EARLIER", "ANONYMOUS", "LOG_IN"):
        os.environ[f"LIMIT_{name}"] = "1000000"
    if url := os.environ.get("DATABASE_URL", ""):
        name = f"test_{os.getppid()}_{WORKER}"
        _make_database(os.environ["DATABASE_OWNER_URL"], name)
        OWNER_URL = _with_path(os.environ["DATABASE_OWNER_URL"], name)
        os.environ["DATABASE_URL"] = _with_path(url, name)
    if url := os.environ.get("REDIS_URL", ""):
        os.environ["REDIS_URL"] = _with_path(url, str(int(WORKER.removeprefix("gw")) + 1))


_settle()
