"""A server to sell at, a worker behind it, a key for it, and the files of a small chain."""

import http.client
import subprocess
import sys
import threading

import pytest
from django.db import connections

from script.server_process import free_port
from stores import registry
from tests.iowa.till import CHECKOUT, PRODUCTS, SALES, STORES, write_csv
from tests.make import apply_all


@pytest.fixture
def data(tmp_path):
    write_csv(tmp_path / "stores_2022-11-01.csv.gz", STORES)
    write_csv(tmp_path / "products.csv.gz", PRODUCTS)
    write_csv(tmp_path / "sales_2022-10.csv.gz", SALES)
    return tmp_path


@pytest.fixture(scope="package")
def url(django_db_setup):
    """The product behind the web server it is shipped with."""
    port = free_port()
    command = [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--workers", "1",
        "--blocking-threads", "4", "--host", "127.0.0.1", "--port", str(port),
        "inventory_project.wsgi:application",
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=CHECKOUT, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until_ready(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def wait_until_ready(port: int) -> None:
    waiting = threading.Event()
    for _ in range(300):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            waiting.wait(0.1)  # it does not listen yet
    raise AssertionError("the web server did not start")


@pytest.fixture
def worker(committed):
    """Applies what comes in, as the worker does."""
    ending = threading.Event()

    def work() -> None:
        while not ending.wait(0.02):
            apply_all()
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    ending.set()
    thread.join()


@pytest.fixture
def key(committed):
    return registry.issue_key(name="head office", store=None).credential
