"""The catalogue from a CSV file: the good rows are saved, the bad ones told with their reasons.

A file that cannot be read to its end changes nothing. One that can is read row by row and saved
by the thousand, so that neither memory nor the lock on the catalogue grows with it.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TextIO

from catalog.editing import (
    Code,
    ProductRow,
    RowsPlan,
    clean_barcode,
    clean_category_name,
    clean_new_sku,
    clean_units,
    plan_products,
    save_products,
)
from catalog.models import BARCODES_PER_PRODUCT_MAX, Product, Unit
from inventory_project.errors import InvalidValue
from inventory_project.fields import MONEY_PLACES, clean_text, parse_money
from inventory_project.reading import read_one_of
from inventory_project.spreadsheets import neutralise, take_back
from stores.principals import SYSTEM, Principal

COLUMNS = ("sku", "name", "category", "unit", "price", "barcodes")
# A file of failed rows can be mended and imported again as it is.
REASON_COLUMN = "reason"
IGNORED_COLUMNS = frozenset((REASON_COLUMN,))
ROWS_PER_TRANSACTION = 1_000
NAME_CHARACTERS_MAX = 250
# Also of a row over many lines: nothing else bounds what csv.reader holds in memory.
ROW_CHARACTERS_MAX = 200_000

# How files begin that are chosen by mistake; their bytes above 127 as surrogateescape reads them.
_OTHER_FILES = (
    ("PK\x03\x04", "an Excel workbook or another zip archive"),
    ("PK\x05\x06", "an Excel workbook or another zip archive"),
    ("\udcd0\udccf\x11", "an old Excel workbook"),
    ("%PDF-", "a PDF"),
    ("\x1f\udc8b", "a gzip archive"),
    ("<", "XML or a web page"),
)
_PACK = re.compile(r"(.+)\*([0-9]{1,9})")
_read_unit = read_one_of(*Unit.values)

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class FailedRow:
    """A row that was not taken; `line_number` is its first line in the file, from 1."""

    line_number: int
    row: Row
    reason: str

    def __str__(self) -> str:
        return f"line {self.line_number}: {self.reason}"


@dataclass(slots=True)
class ImportReport:
    """What became of a file's rows; after a dry run, what would have."""

    created: int = 0
    changed: int = 0
    unchanged: int = 0
    failed: list[FailedRow] = field(default_factory=list)


def import_catalog(
    file: TextIO,
    *,
    by: Principal = SYSTEM,
    dry_run: bool = False,
    rows_max: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> ImportReport:
    """Create and change products from CSV with the header `sku,name,category,unit,price,barcodes`.

    Barcodes are separated by spaces, a pack is `CODE*12`; an empty cell leaves an existing
    product as it is; categories nobody knows are made. `file` is UTF-8, at its start, and can be
    rewound. `on_progress` is told the number of rows done so far. Raises InvalidValue, with
    nothing saved, for a file that is no such CSV or has more than `rows_max` rows.
    """
    _read_utf8(file)
    for count, _ in enumerate(_read_rows(file), 1):
        if rows_max is not None and count > rows_max:
            raise InvalidValue("too_many_rows", f"The file has more than {rows_max:,} rows.")
    file.seek(0)
    report = ImportReport()
    seen: set[str] = set()
    done = 0
    for chunk in _cut(_read_rows(file)):
        products = _check_rows(chunk, seen, report)
        plan = plan_products(products) if dry_run else save_products(products, by=by)
        _count(report, plan)
        done += len(chunk)
        if on_progress:
            on_progress(done)
    return report


def write_failed_rows(report: ImportReport, file: TextIO) -> None:
    """Write the failed rows as CSV, the reason before each; no cell is a formula.

    Open `file` with `newline=""`.
    """
    writer = csv.writer(file)
    writer.writerow([REASON_COLUMN, *COLUMNS])
    for failed in report.failed:
        cells = [str(failed), *(failed.row[column] for column in COLUMNS)]
        writer.writerow([neutralise(cell) for cell in cells])


# --- reading --------------------------------------------------------------------------------


def _read_utf8(file: TextIO) -> None:
    """Let bytes that are not UTF-8 through for now, so that their line can be named."""
    if isinstance(file, io.TextIOWrapper):
        file.reconfigure(encoding="utf-8-sig", errors="surrogateescape", newline="")


class _Lines:
    """The lines of a file, one after the other, no more of it in memory than a row may have."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._number = 0
        self._left = ROW_CHARACTERS_MAX

    def begin_row(self) -> None:
        self._left = ROW_CHARACTERS_MAX

    def __iter__(self) -> Iterator[str]:
        while line := self._file.readline(self._left + 1):
            self._number += 1
            if self._number == 1:
                line = line.removeprefix("\ufeff")
                _refuse_other_file(line)
            self._check(line)
            yield line

    def _check(self, line: str) -> None:
        number = self._number
        self._left -= len(line)
        if not line.isascii() and any("\udc80" <= c <= "\udcff" for c in line):
            raise InvalidValue("not_utf8", f"Line {number} is not UTF-8; save the file as UTF-8.")
        if "\0" in line:
            raise InvalidValue("nul", f"Line {number} holds a NUL character; this is no CSV file.")
        if self._left < 0:
            raise InvalidValue(
                "row_too_long",
                f"Line {number}: a row has more than {ROW_CHARACTERS_MAX:,} characters.",
            )


def _refuse_other_file(first_line: str) -> None:
    """Raises InvalidValue for what is no text of rows, whatever its name says."""
    for start, what in _OTHER_FILES:
        if first_line.startswith(start):
            raise InvalidValue("not_csv", f"This is {what}. Save it as CSV in UTF-8.")


def _read_rows(file: TextIO) -> Iterator[tuple[int, list[str], list[str]]]:
    """Yield (line number, header, cells) of each row. Raises InvalidValue."""
    lines = _Lines(file)
    reader = csv.reader(lines, strict=True)
    header: list[str] | None = None
    line_number = 1
    try:
        for cells in reader:
            lines.begin_row()
            if header is None:
                header = _check_header(cells)
            elif cells:
                yield line_number, header, cells
            line_number = reader.line_num + 1
    except csv.Error as error:
        raise InvalidValue(
            "not_csv", f"Line {line_number} cannot be read as CSV: {error}."
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidValue(
            "not_utf8", f"Line {line_number} or one soon after it is not UTF-8."
        ) from error
    if header is None:
        raise InvalidValue("empty", f"The file is empty; its first line is {','.join(COLUMNS)}.")


def _check_header(cells: list[str]) -> list[str]:
    header = [cell.strip().lower() for cell in cells]
    wanted = f"the first line is {','.join(COLUMNS)}"
    for name in header:
        if name not in COLUMNS and name not in IGNORED_COLUMNS:
            raise InvalidValue("unknown_column", f"Unknown column {name[:40]!a}; {wanted}.")
        if header.count(name) > 1:
            raise InvalidValue("column_twice", f"Column {name} stands twice; {wanted}.")
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise InvalidValue("missing_column", f"Column {missing[0]} is missing; {wanted}.")
    return header


def _cut(
    rows: Iterator[tuple[int, list[str], list[str]]],
) -> Iterator[list[tuple[int, list[str], list[str]]]]:
    chunk = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == ROWS_PER_TRANSACTION:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


# --- checking -------------------------------------------------------------------------------


def _check_rows(
    chunk: list[tuple[int, list[str], list[str]]], seen: set[str], report: ImportReport
) -> list[ProductRow]:
    """The good rows; the bad ones go into the report."""
    good: list[tuple[int, Row, ProductRow]] = []
    for line_number, header, raw_cells in chunk:
        is_mended = REASON_COLUMN in header
        cells = [take_back(cell) for cell in raw_cells] if is_mended else raw_cells
        row = dict.fromkeys(COLUMNS, "") | dict(zip(header, cells, strict=False))
        try:
            product = _check_row(header, cells, row, seen)
        except InvalidValue as error:
            report.failed.append(FailedRow(line_number, row, error.detail))
            continue
        seen.add(product.sku)
        good.append((line_number, row, product))
    return _refuse_nameless(good, report)


def _check_row(header: list[str], cells: list[str], row: Row, seen: set[str]) -> ProductRow:
    if len(cells) != len(header):
        raise InvalidValue("cells", f"has {len(cells)} cells and the header {len(header)}")
    product = _read_product(row)
    if product.sku in seen:
        raise InvalidValue("sku_twice", "sku: stands in an earlier row of this file")
    return product


def _read_product(row: Row) -> ProductRow:
    """Raises InvalidValue with everything that is wrong."""
    values: dict[str, object] = {}
    wrong = []
    for column in COLUMNS:
        try:
            values[column] = _READERS[column](row[column])
        except InvalidValue as error:
            wrong.append(f"{column}: {error.detail}")
    if wrong:
        raise InvalidValue("row", "; ".join(wrong))
    return ProductRow(**values)  # type: ignore[arg-type]


def _read_price(cell: str) -> Decimal:
    return Decimal(parse_money(cell)).scaleb(-MONEY_PLACES)


def _read_barcodes(cell: str) -> tuple[Code, ...]:
    codes = tuple(_read_barcode(text) for text in cell.split())
    if len(codes) > BARCODES_PER_PRODUCT_MAX:
        raise InvalidValue("too_many", f"must be at most {BARCODES_PER_PRODUCT_MAX} barcodes")
    return codes


def _read_barcode(text: str) -> Code:
    pack = _PACK.fullmatch(text)
    if pack is None:
        return Code(clean_barcode(text))
    return Code(clean_barcode(pack[1]), clean_units(int(pack[2])))


def _unless_empty(read: Callable[[str], object]) -> Callable[[str], object]:
    return lambda cell: read(cell.strip(" ")) if cell.strip(" ") else None


_READERS: dict[str, Callable[[str], object]] = {
    "sku": clean_new_sku,
    "name": _unless_empty(lambda cell: clean_text(cell, characters_max=NAME_CHARACTERS_MAX)),
    "category": _unless_empty(clean_category_name),
    "unit": _unless_empty(_read_unit),
    "price": _unless_empty(_read_price),
    "barcodes": _unless_empty(_read_barcodes),
}


def _refuse_nameless(
    good: list[tuple[int, Row, ProductRow]], report: ImportReport
) -> list[ProductRow]:
    """A new product needs a name; products are never deleted, so a known one stays known."""
    nameless = [product.sku for _, _, product in good if product.name is None]
    known = set(Product.objects.filter(sku__in=nameless).values_list("sku", flat=True))
    left = []
    for line_number, row, product in good:
        if product.name is None and product.sku not in known:
            report.failed.append(FailedRow(line_number, row, "name: is needed for a new product"))
        else:
            left.append(product)
    report.failed.sort(key=lambda failed: failed.line_number)
    return left


def _count(report: ImportReport, plan: RowsPlan) -> None:
    report.created += len(plan.created)
    report.changed += len(plan.changed)
    report.unchanged += plan.unchanged
