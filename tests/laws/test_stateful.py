"""The real code, real commits and deaths at named places, against the model, step by step."""

import os
import random
import uuid
from itertools import count

from django.test import override_settings
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from catalog.editing import Code
from inventory_project import failpoints
from inventory_project.errors import DomainError
from orders import sales
from orders.models import SaleEvent
from orders.tasks import apply_sales
from stock.models import Level, Movement
from tests.journal import HEAD_OFFICE, by_hand, hand_line, incoherences, line
from tests.laws.model import Model, Told
from tests.make import make_product, make_store

EXAMPLES = 50
STEPS = 25
STORES = ("lahore", "karachi", "multan")
PRODUCTS = ("tea", "rice", "late", "later")
KNOWN_AT_FIRST = ("tea", "rice")
PACK_UNITS = 6

ACCEPT_PLACES = ("before_insert", "after_commit_before_answer")
POST_PLACES = ("after_balance_row", "after_ledger_row")
APPLY_PLACES = (
    "after_claim", *POST_PLACES, "before_apply_commit", "after_apply_commit_before_ack",
)  # fmt: skip

# Making a failing history shorter takes minutes on a real database: at a desk, not in CI.
PHASES = (Phase.generate,) if "CI" in os.environ else (Phase.generate, Phase.shrink)

numbers = count(1)


class Death(BaseException):
    """No `except Exception` may swallow it."""


def tell(kinds):
    """Anything a device may tell: by SKU, by barcode, by the barcode of a pack."""
    return st.builds(
        lambda kind, product, code, quantity: Told(
            kind, product, code, PACK_UNITS if code == "pack" else 1, quantity
        ),
        st.sampled_from(kinds),
        st.sampled_from(PRODUCTS),
        st.sampled_from(("sku", "barcode", "pack")),
        st.integers(1, 20_000),
    )


events = st.lists(
    st.tuples(st.sampled_from(STORES), tell(("sale", "return"))), min_size=1, max_size=6
)


class Kiryana(RuleBasedStateMachine):
    """Each example has stores and products of its own in one database that is never emptied."""

    sent = Bundle("sent")
    moved = Bundle("moved")

    def __init__(self):
        super().__init__()
        self.number = next(numbers)
        self.model = Model()
        self.stores = {name: make_store(f"{name}-{self.number}") for name in STORES}
        for name in KNOWN_AT_FIRST:
            self._make_product(name)

    @initialize(events_max=st.sampled_from((1, 3, 5_000)), stores_max=st.sampled_from((1, 2, 256)))
    def cut_batches(self, events_max, stores_max):
        self.batches = override_settings(
            SALES_APPLY_EVENTS_MAX=events_max, SALES_APPLY_STORES_MAX=stores_max
        )
        self.batches.enable()

    def teardown(self):
        if hasattr(self, "batches"):
            apply_sales()
            self.model.apply()
            self.check_everything()
            self.batches.disable()

    # --- tills ---

    @rule(target=sent, told=events)
    def tell_new(self, told):
        batch = [(store, str(uuid.uuid4()), what) for store, what in told]
        self._accept(batch)
        return multiple(*batch)

    @rule(old=st.lists(sent, min_size=1, max_size=12), new=events, seed=st.integers(0, 99))
    def resend_shuffled_among_new(self, old, new, seed):
        batch = [*old, *((store, str(uuid.uuid4()), what) for store, what in new)]
        random.Random(seed).shuffle(batch)
        self._accept(batch)

    @rule(known=st.one_of(sent, moved), told=tell(("sale", "return")))
    def tell_other_content(self, known, told):
        self._accept([(known[0], known[1], told)])

    @rule(target=sent, known=sent, store=st.sampled_from(STORES))
    def tell_same_id_of_a_store(self, known, store):
        event = (store, *known[1:])
        self._accept([event])
        return event

    @rule(target=sent, told=events, place=st.sampled_from(ACCEPT_PLACES))
    def die_while_accepting(self, told, place):
        batch = [(store, str(uuid.uuid4()), what) for store, what in told]
        with dying(place) as died:
            sales.accept(principal=HEAD_OFFICE, lines=[self._line(*event) for event in batch])
        assert died == [place]
        if place == "after_commit_before_answer":
            for event in batch:
                self.model.accept(*event)
        return multiple(*batch)

    # --- doorbell and sweep ---

    @rule(times=st.integers(1, 3))
    def ring(self, times):
        for _ in range(times):
            apply_sales()
        self.model.apply()

    @rule(place=st.sampled_from(APPLY_PLACES))
    def die_while_applying(self, place):
        with dying(place) as died:
            apply_sales()
        if not died or place == "after_apply_commit_before_ack":
            self.model.apply()

    @rule()
    def sweep(self):
        sales.free_known_products()
        self.model.sweep()

    @rule(name=st.sampled_from(PRODUCTS))
    def make_product_known(self, name):
        if name not in self.model.products:
            self._make_product(name)

    # --- by hand ---

    @rule(
        target=moved,
        store=st.sampled_from(STORES),
        told=tell(("receipt", "waste", "return")),
        place=st.sampled_from((None, None, None, *POST_PLACES)),
    )
    def move_by_hand(self, store, told, place):
        event = store, str(uuid.uuid4()), told
        if place is None:
            self._move_by_hand(*event)
            return event
        with dying(place) as died:
            self._try_by_hand(*event)
        if not died:
            assert self.model.move_by_hand(*event) != "recorded"
        return event

    @rule(known=st.one_of(moved, sent), told=tell(("receipt", "waste")))
    def move_by_hand_with_a_used_id(self, known, told):
        self._move_by_hand(known[0], known[1], told)

    @rule(known=consumes(moved))
    def resend_by_hand(self, known):
        self._move_by_hand(*known)

    # --- what must hold after every step ---

    @invariant()
    def check_everything(self):
        stores = list(self.stores.values())
        assert incoherences(stores) == []
        names = {store.pk: name for name, store in self.stores.items()}
        counted = Movement.objects.filter(store__in=stores)
        assert {
            (names[store], str(event)): int(quantity * 1000)
            for store, event, quantity in counted.values_list("store_id", "event_id", "quantity")
        } == {key: told.change for key, told in self.model.counted.items()}
        inbox = SaleEvent.objects.filter(store__in=stores)
        assert {
            (names[store], str(event)): reason or status
            for store, event, status, reason in inbox.values_list(
                "store_id", "event_id", "status", "park_reason"
            )
        } == {key: status for key, (_, status) in self.model.waiting.items()}
        for store, sku, quantity in Level.objects.filter(store__in=stores).values_list(
            "store_id", "product__sku", "quantity"
        ):
            balance = self.model.balance(names[store], sku.partition("-")[0])
            assert int(quantity * 1000) == balance

    # --- the same event, for the real code ---

    def _make_product(self, name):
        single, pack = self._code(name, "barcode"), self._code(name, "pack")
        make_product(f"{name}-{self.number}", barcodes=[single, Code(pack, PACK_UNITS)])
        self.model.products.add(name)

    def _code(self, product, code):
        return f"{product}-{code}-{self.number}"

    def _fields(self, event, told):
        fields = {"event_id": uuid.UUID(event), "kind": told.kind, "units": told.quantity / 1000}
        if told.code == "sku":
            return fields | {"sku": f"{told.product}-{self.number}"}
        return fields | {"barcode": self._code(told.product, told.code)}

    def _line(self, store, event, told):
        return line(store_code=self.stores[store].code, **self._fields(event, told))

    def _accept(self, batch):
        lines = [self._line(*event) for event in batch]
        outcomes = sales.accept(principal=HEAD_OFFICE, lines=lines)
        answered = [outcome.status for outcome in outcomes]
        assert answered == [self.model.accept(*event) for event in batch]

    def _try_by_hand(self, store, event, told):
        fields = self._fields(event, told)
        if told.kind == "waste":
            fields["reason"] = "damaged"
        try:
            return by_hand(self.stores[store], hand_line(**fields))[0]
        except DomainError as error:
            return error.code

    def _move_by_hand(self, store, event, told):
        answered = self._try_by_hand(store, event, told)
        assert answered == self.model.move_by_hand(store, event, told)


class dying:
    """Inside, whoever reaches the place dies there; gives the list of deaths."""

    def __init__(self, place):
        self.place, self.died = place, []

    def __enter__(self):
        failpoints.armed[self.place] = self._die
        return self.died

    def _die(self):
        self.died.append(self.place)
        raise Death(self.place)

    def __exit__(self, kind, error, trace):
        del failpoints.armed[self.place]
        return kind is Death


def test_real_code_keeps_the_promises_of_the_model(committed):
    run_state_machine_as_test(
        Kiryana,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize="CI" in os.environ,
            phases=PHASES,
            suppress_health_check=list(HealthCheck),
        ),
    )
