"""The masters of the chain as the API takes them: stores, categories and products.

The files are as published, dirt included; what is mended and left out is counted.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from examples.iowa.files import read_rows

STORE_COLUMNS = ("Store", "Name", "Store Status", "Address", "City", "State", "Zip Code")
PRODUCT_COLUMNS = (
    "Item Number", "Category Name", "Item Description", "Pack", "UPC", "SCC",
    "State Bottle Retail",
)  # fmt: skip
TIMEZONE = "America/Chicago"
CURRENCY = "USD"
PACK_UNITS_MAX = 10_000
UPC_DIGITS = 12
CASE_GTIN_DIGITS = 14
GTIN_DIGITS = (8, UPC_DIGITS, 13, CASE_GTIN_DIGITS)
REPLACEMENT_CHARACTER = "\ufffd"  # what a broken conversion leaves of a letter
_PRICE = re.compile(r"[0-9]{1,9}(\.[0-9]{1,4})?")


@dataclass
class Masters:
    """Bodies for the API, by what they describe."""

    stores: list[dict[str, Any]] = field(default_factory=list)
    categories: list[dict[str, Any]] = field(default_factory=list)
    products: list[dict[str, Any]] = field(default_factory=list)
    texts_mended: int = 0
    codes_left_out: int = 0


def read_masters(data: Path, masters_date: str) -> Masters:
    """Read both masters of a folder. Raises CannotGoOnError."""
    masters = Masters()
    for row in read_rows(data, f"stores_{masters_date}", STORE_COLUMNS):
        masters.stores.append(_describe_store(row, masters))
    for row in read_rows(data, "products", PRODUCT_COLUMNS):
        masters.products.append(_describe_product(row, masters))
    names = {product["category"] for product in masters.products if "category" in product}
    masters.categories = [{"name": name} for name in sorted(names)]
    return masters


def clean_store_code(raw: str) -> str:
    """Store 010003 of the master is store 10003 of the sales."""
    return raw.strip().lstrip("0")


def is_gtin(code: str) -> bool:
    """Whether a code has the length and the check digit of a GTIN."""
    if not (code.isascii() and code.isdecimal() and len(code) in GTIN_DIGITS):
        return False
    weighted = sum(int(d) * (1 if place % 2 == 0 else 3) for place, d in enumerate(reversed(code)))
    return weighted % 10 == 0


def mend_text(raw: str) -> str:
    """One line of text that the API takes: no control characters, no odd spaces.

    A letter that was lost before the file was published cannot be brought back; `?` says so.
    """
    plain = raw.replace(REPLACEMENT_CHARACTER, "?")
    kept = (
        c if unicodedata.category(c) not in ("Cc", "Cf", "Zs", "Zl", "Zp") else " " for c in plain
    )
    return unicodedata.normalize("NFC", "".join(kept)).strip()


def _describe_store(row: dict[str, str], masters: Masters) -> dict[str, Any]:
    code = clean_store_code(row["Store"])
    places = [row[name].strip() for name in ("Address", "City", "State", "Zip Code")]
    return {
        "code": code,
        "name": _mend(row["Name"], masters)[:120] or f"Store {code}",
        "address": _mend(", ".join(place for place in places if place), masters)[:250],
        "timezone": TIMEZONE,
        "currency": CURRENCY,
        "retired": row["Store Status"].strip() == "I",
    }


def _describe_product(row: dict[str, str], masters: Masters) -> dict[str, Any]:
    sku, price = row["Item Number"].strip(), row["State Bottle Retail"].strip().lstrip("$")
    product: dict[str, Any] = {
        "sku": sku,
        "name": _mend(row["Item Description"], masters)[:250] or f"Item {sku}",
        "unit": "each",
        "barcodes": _find_barcodes(row, masters),
    }
    # A category's name is its address, too, so the API takes no slash: COCKTAILS/RTD
    if category := _mend(row["Category Name"].replace("/", " "), masters)[:120]:
        product["category"] = category
    if _PRICE.fullmatch(price):
        product["price"] = price
    return product


def _find_barcodes(row: dict[str, str], masters: Masters) -> list[dict[str, Any]]:
    """The bottle's code, and the case's with the bottles in it; a wrong code is worse than none."""
    upc, case, pack = row["UPC"].strip(), row["SCC"].strip(), row["Pack"].strip()
    if len(upc) == UPC_DIGITS - 1:
        upc = upc.zfill(UPC_DIGITS)  # it lost its leading zero in a spreadsheet
    barcodes = [{"code": upc, "units": 1}] if is_gtin(upc) else []
    pack_fits = pack.isdecimal() and 1 <= int(pack) <= PACK_UNITS_MAX
    is_another = case.lstrip("0") != upc.lstrip("0")
    if len(case) == CASE_GTIN_DIGITS and is_gtin(case) and pack_fits and is_another:
        barcodes.append({"code": case, "units": int(pack)})
    masters.codes_left_out += bool(upc) + bool(case) - len(barcodes)
    return barcodes


def _mend(raw: str, masters: Masters) -> str:
    mended = mend_text(raw)
    masters.texts_mended += mended != raw.strip()
    return mended
