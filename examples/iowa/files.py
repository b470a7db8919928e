"""The published files: CSV with a header row, plain or gzipped."""

import csv
import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path

from examples.iowa.errors import CannotGoOnError


def read_rows(data: Path, name: str, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """The rows of `name`.csv.gz or `name`.csv, each with at least these columns.

    Raises CannotGoOnError when the file is not there or is not what its name says: an error page
    saved under it, for example.
    """
    path = _find(data, name)
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", errors="replace", newline="") as file:
            rows = csv.DictReader(file)
            missing = [column for column in columns if column not in (rows.fieldnames or ())]
            if missing:
                raise CannotGoOnError(f"{path} has no column {missing[0]!r}; is it the right file?")
            for row in rows:
                if any(row[column] is None for column in columns):
                    raise CannotGoOnError(f"{path}, line {rows.line_num}: the row is too short.")
                yield row
    except (OSError, EOFError, csv.Error) as error:
        raise CannotGoOnError(f"{path} cannot be read: {error}.") from error


def _find(data: Path, name: str) -> Path:
    for path in (data / f"{name}.csv.gz", data / f"{name}.csv"):
        if path.is_file():
            return path
    raise CannotGoOnError(f"There is no {name}.csv.gz or {name}.csv in {data}; see the README.")
