# ruff: noqa: E501 - texts of the code stand here as they stand there
"""Twelve bugs that a harness must find, as small patches of a throw-away copy of the code.

Each is a mistake that systems like this one have been shipped with. A patch is a list of texts and
what stands in their place; a text that is no longer there exactly once is an error, so that the
bugs keep up with the code. An old text of None: the new one is added at the end of the file.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent
# Neither history nor data nor environments: only what runs.
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "docs", "*.png", "*.egg-info")

SALES, LEDGER = "orders/sales.py", "stock/ledger.py"
INBOX_SQL, LEDGER_SQL = "orders/statements.py", "stock/statements.py"

# A commit in the middle of what has to be one transaction, and a stage that survives it.
COMMIT_HERE = (
    'cursor.execute("COMMIT"); connection.vendor == "sqlite" and cursor.execute("BEGIN IMMEDIATE")'
)
STAGE_STAYS = (LEDGER_SQL, "ON COMMIT DELETE ROWS", "ON COMMIT PRESERVE ROWS")

Edit = tuple[str, str | None, str]


@dataclass(frozen=True)
class Bug:
    """A planted bug; `faults` are the kinds of rounds that should bring it to light."""

    name: str
    faults: tuple[str, ...]
    edits: tuple[Edit, ...]


BUGS = (
    Bug(
        "answer_before_commit",
        ("kill_web_main",),
        (
            (
                SALES,
                "    if judged.new:\n        with transaction.atomic(durable=True):\n",
                "    if judged.new:\n"
                "        threading.Timer(0.5, _commit_later, (principal, judged)).start()\n"
                "    if False:\n        with transaction.atomic(durable=True):\n",
            ),
            (SALES, "import logging\n", "import logging\nimport threading\n"),
            (
                SALES,
                None,
                "\n\ndef _commit_later(principal, judged):\n"
                "    with transaction.atomic(durable=True):\n"
                "        _insert_new(principal, judged)\n"
                "    connection.close()\n",
            ),
        ),
    ),
    Bug(
        "dedupe_in_cache_only",
        ("flushall",),
        (
            (
                SALES,
                "    rows = _inbox_rows(principal, list(judged.new.values()))\n",
                "    cached, rows = _forgetful(principal, judged)\n"
                "    if not rows:\n        return cached\n",
            ),
            (
                SALES,
                "left if key not in known])\n    return known\n",
                "left if key not in known])\n    return cached\n",
            ),
            (
                SALES,
                "from django.conf import settings\n",
                "from django.conf import settings\nfrom django.core.cache import caches\n",
            ),
            (
                SALES,
                None,
                "\n\ndef _forgetful(principal, judged):\n"
                "    cached, events = {}, []\n"
                "    with connection.cursor() as cursor:\n"
                '        known = _look_up(cursor, "stock_movement", list(judged.new))\n'
                '        known |= _look_up(cursor, "orders_saleevent", list(judged.new))\n'
                "    for key, (place, line, store, digest) in judged.new.items():\n"
                '        name = f"seen-{key[0]}-{key[1]}"\n'
                '        if caches["default"].get(name) is not None:\n'
                "            cached[key] = digest\n"
                "            continue\n"
                '        caches["default"].set(name, 1, 600)\n'
                "        if key in known:\n"
                "            line = line._replace(event_id=uuid.uuid4())\n"
                "        events.append((place, line, store, digest))\n"
                "    return cached, _inbox_rows(principal, events)\n",
            ),
        ),
    ),
    Bug(
        "dedupe_key_without_store",
        ("none",),
        (
            (
                INBOX_SQL,
                "         WHERE known.store_id = r.store_id AND known.event_id = r.event_id) IS NULL",
                "         WHERE known.event_id = r.event_id LIMIT 1) IS NULL",
            ),
            (
                INBOX_SQL,
                "         WHERE known.store_id = key.store_id AND known.event_id = key.event_id)",
                "         WHERE known.event_id = key.event_id LIMIT 1)",
            ),
        ),
    ),
    Bug(
        "balance_from_all_rows",
        ("none",),
        (
            (
                LEDGER_SQL,
                "# Sorted by key: with two workers",
                "EVERY_ROW = NUMBERED.replace(\n"
                '    "WHERE p.posts", "WHERE p.posts OR p.verdict = \'duplicate\'"\n)\n'
                "# Sorted by key: with two workers",
            ),
            (
                LEDGER_SQL,
                "  FROM ({NUMBERED}) AS n\n WHERE true",
                "  FROM ({EVERY_ROW}) AS n\n WHERE true",
            ),
            # The till's courtesy look is gone as well, else no duplicate would get this far.
            (
                INBOX_SQL,
                "known.store_id = r.store_id AND known.event_id = r.event_id) IS NULL",
                "known.store_id = r.store_id AND known.event_id = r.event_id) IS NULL OR true",
            ),
            (SALES, "        _take_back(cursor, inserted & known.keys())\n", ""),
        ),
    ),
    Bug(
        "two_transactions",
        ("fail_worker",),
        (
            (
                LEDGER,
                "        cursor.execute(statements.WRITE_LEVELS)\n",
                f"        cursor.execute(statements.WRITE_LEVELS)\n        {COMMIT_HERE}\n",
            ),
            STAGE_STAYS,
        ),
    ),
    Bug(
        "no_sweeper",
        ("full_redis",),
        (
            (
                "orders/sweeping.py",
                "    freed = sales.free_known_products() if frees else 0\n",
                "    return Swept(0, None)\n"
                "    freed = sales.free_known_products() if frees else 0\n",
            ),
        ),
    ),
    Bug(
        "unsorted_locks",
        ("many_workers",),
        (
            (INBOX_SQL, '"FOR UPDATE OF head SKIP LOCKED"', '"FOR UPDATE OF head"'),
            (INBOX_SQL, " ORDER BY head.store_id\n LIMIT", " ORDER BY random()\n LIMIT"),
        ),
    ),
    Bug(
        "retry_without_id",
        ("cut_commit",),
        (
            (SALES, "def accept(*, principal", "def _accept_once(*, principal"),
            (
                SALES,
                None,
                "\n\ndef accept(*, principal, lines):\n"
                "    try:\n"
                "        return _accept_once(principal=principal, lines=lines)\n"
                "    except (OperationalError, InterfaceError):\n"
                "        connection.close()\n"
                "        again = [line._replace(event_id=uuid.uuid4()) for line in lines]\n"
                "        told = _accept_once(principal=principal, lines=again)\n"
                "        return [\n"
                "            outcome._replace(event_id=str(line.event_id))\n"
                "            for outcome, line in zip(told, lines)\n"
                "        ]\n",
            ),
        ),
    ),
    Bug(
        "float_quantity",
        ("none",),
        (
            (
                SALES,
                "line.sku, line.barcode, line.quantity,\n",
                "line.sku, line.barcode, int(line.quantity / 1000 * 1000),\n",
            ),
        ),
    ),
    Bug(
        "balance_cached",
        ("none",),
        (
            (
                LEDGER,
                "        cursor.execute(statements.WRITE_LEVELS)\n",
                "        cursor.execute(statements.WRITE_LEVELS)\n        _write_back(cursor)\n",
            ),
            (
                LEDGER,
                None,
                "\n\n_balances = {}\n\n\ndef _write_back(cursor):\n"
                '    cursor.execute("SELECT store_id, product_id, sum(quantity) FROM stock_posting"\n'
                '                   " WHERE posts GROUP BY store_id, product_id")\n'
                "    for store, product, moved in cursor.fetchall():\n"
                "        where = [store, product]\n"
                "        if (store, product) not in _balances:\n"
                '            cursor.execute("SELECT quantity FROM stock_level WHERE store_id = %s"\n'
                '                           " AND product_id = %s", where)\n'
                "            _balances[store, product] = cursor.fetchone()[0]\n"
                "        else:\n"
                "            _balances[store, product] += int(moved)\n"
                '        cursor.execute("UPDATE stock_level SET quantity = %s WHERE store_id = %s"\n'
                '                       " AND product_id = %s", [_balances[store, product], *where])\n',
            ),
        ),
    ),
    Bug(
        "cursor_skips_late_commits",
        ("none",),
        (
            (
                SALES,
                "    sql = statements.TAKE[connection.vendor].format(lanes=lanes)\n",
                "    sql = statements.TAKE[connection.vendor].format(lanes=lanes)\n"
                '    seen = caches["default"].get("cursor", "2000-01-01")\n'
                "    sql = sql.replace(\"q.status = 'pending'\",\n"
                "        f\"q.status = 'pending' AND q.received_at > '{seen}'\")\n",
            ),
            (
                SALES,
                "    cursor.execute(statements.COUNT_UNRESOLVED)\n",
                '    cursor.execute("SELECT max(received_at) FROM orders_saleevent WHERE event_id IN"\n'
                '                   " (SELECT event_id FROM stock_posting)")\n'
                "    newest = cursor.fetchone()[0]\n"
                "    if newest:\n"
                '        caches["default"].set("cursor", str(newest), None)\n'
                "    cursor.execute(statements.COUNT_UNRESOLVED)\n",
            ),
            (
                SALES,
                "from django.conf import settings\n",
                "from django.conf import settings\nfrom django.core.cache import caches\n",
            ),
        ),
    ),
    Bug(
        "mark_before_ledger",
        ("fail_worker",),
        (
            (
                SALES,
                "        ledger.post_staged()\n        verdicts = _clear(cursor)\n",
                f"        verdicts = _clear(cursor)\n        {COMMIT_HERE}\n"
                "        ledger.post_staged()\n",
            ),
            STAGE_STAYS,
        ),
    ),
)


def make_copy(folder: Path) -> Path:
    """Copy the code into `folder`; returns the copy."""
    copy = folder / "checkout"
    shutil.copytree(CHECKOUT, copy, ignore=LEFT_OUT)
    return copy


def plant(bug: Bug, checkout: Path) -> None:
    """Write the bug into this copy. Raises ValueError when a text is not there exactly once."""
    for name, old, new in bug.edits:
        path = checkout / name
        text = path.read_text()
        if old is None:
            path.write_text(text + new)
            continue
        if text.count(old) != 1:
            raise ValueError(f"{bug.name}: {name} has {text.count(old)} times: {old!r}")
        path.write_text(text.replace(old, new))
