"""Two change a part each of whom to call about a store, at the same time: both stay."""

import pytest

from stores.contacts import Contact, read_contact
from tests import make
from tests.concurrency.threads import Meeting, errors, together

pytestmark = [pytest.mark.postgresql, pytest.mark.usefixtures("committed")]
BEFORE = Contact("Sana Mirza", "042 111222333", "sana@example.org")
NAME, PHONE = {"name": "Bilal Aslam"}, {"phone": "042 35761999"}


def test_both_parts_are_kept():
    store = make.make_store("LHR-01", contact=BEFORE)
    head_office = make.make_head_office()

    def change(parts):
        return head_office.patch("/api/stores/LHR-01/", {"contact": parts}).status_code

    # Whatever either reads before it asks for the lock, it has read when they meet.
    meeting = Meeting().before('FROM "stores_storeshead"')
    results = together(lambda: change(NAME), lambda: change(PHONE), wrapper=meeting)
    assert errors(results) == []
    assert results == [200, 200]
    assert read_contact(store) == BEFORE._replace(**NAME, **PHONE)
