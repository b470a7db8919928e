"""The invoice lines of a month as sale events, and the batches they are sent in."""

import json
import random
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from examples.iowa.errors import CannotGoOnError
from examples.iowa.files import read_rows
from examples.iowa.masters import TIMEZONE, clean_store_code

COLUMNS = (
    "Invoice/Item Number", "Date", "Store Number", "Item Number", "Bottles Sold",
    "Sale (Dollars)",
)  # fmt: skip
# Any UUID will do as long as it never changes: the same line makes the same event_id on every
# run, on every machine. That is what makes sending again safe.
EVENT_NAMESPACE = uuid.UUID("5f6e8d0c-3c0b-4e43-9d0e-6b1f6a6f2a11")
LINE_DIGITS = 5  # the end of a line id; what is before it is the invoice number
NOON = time(12)
_WHOLE = re.compile(r"-?[0-9]{1,7}")
_MONEY = re.compile(r"[0-9]{1,9}(\.[0-9]{1,4})?")


@dataclass(frozen=True, slots=True)
class Month:
    """A month as a half-open range of days: `first` is in it, `behind` is not."""

    first: date
    behind: date

    @classmethod
    def parse(cls, text: str) -> "Month":
        """Read `2022-10`. Raises ValueError."""
        first = datetime.strptime(text, "%Y-%m").date()
        years, months = divmod(first.month, 12)
        return cls(first, date(first.year + years, months + 1, 1))

    @property
    def name(self) -> str:
        """Such as 2022-10."""
        return f"{self.first:%Y-%m}"


@dataclass(frozen=True, slots=True)
class SaleLine:
    """One invoice line. `bottles` is negative for a return; `body` is its event as JSON."""

    event_id: str
    store: str
    sku: str
    bottles: int
    body: bytes


def read_month(data: Path, month: Month, limit: int | None = None) -> list[SaleLine]:
    """The lines of a month in the file's order, the first `limit` of them.

    Raises CannotGoOnError for a missing file and a line that cannot be understood.
    """
    lines: list[SaleLine] = []
    for number, row in enumerate(read_rows(data, f"sales_{month.name}", COLUMNS), start=2):
        if limit is not None and len(lines) >= limit:
            break
        try:
            day = read_day(row["Date"])
            if month.first <= day < month.behind:
                lines.append(make_line(row, day))
        except ValueError as error:
            raise CannotGoOnError(f"sales_{month.name}, row {number}: {error}.") from error
    if not lines:
        raise CannotGoOnError(f"sales_{month.name} has no line of {month.name}.")
    return lines


def make_line(row: dict[str, str], day: date) -> SaleLine:
    """One row as a sale event. Raises ValueError."""
    line_id, store = row["Invoice/Item Number"].strip(), clean_store_code(row["Store Number"])
    sku, bottles = row["Item Number"].strip(), row["Bottles Sold"].strip()
    dollars = row["Sale (Dollars)"].strip().replace("$", "").lstrip("-")
    if not _WHOLE.fullmatch(bottles):
        raise ValueError(f"{bottles!r} is no number of bottles")
    if not _MONEY.fullmatch(dollars):
        raise ValueError(f"{dollars!r} is no amount of dollars")
    event: dict[str, Any] = {
        "event_id": str(uuid.uuid5(EVENT_NAMESPACE, line_id)),
        "store": store,
        "sku": sku,
        "kind": "return" if bottles.startswith("-") else "sale",
        "quantity": abs(int(bottles)),
        "occurred_at": _noon(day),
        "amount": dollars,
        "receipt": line_id[:-LINE_DIGITS] or line_id,
    }
    body = json.dumps(event, separators=(",", ":")).encode()
    return SaleLine(event["event_id"], store, sku, int(bottles), body)


@cache
def read_day(text: str) -> date:
    """Read 2022-10-03, or 10/03/2022 as the portal writes it. Raises ValueError."""
    form = "%m/%d/%Y" if "/" in text else "%Y-%m-%d"
    return datetime.strptime(text.strip(), form).date()


@cache
def _noon(day: date) -> str:
    return datetime.combine(day, NOON, tzinfo=ZoneInfo(TIMEZONE)).isoformat()


def plan_batches(
    lines: Sequence[SaleLine],
    *,
    size: int,
    resend_percent: int = 0,
    shuffle_seed: int | None = None,
) -> list[Sequence[SaleLine]]:
    """Cut the lines into batches; some lines come again in batches among the later ones."""
    chance = random.Random(shuffle_seed or 0)  # noqa: S311 - no secret # nosec B311
    ordered = list(lines)
    if shuffle_seed is not None:
        chance.shuffle(ordered)
    batches = _cut(ordered, size)
    again = _cut(chance.sample(ordered, len(ordered) * resend_percent // 100), size)
    places = [(float(place), batch) for place, batch in enumerate(batches)]
    later = len(batches) / 2
    places += [(chance.uniform(later, len(batches)), batch) for batch in again]
    return [batch for _, batch in sorted(places, key=lambda placed: placed[0])]


def _cut(lines: Sequence[SaleLine], size: int) -> list[Sequence[SaleLine]]:
    return [lines[start : start + size] for start in range(0, len(lines), size)]
