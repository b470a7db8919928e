"""docs/api/earlier-versions.md is true: its commands run, its answers are the real ones."""

import re

from compat.urls import urlpatterns
from tests.pages import check_page
from tests.web import CHECKOUT

PAGE = CHECKOUT / "docs" / "api" / "earlier-versions.md"


def test_the_page_is_true(committed, tmp_path):
    assert check_page(PAGE, tmp_path) > 10, "the page was not read"


def test_the_table_has_every_address_and_no_other():
    rows = re.findall(r"^\| v[123] \| `[A-Z]+ (/[^`?]*)", PAGE.read_text(), re.MULTILINE)
    told = {re.sub(r":\w+", "*", address) for address in rows}
    assert told == {"/" + re.sub(r"<[^>]+>", "*", str(one.pattern)) for one in urlpatterns}
    assert len(rows) == len(urlpatterns)
