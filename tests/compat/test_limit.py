"""Earlier addresses have a window of their own, beside the credential's."""

import pytest

from orders.models import SaleEvent
from tests.compat.calls import all_calls, ask

pytestmark = pytest.mark.django_db

PAGE = "https://till.example.org"


def test_who_calls_too_often_is_told_in_both_languages(till, lahore, tea, settings):
    settings.CORS_ALLOWED_ORIGINS = [PAGE]
    settings.LIMITS_A_MINUTE = settings.LIMITS_A_MINUTE | {"earlier": 2}
    order = all_calls(lahore.pk, tea.pk)[-1]
    assert [ask(till, order).status_code for _ in range(2)] == [200, 200]
    refused = till.send("get", "/allProducts", b"", headers={"Origin": PAGE})
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (429, "rate_limited")
    assert problem["message"] == problem["detail"]
    assert refused.headers["RateLimit-Policy"] == '"earlier";q=2;w=60'
    assert refused.headers["Access-Control-Allow-Origin"] == PAGE
    assert int(refused.headers["Retry-After"]) > 0
    assert SaleEvent.objects.count() == 2
    assert till.get("/api/stores/current/").status_code == 200  # today's addresses stay open
