"""The days of a range without a store begin at midnight in UTC, and that is said."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import time_machine

from tests import make

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.mark.django_db
def test_day_without_a_store_is_utc_and_with_one_the_stores(lahore, tea):
    with time_machine.travel(datetime(2026, 2, 28, tzinfo=UTC)):
        head_office = make.make_head_office()
    for hour in (18, 20):  # five hours later in Lahore: 23:00, and 1:00 of the next day
        with time_machine.travel(datetime(2026, 3, 1, hour, tzinfo=UTC), tick=False):
            body = make.movement(store="LHR-01", occurred_at=f"2026-03-01T{hour}:00:00Z")
            assert head_office.post("/api/stock/movements/", body).status_code == 201

    def seqs(**query):
        return [
            row["seq"] for row in head_office.get("/api/stock/movements/", **query).body["results"]
        ]

    assert sorted(seqs(recorded_from="2026-03-01", recorded_to="2026-03-02")) == [1, 2]
    assert seqs(recorded_from="2026-03-02", recorded_to="2026-03-03") == []
    days = {"from": "2026-03-01", "to": "2026-03-02"}
    assert seqs(store="LHR-01", **days) == [1]


@pytest.mark.sqlite  # words are the same on every database
def test_that_is_said_in_the_guide_and_in_the_schema(client):
    guide = (CHECKOUT / "docs/api/README.md").read_text().partition("## Ranges")[2]
    assert "these days begin at midnight in UTC" in " ".join(guide.split())
    schema = client.get("/api/schema/").content.decode()
    assert "a day begins at midnight UTC" in schema
