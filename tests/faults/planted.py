# ruff: noqa: E501 - texts of the code stand here as they stand there
"""Twelve bugs that a harness must find, as small patches of a throw-away copy of the code.

Each is a mistake that systems like this one have been shipped with. A patch is a list of texts and
what stands in their place; a text that is no longer there exactly once is an error, so that the
bugs keep up with the code. An old text of None: the new one is added at the end of the file that
was changed last.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent
# Neither history nor data nor environments: only what runs.
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "docs", "*.png", "*.egg-info")

# Folders: code moves from file to file, and its text stays.
ORDERS, STOCK = "orders", "stock"

# A commit in the middle of what has to be one transaction, and a stage that survives it.
COMMIT_HERE = (
    'cursor.execute("COMMIT"); connection.vendor == "sqlite" and cursor.execute("BEGIN IMMEDIATE")'
)
STAGE_STAYS = (STOCK, "ON COMMIT DELETE ROWS", "ON COMMIT PRESERVE ROWS")

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
                ORDERS,
                "        judged.known = inbox.insert_new(judged)\n",
                "        threading.Timer(0.5, _commit_later, (judged,)).start()\n",
            ),
            (
                ORDERS,
                None,
                "\n\nimport threading\n\n\ndef _commit_later(judged):\n"
                "    inbox.insert_new(judged)\n"
                "    connection.close()\n",
            ),
        ),
    ),
    Bug(
        "dedupe_in_cache_only",
        ("flushall",),
        (
            (
                ORDERS,
                "    rows = _inbox_rows(list(judged.new.values()))\n",
                "    cached, rows = _forgetful(judged)\n    if not rows:\n        return cached\n",
            ),
            (
                ORDERS,
                '    return known | _look_up("stock_movement", [key for key in left if key not in known])\n',
                "    return cached\n",
            ),
            (
                ORDERS,
                None,
                "\n\nimport uuid\n\nfrom django.core.cache import caches\n\n\ndef _forgetful(judged):\n"
                "    cached, events = {}, []\n"
                '    known = _look_up("stock_movement", list(judged.new))\n'
                '    known |= _look_up("orders_saleevent", list(judged.new))\n'
                "    for key, new in judged.new.items():\n"
                '        name = f"seen-{key[0]}-{key[1]}"\n'
                '        if caches["default"].get(name) is not None:\n'
                "            cached[key] = new.digest\n"
                "            continue\n"
                '        caches["default"].set(name, 1, 600)\n'
                "        if key in known:\n"
                "            line = new.line._replace(event_id=uuid.uuid4())\n"
                "            new = new._replace(line=line)\n"
                "        events.append(new)\n"
                "    return cached, _inbox_rows(events) if events else []\n",
            ),
        ),
    ),
    Bug(
        "dedupe_key_without_store",
        ("none",),
        (
            (
                ORDERS,
                "         WHERE known.store_id = r.store_id AND known.event_id = r.event_id) IS NULL",
                "         WHERE known.event_id = r.event_id LIMIT 1) IS NULL",
            ),
            (
                ORDERS,
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
                STOCK,
                " WHERE p.posts\n GROUP BY p.store_id, p.product_id\n",
                " WHERE p.posts OR p.verdict = 'duplicate'\n GROUP BY p.store_id, p.product_id\n",
            ),
            # The till's courtesy look is gone as well, else no duplicate would get this far.
            (
                ORDERS,
                "known.store_id = r.store_id AND known.event_id = r.event_id) IS NULL",
                "known.store_id = r.store_id AND known.event_id = r.event_id) IS NULL OR true",
            ),
        ),
    ),
    Bug(
        "two_transactions",
        ("fail_worker",),
        (
            (
                STOCK,
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
                ORDERS,
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
            (ORDERS, '"FOR UPDATE OF head SKIP LOCKED"', '"FOR UPDATE OF head"'),
            (ORDERS, " ORDER BY head.store_id\n LIMIT", " ORDER BY random()\n LIMIT"),
        ),
    ),
    Bug(
        "retry_without_id",
        ("cut_commit",),
        (
            (ORDERS, "def accept_all(parcels", "def _accept_all_once(parcels"),
            (
                ORDERS,
                None,
                "\n\ndef accept_all(parcels):\n"
                "    try:\n"
                "        return _accept_all_once(parcels)\n"
                "    except (OperationalError, InterfaceError):\n"
                "        connection.close()\n"
                "        again = [\n"
                "            Parcel(p.principal, [l._replace(event_id=uuid.uuid4()) for l in p.lines])\n"
                "            for p in parcels\n"
                "        ]\n"
                "        told = _accept_all_once(again)\n"
                "        return [\n"
                "            [o._replace(event_id=str(l.event_id)) for o, l in zip(outcomes, p.lines)]\n"
                "            for outcomes, p in zip(told, parcels)\n"
                "        ]\n",
            ),
        ),
    ),
    Bug(
        "float_quantity",
        ("none",),
        (
            (
                ORDERS,
                "event_id, kind, sku, barcode, quantity, amount,",
                "event_id, kind, sku, barcode, int(quantity / 1000 * 1000), amount,",
            ),
        ),
    ),
    Bug(
        "balance_cached",
        ("none",),
        (
            (
                STOCK,
                "        cursor.execute(statements.WRITE_LEVELS)\n",
                "        cursor.execute(statements.WRITE_LEVELS)\n        _write_back(cursor)\n",
            ),
            (
                STOCK,
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
                ORDERS,
                "    sql = statements.TAKE[connection.vendor].format(lanes=lanes, since=since)\n",
                "    sql = statements.TAKE[connection.vendor].format(lanes=lanes, since=since)\n"
                '    seen = caches["default"].get("cursor", "2000-01-01")\n'
                "    sql = sql.replace(\"q.status = 'pending'\",\n"
                "        f\"q.status = 'pending' AND q.received_at > '{seen}'\")\n",
            ),
            (
                ORDERS,
                "    cursor.execute(statements.COUNT_UNRESOLVED)\n",
                '    cursor.execute("SELECT max(received_at) FROM orders_saleevent WHERE event_id IN"\n'
                '                   " (SELECT event_id FROM stock_posting)")\n'
                "    newest = cursor.fetchone()[0]\n"
                "    if newest:\n"
                '        caches["default"].set("cursor", str(newest), None)\n'
                "    cursor.execute(statements.COUNT_UNRESOLVED)\n",
            ),
            (ORDERS, None, "\n\nfrom django.core.cache import caches\n"),
        ),
    ),
    Bug(
        "mark_before_ledger",
        ("fail_worker",),
        (
            (
                ORDERS,
                "        posted = ledger.post_staged().movements\n"
                "        known = _clear(cursor, others=taken - posted)\n",
                f"        known = _clear(cursor, others=taken)\n        {COMMIT_HERE}\n"
                "        posted = ledger.post_staged().movements\n",
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


def plant(bug: Bug, checkout: Path) -> set[Path]:
    """Write the bug into this copy; returns the files. Raises ValueError when a text is not there
    exactly once.
    """
    changed: list[Path] = []
    for folder, old, new in bug.edits:
        if old is None:
            path = changed[-1]
            path.write_text(path.read_text() + new)
            continue
        files = (checkout / folder).glob("*.py")
        counts = {path: path.read_text().count(old) for path in files}
        if sum(counts.values()) != 1:
            raise ValueError(f"{bug.name}: {folder} has {sum(counts.values())} times: {old!r}")
        (path,) = (path for path, count in counts.items() if count)
        path.write_text(path.read_text().replace(old, new))
        changed.append(path)
    return set(changed)
