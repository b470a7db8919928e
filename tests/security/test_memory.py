"""The largest bodies, refused and accepted, take less than 100 MB of a real server each."""

import http.client
import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.test import Client

from tests import make
from tests.bad_input import raw
from tests.web import running_web

pytestmark = [
    pytest.mark.sqlite,  # bodies are read the same beside every database
    pytest.mark.skipif(
        not Path("/proc/self/clear_refs").exists(), reason="the peak is told by Linux only"
    ),
]
MEGABYTE = 1_000_000
GROWTH_MAX = 100 * MEGABYTE
BODY = 1_048_576  # settings.REQUEST_BYTES_MAX
IMPORT = "/admin/catalog/product/import/"


@pytest.fixture(scope="module")
def web(django_db_setup):
    with running_web() as url:
        yield url


def processes_of(url):
    """The server's process and all that it started."""
    port = f"\0{urlsplit(url).port}\0"
    found = [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if port in path.read_text(errors="replace")
        and "granian" in path.read_text(errors="replace")
    ]
    for pid in found:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        found.extend(int(child) for child in children if int(child) not in found)
    return found


def memory(pid, name):
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+) kB", text)[1]) * 1024


class Growth:
    """How far above where it was the memory of the server rose."""

    def __init__(self, url):
        self.pids = processes_of(url)
        assert len(self.pids) >= 2  # the one that listens and the one that works
        for pid in self.pids:
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # forget the peak
        self.before = {pid: memory(pid, "VmRSS") for pid in self.pids}

    def bytes(self):
        return max(memory(pid, "VmHWM") - self.before[pid] for pid in self.pids)


def post(url, path, body, **headers):
    line = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        line.request("POST", path, body, headers)
        answer = line.getresponse()
        return answer.status, answer.read().decode()
    finally:
        line.close()


def is_refused_unread(url, path, body, headers):
    """413, or a close while we were still writing."""
    told = "\n".join(f"{name}: {value}" for name, value in headers.items())
    head = f"POST {path} HTTP/1.1\n{told}\nContent-Length: {len(body)}"
    assert raw.talk(url, head, body)[0] in (0, 413)


def fill(text):
    """As much of it as fits a body."""
    return text * (BODY // len(text))


def events(count, make_one, name):
    rows = [make_one(receipt="R" * 60) for _ in range(count)]
    return json.dumps({name: rows}).encode().ljust(BODY - 1)


REFUSED = {
    "nested": fill("["),
    "objects": fill('{"a":'),
    "one number": fill("9"),
    "one text": '"' + fill("x")[:-2] + '"',
    "escapes": '"' + fill("\\u0041")[:-8] + '"',
    "many empty lists": "[" + fill("[],")[:-4] + "[]]",
    "many keys": "{" + ",".join(f'"{n}":1' for n in range(85_000)) + "}",
    "a long batch": '{"events":[' + ",".join(["{}"] * 300_000) + "]}",
    "too large": "x" * (BODY + 1),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("path", ["/api/orders/sales/", "/api/stock/movements/"])
def test_largest_bodies_that_are_refused(committed, web, path, name):
    key = make.make_device(make.make_store()).credential
    body = REFUSED[name].encode()
    headers = {"Authorization": f"Api-Key {key}", "Content-Type": "application/json"}
    growth = Growth(web)
    status, text = post(web, path, body, **headers)
    assert status in (400, 413), text[:300]
    assert growth.bytes() < GROWTH_MAX


@pytest.mark.parametrize(
    ("path", "name", "make_one", "statuses"),
    [
        ("/api/orders/sales/", "events", make.sale, (202,)),
        ("/api/stock/movements/", "movements", make.movement, (201,)),
    ],
)
def test_largest_bodies_that_are_accepted(committed, web, path, name, make_one, statuses):
    key = make.make_device(make.make_store()).credential
    make.make_product()
    headers = {"Authorization": f"Api-Key {key}", "Content-Type": "application/json"}
    body = events(1_000, make_one, name)
    growth = Growth(web)
    status, text = post(web, path, body, **headers)
    assert status in statuses, text[:300]
    assert growth.bytes() < GROWTH_MAX


# --- the back office -----------------------------------------------------------------------------


@pytest.fixture
def browser(committed):
    """Headers of somebody of head office who is signed in."""
    client = Client()
    client.force_login(make.make_superuser())
    token = "a" * 32
    return {
        "Cookie": f"sessionid={client.cookies['sessionid'].value}; csrftoken={token}",
        "X-CSRFToken": token,
    }


def form(content):
    """A file on the import's form."""
    part = 'Content-Disposition: form-data; name="{}"'.format
    lines = [
        "--b", part("step"), "", "check", "--b", part("file") + '; filename="a.csv"',
        "Content-Type: text/csv", "", content, "--b--", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode(), {"Content-Type": "multipart/form-data; boundary=b"}


HEADER = "sku,name,category,unit,price,barcodes\n"
MIB = 1024 * 1024
FILES = {
    "good rows": (HEADER + "".join(f"A-{n},{'é' * 40},,,1,\n" for n in range(49_999)))[: 4 * MIB],
    "bad rows": HEADER + ",,,box,,\n" * 50_000,
    "short rows": HEADER + ",\n" * (2 * MIB),
    "one line": "x" * (5 * MIB - 1_000),
}


@pytest.mark.parametrize("name", FILES)
def test_largest_files_of_the_import(browser, web, name):
    body, headers = form(FILES[name])
    growth = Growth(web)
    status, text = post(web, IMPORT, body, **(browser | headers))
    assert status == 200, text[:300]
    assert growth.bytes() < GROWTH_MAX


def test_a_form_of_20_megabytes_at_the_log_in_page(committed, web):
    """Who sends it is nobody yet."""
    client = Client()
    page = client.get("/admin/login/").content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    body = f"csrfmiddlewaretoken={token}&username=" + "x" * (20 * MIB - 200)
    headers = {
        "Cookie": f"csrftoken={client.cookies['csrftoken'].value}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    growth = Growth(web)
    is_refused_unread(web, "/admin/login/", body.encode(), headers)
    assert growth.bytes() < 60 * MEGABYTE


def test_a_file_for_the_import_from_nobody_is_not_read(committed, web):
    client = Client()
    client.get("/admin/login/")
    token = client.cookies["csrftoken"].value
    body, headers = form("x" * (19 * MIB))
    growth = Growth(web)
    cookie = {"Cookie": f"csrftoken={token}", "X-CSRFToken": token}
    is_refused_unread(web, IMPORT, body, headers | cookie)
    assert growth.bytes() < 60 * MEGABYTE
