"""An `event_id` makes a call repeatable: the same answer, counted once."""

from functools import partial

import pytest

from orders.models import SaleEvent
from stock.models import Movement
from tests import make
from tests.bad_input.doors import is_problem
from tests.compat.calls import put
from tests.concurrency.threads import Meeting, together
from tests.databases import unchanged

MOVES = ["/addQuantity/{product}", "/stock/{store}/{product}",
         "/api/inventory/stores/{store}/stock/{product}"]  # fmt: skip
in_one_process = pytest.mark.django_db


def move(api, path, store, product, **body):
    method = "post" if path.startswith("/addQuantity") else "put"
    path = path.format(store=store.pk, product=product.pk)
    return api.send(method, path, make.json.dumps(body))


@in_one_process
@pytest.mark.parametrize("path", MOVES)
@pytest.mark.parametrize("word", ["add", "sales", "remove"])
def test_movement_told_again_has_the_same_answer(till, lahore, tea, path, word):
    make.receive(lahore, "TEA", 10)
    told = {"quantity": 4, "movementtype": word, "event_id": make.new_id()}
    first = move(till, path, lahore, tea, **told)
    assert first.status_code == 200
    move(till, path, lahore, tea, quantity=1, movementtype="add")
    with unchanged():
        again = move(till, path, lahore, tea, **told | {"quantity": "4.000"})
    assert (again.status_code, again.content) == (200, first.content)


@in_one_process
@pytest.mark.parametrize("path", MOVES)
def test_movements_without_an_id_are_each_their_own(till, lahore, tea, path):
    for balance in (4, 8):
        answer = move(till, path, lahore, tea, quantity=4, movementtype="add")
        assert str(balance) in answer.content.decode()
    ids = set(Movement.objects.values_list("event_id", flat=True))
    assert len(ids) == 2 and {one.version for one in ids} == {4}


@in_one_process
@pytest.mark.parametrize("change", [{"quantity": 5}, {"movementtype": "sales"}])
@pytest.mark.parametrize("path", MOVES)
def test_same_id_with_other_content_is_409_and_the_first_stays(till, lahore, tea, path, change):
    make.receive(lahore, "TEA", 10)
    told = {"quantity": 4, "movementtype": "add", "event_id": make.new_id()}
    move(till, path, lahore, tea, **told)
    with unchanged():
        problem = is_problem(move(till, path, lahore, tea, **told | change), 409, "event_conflict")
    assert problem["errors"][0]["pointer"] == "/event_id"
    assert problem["message"] == problem["detail"]
    soap = make.make_product("SOAP")
    with unchanged():
        is_problem(move(till, path, lahore, soap, **told), 409, "event_conflict")


@in_one_process
def test_id_told_again_after_the_product_was_retired_is_still_known(till, lahore, tea):
    told = {"quantity": 4, "movementtype": "add", "event_id": make.new_id()}
    first = move(till, MOVES[1], lahore, tea, **told)
    make.editing.retire_product(tea)
    with unchanged():
        assert move(till, MOVES[1], lahore, tea, **told).content == first.content


@in_one_process
def test_two_stores_may_use_one_id(till, karachi, lahore, tea):
    told = {"quantity": 4, "movementtype": "add", "event_id": make.new_id()}
    assert move(till, MOVES[1], lahore, tea, **told).status_code == 200
    other = make.make_device(karachi)
    assert move(other, MOVES[1], karachi, tea, **told).status_code == 200
    assert Movement.objects.count() == 2


@in_one_process
def test_order_told_again_while_it_waits_and_after_it_counted(till, lahore, tea):
    path = f"/api/order/orderProduct/{tea.pk}"
    told = {"storeId": lahore.pk, "quantity": 2, "event_id": make.new_id()}
    first = till.post(path, told)
    assert first.body["data"] == {"event_id": told["event_id"], "status": "accepted"}
    with unchanged():
        assert till.post(path, told).content == first.content
        is_problem(till.post(path, told | {"quantity": 3}), 409, "event_conflict")
    make.apply_all()
    with unchanged():
        assert till.post(path, told).content == first.content
        problem = is_problem(till.post(path, told | {"quantity": 3}), 409, "event_conflict")
    assert problem["message"] == problem["detail"]
    assert make.level_of(lahore, tea) == -2


@in_one_process
def test_id_of_an_order_is_taken_for_movements_and_the_other_way_round(till, lahore, tea):
    make.receive(lahore, "TEA", 10)
    order, path = make.new_id(), f"/api/order/orderProduct/{tea.pk}"
    till.post(path, {"storeId": lahore.pk, "quantity": 2, "event_id": order})
    sale = {"quantity": 2, "movementtype": "sales"}
    stock = f"/stock/{lahore.pk}/{tea.pk}"
    for applied in (False, True):
        with unchanged():
            is_problem(put(till, stock, event_id=order, **sale), 409, "event_conflict")
        if not applied:
            make.apply_all()
    moved = make.new_id()
    put(till, stock, event_id=moved, **sale)
    again = {"storeId": lahore.pk, "quantity": 2, "event_id": moved}
    with unchanged():
        is_problem(till.post(path, again), 409, "event_conflict")
    assert make.level_of(lahore, tea) == 6


@in_one_process
@pytest.mark.parametrize(
    "event_id", ["", "1", None, "{0192f0c1-7d3a-7c3e-9b1a-0242ac120002}", "0" * 32]
)
def test_ids_that_are_none_are_400(till, lahore, tea, event_id):
    with unchanged():
        answer = move(till, MOVES[1], lahore, tea,
                      quantity=1, movementtype="add", event_id=event_id)  # fmt: skip
        is_problem(answer, 400, "not_a_uuid")
        body = {"storeId": lahore.pk, "quantity": 1, "event_id": event_id}
        is_problem(till.post(f"/api/order/orderProduct/{tea.pk}", body), 400, "not_a_uuid")


@pytest.mark.parametrize("way", ["movement", "order"])
def test_two_copies_at_the_same_moment_count_once(committed, lahore, tea, way):
    tills = [make.make_device(lahore) for _ in range(2)]
    told = {"quantity": 4, "event_id": make.new_id()}
    path = f"/api/order/orderProduct/{tea.pk}"

    def tell(api):
        if way == "movement":
            return move(api, MOVES[1], lahore, tea, movementtype="add", **told)
        return api.post(path, {"storeId": lahore.pk, **told})

    # Both have looked whether the id is known, and neither has written.
    meeting = Meeting(alone_s=0.5).before("INSERT INTO")
    answers = together(*(partial(tell, api) for api in tills), wrapper=meeting)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].content == answers[1].content
    assert (Movement.objects.count(), SaleEvent.objects.count()) == (
        (1, 0) if way == "movement" else (0, 1)
    )
