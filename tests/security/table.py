"""Who is answered what, at every address: the one table that tests/security/test_matrix.py checks.

A block gives the status for each caller (columns, made in cast.py) and each target: `own` is the
Lahore store or something the chain has, `other` the Karachi store, `missing` nothing at all. Below
it stand the methods and addresses it holds for; `ok` is the status behind `=`. An address that
the URL resolver knows and this table does not fails the build: put it under the block that says
what it shall answer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TABLE = (Path(__file__).parent / "table.txt").read_text()

# What an address does not take: at the API, and at those of Django's that ask nothing of it.
NOT_TAKEN = 405
UNKNOWN = {"nobody": 401, "revoked": 401, "ended": 401}


@dataclass(frozen=True)
class Row:
    """What each caller is answered by one method of one address, by target."""

    method: str
    route: str
    ok: int
    cells: dict[str, dict[str, str]]

    def expect(self, caller: str, target: str) -> int:
        cell = self.cells[target][caller]
        return self.ok if cell == "ok" else int(cell)


def read_table() -> tuple[list[str], list[Row]]:
    """The callers, in the order of the columns, and a row for each method and address."""
    blocks = TABLE.strip("\n").split("\n\n")
    callers = blocks[0].split()
    return callers, [row for block in blocks[1:] for row in _read_block(callers, block)]


def _read_block(callers: list[str], block: str) -> Iterator[Row]:
    lines = [line for line in block.splitlines() if not line.startswith("#")]
    cells = {}
    for line in lines:
        if not line.startswith(" "):
            target, *statuses = line.split()
            cells[target] = dict(zip(callers, statuses, strict=True))
    for line in lines:
        if line.startswith(" "):
            address, _, ok = line.strip().partition(" = ")
            methods, _, route = address.partition(" ")
            for method in methods.split("/"):
                yield Row(method, route, int(ok or 0), cells)
