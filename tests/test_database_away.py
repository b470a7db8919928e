"""A database that cannot answer now is 503 with Retry-After: a till sends the same sale again."""

import pytest
from django.core.signals import request_started
from django.db import InterfaceError, InternalError, OperationalError, ProgrammingError, connection
from django.test import RequestFactory
from rest_framework.request import Request

from inventory_project.api import answer_problem
from orders.models import SaleEvent
from stock.models import Movement
from tests import make
from tests.bad_input.doors import is_problem


@pytest.fixture
def read_only(committed):
    """What a connection sees when another server has become the primary."""
    store = make.make_store()
    make.make_product()
    devices = make.make_device(store), make.make_head_office()
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    try:
        yield devices
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET default_transaction_read_only")


@pytest.mark.postgresql
def test_server_that_only_reads_is_busy_to_every_writer_and_fine_to_readers(read_only):
    till, office = read_only
    event = make.sale()
    for device, path, body in (
        (till, "/api/orders/sales/", event),
        (till, "/api/stock/movements/", make.movement()),
        (office, "/api/catalog/products/", {"sku": "RICE", "name": "Rice"}),
        (office, "/api/stores/", {"code": "KHI-02", "name": "Karachi"}),
    ):
        answer = device.post(path, body)
        is_problem(answer, 503, "busy")
        assert answer["Retry-After"] == "2"
    assert till.get("/api/catalog/products/").status_code == 200
    assert not (SaleEvent.objects.exists() or Movement.objects.exists())
    with connection.cursor() as cursor:
        cursor.execute("RESET default_transaction_read_only")
    assert till.post("/api/orders/sales/", event).status_code == 202


@pytest.mark.postgresql
@pytest.mark.usefixtures("each_door")
def test_session_that_was_cut_is_opened_anew_for_the_next_sale(committed):
    till = make.make_device(make.make_store())
    assert till.post("/api/orders/sales/", make.sale()).status_code == 202
    connection.ensure_connection()
    pid = connection.connection.info.backend_pid
    with connection.copy().cursor() as another:
        another.execute("SELECT pg_terminate_backend(%s)", [pid])
        another.db.close()
    if not make.WebHandler.has_door:
        request_started.send(
            sender=None
        )  # as Django's own handler does, and its test client does not
    assert till.post("/api/orders/sales/", make.sale()).status_code == 202
    assert SaleEvent.objects.count() == 2


@pytest.mark.sqlite  # it asks no database
@pytest.mark.parametrize("error", [OperationalError, InterfaceError, InternalError])
def test_every_error_of_a_database_that_is_away_is_busy(error):
    answer = answer_problem(error("gone"), {"request": Request(RequestFactory().get("/"))})
    assert (answer.status_code, answer.data["code"]) == (503, "busy")
    assert answer["Retry-After"] == "2"
    assert "gone" not in str(answer.data)


@pytest.mark.sqlite
def test_an_error_of_our_own_is_not_called_busy():
    context = {"request": Request(RequestFactory().get("/"))}
    assert answer_problem(ProgrammingError("no such table"), context) is None
