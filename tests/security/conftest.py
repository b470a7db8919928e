"""One set-up for the whole matrix."""

import pytest
from django.db import connections, transaction
from django.template.response import TemplateResponse

from tests import databases
from tests.security import cast


@pytest.fixture(scope="module")
def stage(django_db_setup, django_db_blocker):
    """The cast, in a transaction that is taken back when the last test of the file is done."""
    around = transaction.atomic()
    around._from_testcase = True  # as Django's own: what must be durable may be inside of it
    with django_db_blocker.unblock(), around:
        made = cast.enter()
        # Writes that are allowed are taken back one by one: what is left then was a refusal's.
        with databases.unchanged():
            yield made
        transaction.set_rollback(True)
    connections.close_all()


@pytest.fixture
def pages_unwritten(monkeypatch):
    """Pages are found and not written: who may see them is asked here, how they look elsewhere."""

    def leave_out(response):
        response.content = b"a page"
        return response

    monkeypatch.setattr(TemplateResponse, "render", leave_out)
