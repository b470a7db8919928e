"""Seals over rows that only grow, so that whoever could change them all the same is found out.

A seal covers a range of rows: eight bytes for each of them, to name the one that is wrong, one
digest over their text, and a head, an HMAC over all that and the head before it. Rows are hashed
here and not by the database, which must never see the key: who has the database only, cannot make
a seal. Who has the key as well, is found by the heads that were written elsewhere (heads.py).
"""

import datetime as dt
import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from django.db.backends.base.base import BaseDatabaseWrapper

SEAL_ROWS_MAX = 4_096
MARK_BYTES = 8
DIGEST_BYTES = 32
NO_HEAD = bytes(DIGEST_BYTES)
_SEPARATOR = b"\x1f"

Keys = Mapping[str, bytes]
Row = tuple[int, bytes]


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Rows in the order of a number, and the seals over them.

    `forms` are the columns by the number of a form: what was sealed before a column was added is
    checked without it. `name` goes into each head, so that no seal fits into another chain.
    """

    name: str
    table: str
    key: str
    forms: Mapping[int, tuple[str, ...]]
    where: str = ""

    @property
    def newest_form(self) -> int:
        return max(self.forms)


@dataclass(frozen=True, slots=True)
class Seal:
    """One seal, in the order of its tables' columns."""

    first: int
    last: int
    rows: int
    marks: bytes
    digest: bytes
    head: bytes
    key_name: str
    form: int
    sealed_at: dt.datetime


SEAL_FIELDS = (
    "first", "last", "rows", "marks", "digest", "head", "key_name", "form", "sealed_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wrong:
    """The first place of a chain where something is not as it was sealed."""

    chain: str
    problem: str
    detail: str


@dataclass(slots=True)
class Checked:
    """What became of checking a chain."""

    rows: int = 0
    seals: int = 0
    last: int = 0
    wrong: Wrong | None = None


# --- rows as text -----------------------------------------------------------------------------


def read_rows(
    connection: BaseDatabaseWrapper,
    chain: Chain,
    form: int,
    *,
    after: int | None,
    until: int,
    limit: int | None = None,
) -> list[Row]:
    """Rows behind `after` (None: from the very first) up to `until`: number and text.

    The text is the database's own, in which no two rows look alike.
    """
    text = _TEXTS[connection.vendor].format(*_quote(connection, chain.forms[form]))
    conditions = [f"{chain.key} <= %s"] + [chain.where] * bool(chain.where)
    params: list[int] = [until]
    if after is not None:
        conditions.append(f"{chain.key} > %s")
        params.append(after)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_SETTLED)
        cursor.execute(
            f"SELECT {chain.key}, {text} FROM {chain.table} WHERE {' AND '.join(conditions)} "
            f"ORDER BY {chain.key}{f' LIMIT {limit}' if limit else ''}",
            params,
        )
        return [(key, row.encode()) for key, row in cursor.fetchall()]


# How PostgreSQL writes times and bytes is a setting of the session, the role or the server.
_SETTLED = (
    "SELECT set_config('DateStyle', 'ISO, YMD', false), set_config('TimeZone', 'UTC', false), "
    "set_config('bytea_output', 'hex', false)"
)
_TEXTS = {"postgresql": "ROW({0})::text", "sqlite": "{1}"}


def _quote(connection: BaseDatabaseWrapper, columns: Iterable[str]) -> tuple[str, str]:
    names = [connection.ops.quote_name(name) for name in columns]
    return ", ".join(names), " || ',' || ".join(f"quote({name})" for name in names)


# --- making seals -----------------------------------------------------------------------------


def make_seals(
    connection: BaseDatabaseWrapper,
    chain: Chain,
    keys: Keys,
    *,
    tip: Seal | None,
    until: int,
    now: dt.datetime,
) -> Iterator[Seal]:
    """Seal what stands behind the last seal, up to `until`, behind which nothing comes later.

    Nothing is written; each seal is to be stored as it comes, in this order.
    """
    while (tip.last if tip else 0) < until:
        after = tip.last if tip else None
        form = chain.newest_form
        rows = read_rows(connection, chain, form, after=after, until=until, limit=SEAL_ROWS_MAX)
        if not rows:
            return
        last = rows[-1][0] if len(rows) == SEAL_ROWS_MAX else until
        tip = _make_seal(chain, keys, tip, last, rows, now)
        yield tip


def _make_seal(
    chain: Chain, keys: Keys, tip: Seal | None, last: int, rows: list[Row], now: dt.datetime
) -> Seal:
    key_name, secret = next(iter(keys.items()))
    draft = Seal(
        first=tip.last + 1 if tip else 1,
        last=last,
        rows=len(rows),
        marks=b"".join([_mark(secret, text) for _, text in rows]),
        digest=_digest(secret, rows),
        head=b"",
        key_name=key_name,
        form=chain.newest_form,
        sealed_at=now,
    )
    head = _make_head(chain, secret, tip.head if tip else NO_HEAD, draft)
    return replace(draft, head=head)


def _mark(secret: bytes, text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=MARK_BYTES, key=secret).digest()


def _digest(secret: bytes, rows: list[Row]) -> bytes:
    joined = b"\n".join([text for _, text in rows])
    return hashlib.blake2b(joined, digest_size=DIGEST_BYTES, key=secret).digest()


def _make_head(chain: Chain, secret: bytes, before: bytes, seal: Seal) -> bytes:
    at = seal.sealed_at.astimezone(dt.UTC).isoformat()
    words = (chain.name, seal.first, seal.last, seal.rows, seal.key_name, seal.form, at)
    parts = [str(word).encode() for word in words]
    # All three of a fixed length, so that none can lend bytes to its neighbour.
    parts.append(hashlib.sha256(seal.marks).digest() + seal.digest.ljust(DIGEST_BYTES) + before)
    return hmac.digest(secret, _SEPARATOR.join(parts), "sha256")


# --- checking them ----------------------------------------------------------------------------


def check_chain(
    connection: BaseDatabaseWrapper,
    chain: Chain,
    keys: Keys,
    seals: Iterable[Seal],
    heads: Mapping[int, str] | None = None,
) -> Checked:
    """Compare rows with seals, and seals with the heads that were written elsewhere (by the last
    number they cover); ends at the first place that is wrong."""
    walk = _Walk(connection, chain, keys, dict(heads or {}))
    for seal in seals:
        wrong = walk.take(seal)
        if wrong:
            walk.checked.wrong = wrong
            return walk.checked
    walk.checked.wrong = walk.finish()
    return walk.checked


@dataclass(slots=True)
class _Walk:
    connection: BaseDatabaseWrapper
    chain: Chain
    keys: Keys
    heads: dict[int, str]
    before: Seal | None = None
    group: list[Seal] = field(default_factory=list)
    checked: Checked = field(default_factory=Checked)

    def take(self, seal: Seal) -> Wrong | None:
        """Look at the next seal. Its rows are read together with its neighbours', but before
        anything is said about a seal behind them."""
        problem = self._find_problem(seal)
        is_full = sum(s.rows for s in self.group) + seal.rows > SEAL_ROWS_MAX
        if self.group and (problem or is_full or self.group[0].form != seal.form):
            wrong = self._check_rows()
            if wrong:
                return wrong
        if problem:
            return Wrong(self.chain.name, *problem)
        self.group.append(seal)
        self.before = seal
        self.checked.seals += 1
        self.checked.rows += seal.rows
        self.checked.last = seal.last
        return None

    def finish(self) -> Wrong | None:
        """What is left to be said behind the last seal."""
        wrong = self._check_rows() if self.group else None
        if wrong or not self.heads:
            return wrong
        last = min(self.heads)
        detail = f"a head elsewhere tells of a seal that ends at {last}, and there is none"
        return Wrong(self.chain.name, "seal removed", detail)

    def _find_problem(self, seal: Seal) -> tuple[str, str] | None:
        name = f"the seal {seal.first} to {seal.last}"
        expected = self.before.last + 1 if self.before else 1
        if seal.first != expected:
            return "seal removed", f"the seal that begins at {expected} is missing before {name}"
        if seal.key_name not in self.keys or seal.form not in self.chain.forms:
            return "key unknown", f"{name} was made with key {seal.key_name!a}, which is not here"
        secret = self.keys[seal.key_name]
        before = self.before.head if self.before else NO_HEAD
        if not hmac.compare_digest(_make_head(self.chain, secret, before, seal), seal.head):
            return "seal altered", f"{name} is not as it was made, or was made with another key"
        told = self.heads.pop(seal.last, seal.head.hex())
        if told != seal.head.hex():
            return "sealed anew", f"{name} is another one than the head written elsewhere tells"
        return None

    def _check_rows(self) -> Wrong | None:
        group, self.group = self.group, []
        after = None if group[0].first == 1 else group[0].first - 1
        until, form = group[-1].last, group[0].form
        rows = read_rows(self.connection, self.chain, form, after=after, until=until)
        for seal in group:
            count = sum(1 for key, _ in rows if key <= seal.last)
            own, rows = rows[:count], rows[count:]
            secret = self.keys[seal.key_name]
            if len(own) == seal.rows and _digest(secret, own) == seal.digest:
                continue
            return Wrong(self.chain.name, *_name_first(secret, seal, own))
        return None


def _name_first(secret: bytes, seal: Seal, rows: list[Row]) -> tuple[str, str]:
    """The first row that is not as it was sealed: altered, inserted, or missing before the next."""
    marks = [seal.marks[n : n + MARK_BYTES] for n in range(0, len(seal.marks), MARK_BYTES)]
    found = [_mark(secret, text) for _, text in rows]
    for place, (key, _) in enumerate(rows):
        if place < len(marks) and found[place] == marks[place]:
            continue
        if found[place] in marks[place + 1 :]:
            return "removed", f"before {key}, after {_key_before(rows, place, seal)}"
        if place >= len(marks) or marks[place] in found[place + 1 :]:
            return "inserted", f"{key}"
        return "altered", f"{key}"
    if len(rows) < len(marks):
        return "removed", f"after {_key_before(rows, len(rows), seal)}, up to {seal.last}"
    return "altered", f"somewhere from {seal.first} to {seal.last}"


def _key_before(rows: list[Row], place: int, seal: Seal) -> int:
    return rows[place - 1][0] if place else seal.first - 1
