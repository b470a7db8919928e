"""PostgreSQL plans what every sale asks once a session, not once a sale."""

import pytest
from django.db import connection

from tests import make
from tests.make import sale

SALES = "/api/orders/sales/"


@pytest.mark.postgresql
def test_three_statements_take_a_sale_in_and_none_is_planned_again(committed):
    till = make.make_device(make.make_store())
    for _ in range(20):
        assert till.post(SALES, sale()).status_code == 202
    with connection.cursor() as cursor:
        cursor.execute("SELECT custom_plans, generic_plans FROM pg_prepared_statements")
        assert cursor.fetchall() == [(0, 20)] * 3  # the key; the insert; the look at the ledger
