"""A real Chromium before a real web server; both see the database of the `committed` fixture."""

import os
import shutil
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from playwright.sync_api import sync_playwright

from tests import databases, make

CHROMIUM_ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
READY_S_MAX = 30


@pytest.fixture(scope="session")
def web(django_db_setup):
    """The address of a web server of our own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1",
        "--port", str(port), "--workers", "1", "inventory_project.wsgi:application",
    ]  # fmt: skip
    server = subprocess.Popen(command, cwd=databases.CHECKOUT, env=os.environ)
    try:
        wait_for(server, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=10)


def wait_for(server, port):
    deadline = time.monotonic() + READY_S_MAX
    while time.monotonic() < deadline:
        assert server.poll() is None, "the web server ended at once"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the web server did not come up")


@pytest.fixture(scope="session")
def chromium():
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium on the PATH; script/chromium says how to install it")
    # Playwright runs an event loop in this thread; Django would take the thread for an async one.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def office(committed, web, chromium):
    """Head office signed in; at the end, nothing was wrong in the console or asked elsewhere."""
    make.make_superuser()
    context = chromium.new_context(base_url=web, viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.set_default_timeout(15_000)
    wrong: list[str] = []
    page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("response", lambda r: wrong.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    page.on(
        "request",
        lambda r: None if r.url.startswith((web, "data:", "blob:")) else wrong.append(r.url),
    )
    page.goto("/admin/login/")
    page.fill("[name=username]", "head")
    page.fill("[name=password]", "correct horse battery")
    page.click("[type=submit]")
    page.wait_for_url("**/admin/")
    yield SimpleNamespace(page=page, wrong=wrong)
    context.close()
    assert wrong == []
