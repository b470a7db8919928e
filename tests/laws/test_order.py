"""The same journal in any order, in any batches, any number of times: the same balances."""

import os
import random
import uuid
from itertools import count

from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders import sales
from stock.models import Movement
from tests.journal import accept, incoherences, levels, line
from tests.make import apply_all, make_product, make_store

numbers = count(1)

journals = st.lists(
    st.tuples(
        st.sampled_from(("TEA", "RICE", "SALT")),
        st.sampled_from(("sale", "return")),
        st.integers(1, 5_000),
    ),
    min_size=1,
    max_size=60,
)


def deliver(journal, ids, chance):
    """Into a new store: shuffled, cut anyhow, some of it twice, applied now and then."""
    store = make_store(f"S-{next(numbers)}")
    sent = [
        line(sku, thousandths / 1000, kind=kind, event_id=event_id)
        for (sku, kind, thousandths), event_id in zip(journal, ids, strict=True)
    ]
    sent += chance.sample(sent, k=len(sent) // 3)
    chance.shuffle(sent)
    while sent:
        size = chance.randint(1, 20)
        batch, sent = sent[:size], sent[size:]
        accept(store, *batch)
        if chance.random() < 0.4:
            with override_settings(SALES_APPLY_EVENTS_MAX=chance.randint(1, 10)):
                sales.apply_next()
    apply_all()
    return store


def test_order_and_batches_do_not_matter(committed):
    @settings(
        max_examples=12,
        deadline=None,
        database=None,
        derandomize="CI" in os.environ,
        suppress_health_check=list(HealthCheck),
    )
    @given(journal=journals, seed=st.integers(0, 2**32))
    def deliver_in_three_ways(journal, seed):
        ids = [uuid.UUID(int=random.Random(seed + n).getrandbits(128) | 1) for n in range(60)]
        ids = ids[: len(journal)]
        expected = {}
        for sku, kind, thousandths in journal:
            change = thousandths if kind == "return" else -thousandths
            expected[sku] = expected.get(sku, 0) + change
        for way in range(3):
            store = deliver(journal, ids, random.Random(seed + way))
            assert {sku: int(q * 1000) for sku, q in levels(store).items()} == expected
            counted = Movement.objects.filter(store=store).values_list("event_id", flat=True)
            assert sorted(counted) == sorted(ids)
            assert incoherences([store]) == []

    for sku in ("TEA", "RICE", "SALT"):
        make_product(sku)
    deliver_in_three_ways()
