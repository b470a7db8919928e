"""The main job in one breath: goods come in, a sale goes out, the level is right."""

import pytest

from tests.make import apply_all, movement, sale

pytestmark = pytest.mark.django_db


def test_receive_ten_sell_three_level_is_seven(till, tea):
    assert till.post("/api/stock/movements/", movement("receipt", quantity=10)).status_code == 201
    event = sale(quantity=3)
    answer = till.post("/api/orders/sales/", event)
    assert (answer.status_code, answer.body) == (
        202,
        {"event_id": event["event_id"], "status": "accepted"},
    )
    assert till.get("/api/stock/levels/", product="TEA").body["results"][0]["quantity"] == 10
    assert apply_all() == 1
    assert till.get("/api/stock/levels/", product="TEA").body["results"][0]["quantity"] == 7
    told = till.get(f"/api/orders/sales/{event['event_id']}/").body
    assert (told["status"], told["seq"], told["quantity"]) == ("applied", 2, 3)
