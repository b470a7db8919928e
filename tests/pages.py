"""Pages of docs/api that a test runs: their commands, and the answers shown below them."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from tests.make import apply_all
from tests.web import CHECKOUT, running_web

FENCED = re.compile(r"^```(sh|http|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
SKU_OF_ID = re.compile(r"\bP(\d+)\b")
END = "--- end of block ---"

# What differs from run to run. An instant must look like one; a name may be another one, but the
# same name on the page must be the same one in the answers.
VARYING_INSTANTS = {"server_time", "created_at", "changed_at", "received_at", "recorded_at"}
VARYING_NAMES = [
    ("event", re.compile(r"/event_id$")),
    ("key", re.compile(r"^/body/key$")),
    ("product", re.compile(r"/product_id$|/product/id$|/products/\d+/id$")),
    ("store", re.compile(r"/store_id$|/store/id$|/stores/\d+/id$")),
]


def check_page(page: Path, folder: Path, **environment: str) -> int:
    """Run all of a page on a server of its own with these settings; returns how many commands it
    has."""
    blocks, names = list(read_page(page)), {}
    with running_web(**environment) as url:
        shell = Shell(folder, url)
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
    return len(blocks)


def read_page(page: Path) -> Iterator[tuple[str, str | None]]:
    """The page's commands, each with the answer shown below it (or None)."""
    blocks = FENCED.findall(page.read_text())
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
    elif not _is_same(place, shown, real, names):
        yield f"{place}: {json.dumps(shown)} shown, {json.dumps(real)} real"


def _is_same(place, shown, real, names):
    kind = next((kind for kind, found in VARYING_NAMES if found.search(place)), None)
    if kind and type(shown) is type(real) and shown is not None:
        bound = {name for one, name in names.items() if one[0] == kind}
        if (kind, shown) not in names and real not in bound:
            names[kind, shown] = real
        return names.get((kind, shown)) == real
    if place.rpartition("/")[2] in VARYING_INSTANTS and isinstance(shown, str):
        return isinstance(real, str) and bool(INSTANT.fullmatch(shown) and INSTANT.fullmatch(real))
    if isinstance(shown, str):
        shown = SKU_OF_ID.sub(lambda m: f"P{names.get(('product', int(m[1])), m[1])}", shown)
    return shown == real and type(shown) is type(real)
