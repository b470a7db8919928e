"""docs/api/first-sale.md is true: every command in it runs, every answer in it is the real one.

What it says in words, and no other test of an endpoint holds, stands here too.
"""

import json
import os
import re
import subprocess
import urllib.error
import urllib.request
import uuid
from itertools import zip_longest

import pytest
from django.conf import settings
from django.urls import URLPattern

from catalog.editing import Code
from inventory_project.urls import urlpatterns
from tests.make import apply_all, make_product, sale
from tests.web import CHECKOUT, running_web

PAGE = CHECKOUT / "docs" / "api" / "first-sale.md"
INDEX = CHECKOUT / "docs" / "api" / "README.md"
FENCED = re.compile(r"^```(sh|http|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
END = "--- end of block ---"
SALES = "/api/orders/sales/"
CARTON = "9521000000025"

# What differs from run to run. An instant must look like one; a name may be another one, but the
# same name on the page must be the same one in the answers.
VARYING_INSTANTS = {"server_time", "created_at", "changed_at", "received_at", "recorded_at"}
VARYING_NAMES = {"event_id", "key of the caller"}


def read_page():
    """The page's commands, each with the answer shown below it (or None)."""
    blocks = FENCED.findall(PAGE.read_text())
    for (kind, text), (next_kind, shown) in zip_longest(blocks, blocks[1:], fillvalue=("", "")):
        if kind == "sh":
            yield text, (shown if next_kind in ("http", "text") else None)


class Shell:
    """One bash for the whole page, so that later commands know what earlier ones set."""

    def __init__(self, folder, url):
        self.folder, self.errors = folder, (folder / "stderr").open("w+")
        environment = os.environ | {"URL": url, "no_proxy": "*", "TMPDIR": str(folder)}
        self.process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"], cwd=CHECKOUT, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
        )  # fmt: skip

    def run(self, block):
        """Run a block; returns what it wrote. It fails as soon as one of its commands fails."""
        file = self.folder / "block.sh"
        file.write_text(f"set -euo pipefail\n{block}")
        print(f". {file} < /dev/null; echo '{END}'", file=self.process.stdin, flush=True)
        lines = []
        for line in self.process.stdout:
            if line.endswith(f"{END}\n"):
                return "".join(lines) + line.removesuffix(f"{END}\n")
            lines.append(line)
        self.errors.seek(0)
        raise AssertionError(f"{block}\nended the shell: {''.join(lines)}{self.errors.read()}")

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()
        self.errors.close()


def test_the_page_is_true(committed, tmp_path):
    blocks = list(read_page())
    assert len(blocks) > 20, "the page was not read"
    names = {}
    with running_web() as url:
        shell = Shell(tmp_path, url)
        try:
            for block, shown in blocks:
                if block.startswith("sleep "):
                    apply_all()  # the worker's turn, and not before
                answered = shell.run(block)
                assert shown is not None or answered == "", f"{block}\nanswered {answered}"
                if shown is not None:
                    differences = list(compare(read_answer(shown), read_answer(answered), names))
                    assert differences == [], f"{block}\n{answered}"
        finally:
            shell.close()


def test_a_wrong_page_is_noticed():
    real = {"event_id": str(uuid.uuid4()), "recorded_at": "2026-03-02T05:00:00Z", "seq": 3}
    shown = {"event_id": str(uuid.uuid4()), "recorded_at": "2025-01-01T00:00:00Z", "seq": 3}
    names = {}
    assert list(compare(shown, real, names)) == []
    assert list(compare(shown | {"seq": 4}, real, names)) == ["/seq: 4 shown, 3 real"]
    assert len(list(compare(shown | {"more": True}, real, names))) == 1
    assert len(list(compare(shown | {"event_id": "another"}, real, names))) == 1
    assert len(list(compare(shown, real | {"recorded_at": "today"}, names))) == 1


def test_every_limit_of_the_table_of_answers_is_413(committed, lahore, till):
    batch = {"events": [{} for _ in range(settings.BATCH_EVENTS_MAX + 1)]}
    with running_web() as url:
        for body in (json.dumps(batch).encode(), b" " * (settings.REQUEST_BYTES_MAX + 1)):
            assert _post(f"{url}/api/orders/sales/", till.credential, body) == (413, "too_large")


@pytest.mark.django_db
def test_the_same_is_the_same_content_however_it_is_written(till):
    event = sale(quantity=1)
    assert till.post(SALES, event).status_code == 202
    again = {"quantity": "1.000", "occurred_at": "2026-03-02T07:00:00Z", "device_seq": 7}
    assert till.post(SALES, event | again).body["status"] == "duplicate"
    others = {"kind": "return", "quantity": 2, "amount": "1.00", "receipt": "R-9"}
    for name, value in others.items():
        assert till.post(SALES, event | {name: value}).status_code == 409, name
    del event["sku"]
    assert till.post(SALES, event | {"barcode": CARTON}).status_code == 409


@pytest.mark.django_db
def test_a_scanned_carton_is_told_as_sent_while_it_waits_and_as_booked_afterwards(till):
    make_product("TEA", barcodes=[Code(CARTON, 12)])
    event = sale(quantity=1, barcode=CARTON)
    del event["sku"]
    till.post(SALES, event)
    told = till.get(f"{SALES}{event['event_id']}/").body
    assert (told["sku"], told["barcode"], told["quantity"]) == ("", f"0{CARTON}", 1)
    apply_all()
    told = till.get(f"{SALES}{event['event_id']}/").body
    assert (told["sku"], told.get("barcode"), told["quantity"]) == ("TEA", None, 12)
    found = till.get("/api/catalog/products/", barcode=f"0{CARTON}").body["results"]
    assert [product["sku"] for product in found] == ["TEA"]
    assert till.get("/api/catalog/products/", barcode="123").body["results"] == []


@pytest.mark.django_db
def test_a_batch_of_which_nothing_is_taken_is_200_and_names_the_first_thing_wrong(till):
    answer = till.post(SALES, {"events": [sale(quantity=None, amount=None), 3]})
    assert answer.status_code == 200
    assert [(one["status"], one["code"]) for one in answer.body["results"]] == [
        ("rejected", "not_exact"),
        ("rejected", "not_an_object"),
    ]
    alone = till.post(SALES, sale(quantity=None, amount=None))
    assert (alone.status_code, len(alone.body["errors"])) == (400, 2)


def test_the_index_lists_every_address_and_no_other():
    rows = re.findall(r"^\| `/.*$", INDEX.read_text(), re.MULTILINE)
    listed = {address for row in rows for address in re.findall(r"`(/[^`]*)`", row)}
    routes = [str(one.pattern) for one in urlpatterns if isinstance(one, URLPattern)]
    assert listed == {"/" + re.sub(r"<\w+:(\w+)>", r"{\1}", route) for route in routes}


def read_answer(text):
    """An HTTP answer as {status, headers, body}; anything else as its lines."""
    if not text.startswith("HTTP/"):
        return text.split()
    head, _, body = text.replace("\r\n", "\n").partition("\n\n")
    status, *headers = head.split("\n")
    return {
        "status": status.strip(),
        "headers": {n.lower(): v for n, _, v in (line.partition(": ") for line in headers)},
        "body": json.loads(body) if body.strip() else None,
    }


def compare(shown, real, names, place=""):
    """Say where the page and the product differ; `names` binds the page's names to real ones."""
    field = place.rpartition("/")[2]
    if isinstance(shown, dict) and isinstance(real, dict):
        # Of the headers the page shows only those that matter.
        fields = shown.keys() if field == "headers" else shown.keys() | real.keys()
        for name in sorted(fields):
            yield from compare(shown.get(name), real.get(name), names, f"{place}/{name}")
    elif isinstance(shown, list) and isinstance(real, list) and len(shown) == len(real):
        for number, (left, right) in enumerate(zip(shown, real, strict=True)):
            yield from compare(left, right, names, f"{place}/{number}")
    elif not _is_same(field if place != "/body/key" else "key of the caller", shown, real, names):
        yield f"{place}: {json.dumps(shown)} shown, {json.dumps(real)} real"


def _is_same(field, shown, real, names):
    if field in VARYING_NAMES and isinstance(shown, str) and isinstance(real, str):
        if shown not in names and real not in names.values():
            names[shown] = real
        return names.get(shown) == real
    if field in VARYING_INSTANTS and isinstance(shown, str) and isinstance(real, str):
        return bool(INSTANT.fullmatch(shown) and INSTANT.fullmatch(real))
    return shown == real and type(shown) is type(real)


def _post(url, credential, body):
    headers = {"Authorization": f"Api-Key {credential}", "Content-Type": "application/json"}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(urllib.request.Request(url, body, headers))
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())["code"]
    raise AssertionError("it was taken")
