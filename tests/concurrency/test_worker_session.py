"""The worker keeps its connection: what became of it must not fail the tasks to come."""

import os
from functools import partial

import psycopg
import pytest
from django.db import connection

from inventory_project import failpoints
from orders.tasks import apply_sales
from tests.concurrency.threads import together
from tests.journal import accept, history, line

pytestmark = [pytest.mark.postgresql, pytest.mark.usefixtures("committed")]


def cut_the_session():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (session,) = cursor.fetchone()
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as elsewhere:
        elsewhere.execute("SELECT pg_terminate_backend(%s, 5000)", [session])


def test_session_that_ends_between_two_transactions_fails_one_task_only(lahore, tea):
    accept(lahore, line(units=1))
    failpoints.armed["after_apply_commit_before_ack"] = cut_the_session
    try:
        assert apply_sales.apply().failed()
    finally:
        del failpoints.armed["after_apply_commit_before_ack"]
    assert together(partial(accept, lahore, line(units=2))) == [["accepted"]]
    assert apply_sales.apply().get() == 1
    assert history(lahore) == [(1, "sale", "TEA", -1, -1), (2, "sale", "TEA", -2, -3)]
