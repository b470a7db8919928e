"""The parts of the example till client: lines, batches, percentiles, and what it may know."""

import ast
import json
import sys

from examples.iowa.month import Month, plan_batches, read_month
from examples.iowa.report import percentile
from tests.iowa.till import CHECKOUT, SALES, write_csv


def test_the_same_line_makes_the_same_event_on_every_machine(data):
    line = read_month(data, Month.parse("2022-10"))[0]
    assert line.event_id == "2be78a9c-e8ae-556a-88cd-1045f02fae80"
    assert json.loads(line.body) == {
        "event_id": line.event_id, "store": "2190", "sku": "100", "kind": "sale", "quantity": 12,
        "occurred_at": "2022-10-01T12:00:00-05:00", "amount": "112.56", "receipt": "INV-000001",
    }  # fmt: skip


def test_lines_of_other_months_and_the_portals_own_dates(data):
    of_may = ["S1", "05/31/2022", "2190", "100", "1", "$9.38"]
    of_october = ["S2", "10/31/2022", "2190", "100", "1", "$9.38"]
    write_csv(data / "sales_2022-10.csv.gz", [SALES[0], of_may, of_october])
    (line,) = read_month(data, Month.parse("2022-10"))
    assert json.loads(line.body)["occurred_at"] == "2022-10-31T12:00:00-05:00"
    assert json.loads(line.body)["amount"] == "9.38"


def test_december_ends_with_the_year():
    assert Month.parse("2021-12").behind.isoformat() == "2022-01-01"


def test_lines_sent_again_come_among_the_later_batches():
    lines = list(range(1000))
    batches = plan_batches(lines, size=10, resend_percent=30)
    assert len(batches) == 130
    first_half = [line for batch in batches[:50] for line in batch]
    assert first_half == lines[:500]
    assert sorted(line for batch in batches for line in batch)[:2] in ([0, 0], [0, 1])
    assert len({line for batch in batches for line in batch}) == 1000
    assert batches == plan_batches(lines, size=10, resend_percent=30)


def test_percentile_is_the_nearest_rank():
    assert percentile([], 99) is None
    assert percentile([5.0], 50) == 5.0
    assert percentile([float(n) for n in range(1, 101)], 99) == 99.0
    assert percentile([float(n) for n in range(1, 102)], 99) == 100.0


def test_the_client_knows_nothing_of_the_product():
    allowed = sys.stdlib_module_names | {"urllib3", "rich"}
    files = list((CHECKOUT / "examples" / "iowa").glob("*.py"))
    assert len(files) > 5
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                own = name.startswith("examples.iowa.") or name == "examples.iowa"
                assert own or name.split(".")[0] in allowed, f"{file.name} imports {name}"
