"""`manage.py replayparked`: what was mended counts, what was not is parked again."""

import io
import uuid

import pytest
from django.core.cache import caches
from django.core.management import CommandError, call_command

from orders import sales, tasks
from orders.models import SaleEvent
from stores.principals import Principal
from tests.make import apply_all, level_of, make_device, make_product, sale

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def bell(monkeypatch):
    """The real bell, with its queue empty before and after, and nobody who rings a little later."""
    monkeypatch.setattr(tasks, "PAUSE_S", 0)
    monkeypatch.setattr(tasks, "_pause", tasks._Pause())
    caches["doorbell"].clear()
    take_rings()
    yield
    take_rings()
    caches["doorbell"].clear()


def take_rings():
    return tasks.apply_sales.app.control.purge()


def park(till, **fields):
    """A sale of a product that nobody knows, or of one dated far ahead."""
    event = sale(**fields)
    assert till.post("/api/orders/sales/", event).status_code == 202
    apply_all()
    assert SaleEvent.objects.get(event_id=event["event_id"]).status == "parked"
    take_rings()
    caches["doorbell"].clear()
    return uuid.UUID(event["event_id"])


def replay_parked(*arguments):
    out = io.StringIO()
    call_command("replayparked", *arguments, stdout=out)
    return out.getvalue()


def states():
    return list(SaleEvent.objects.order_by("received_at").values_list("status", flat=True))


def test_mended_sale_is_queued_and_counts(till, lahore):
    park(till, sku="NEW", quantity=2)
    park(till, sku="STRANGE")
    product = make_product("NEW")
    assert replay_parked() == "2 sales are queued again (2 unknown_product).\n"
    assert states() == ["pending", "pending"]
    assert take_rings() == 1
    apply_all()
    assert level_of(lahore, product) == -2
    assert [(e.sku, e.park_reason) for e in SaleEvent.objects.all()] == [
        ("STRANGE", "unknown_product")
    ]


def test_one_store_only(till, karachi):
    park(till, sku="NEW")
    park(make_device(karachi), sku="NEW")
    assert replay_parked("--store", "KHI-02") == "1 sale is queued again (1 unknown_product).\n"
    assert {(e.store_id == karachi.pk, e.status) for e in SaleEvent.objects.all()} == {
        (True, "pending"),
        (False, "parked"),
    }


def test_one_reason_only(till, tea):
    park(till, sku="NEW")
    ahead = park(till, occurred_at="2190-01-01T00:00:00Z")
    assert replay_parked("--reason", "clock_ahead") == ("1 sale is queued again (1 clock_ahead).\n")
    assert SaleEvent.objects.get(status="pending").event_id == ahead


def test_oldest_first_up_to_a_limit(till, karachi):
    for _ in range(3):
        park(till, sku="NEW")
    park(make_device(karachi), sku="NEW")
    replay_parked("--limit", "2")
    assert states() == ["pending", "pending", "parked", "parked"]


def test_dismissed_sale_is_left_alone(till, lahore):
    event_id = park(till, sku="NEW")
    sales.dismiss(principal=Principal(store=lahore), event_id=event_id, reason="test sale")
    assert replay_parked() == "No parked sale was found.\n"
    assert states() == ["dismissed"]
    assert take_rings() == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--store", "NOWHERE"], "There is no store 'NOWHERE'."),
        (["--limit", "0"], "--limit must be at least 1."),
    ],
)
def test_bad_input_is_one_sentence_and_replays_nothing(till, arguments, sentence):
    park(till, sku="NEW")
    with pytest.raises(CommandError) as error:
        replay_parked(*arguments)
    assert str(error.value) == sentence
    assert states() == ["parked"]


def test_unknown_reason_is_refused():
    with pytest.raises(CommandError, match="invalid choice"):
        replay_parked("--reason", "bad_luck")
