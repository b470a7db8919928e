"""Who is let in at the earlier addresses, and that no store sees another."""

import pytest
from django.urls import resolve

from accounts import roles
from compat.urls import urlpatterns
from stock.models import Movement
from stores import registry
from stores.models import StoreKey
from tests import make, office
from tests.bad_input.doors import is_problem
from tests.compat.calls import all_calls, ask, put
from tests.databases import unchanged

pytestmark = pytest.mark.django_db

FIRST_VERSION = ("/addproduct", "/addQuantity", "/getCurrentStock")
ROWS = range(len(all_calls(1, 1)))


@pytest.fixture
def calls(lahore, tea):
    return all_calls(lahore.pk, tea.pk)


class Browser(make.Api):
    """A person of staff, signed in."""

    def __init__(self, user):
        super().__init__()
        self.client.force_login(user)


def names_a_store(call):
    return "stock/" in call.path or "storeId" in f"{call.path}{call.body}"


def test_every_address_and_method_is_among_the_calls(calls):
    told = {(call.method, resolve(call.path.split("?")[0]).route) for call in calls}
    assert told == {
        (method.upper(), str(pattern.pattern))
        for pattern in urlpatterns
        for method in pattern.callback.view_class.http_method_names
        if hasattr(pattern.callback.view_class, method) and method != "options"
    }


@pytest.mark.parametrize("row", ROWS)
def test_nobody_gets_in_without_a_key_that_works(calls, till, row):
    registry.revoke_key(StoreKey.objects.get())
    for api in (make.Api(), make.Api("nobody.knows"), till):
        with unchanged():
            problem = is_problem(ask(api, calls[row]), 401)
        assert problem["message"] == problem["detail"]


@pytest.mark.parametrize("row", ROWS)
def test_a_shops_own_key_does_all_but_master_data(calls, till, row):
    call = calls[row]
    if not call.head_office_only:
        assert ask(till, call).status_code == 200
        return
    with unchanged():
        problem = is_problem(ask(till, call), 403, "permission_denied")
    assert problem["message"] == "Only head office may change this."


@pytest.mark.parametrize("row", ROWS)
def test_head_office_does_all_but_what_needs_the_store_of_a_key(calls, head_office, row):
    call = calls[row]
    needs_store = call.path.startswith(FIRST_VERSION) and not call.head_office_only
    assert ask(head_office, call).status_code == (403 if needs_store else 200)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("who", ["device", "staff"])
def test_foreign_store_answers_byte_for_byte_like_a_missing_one(lahore, karachi, tea, row, who):
    api = make.make_device(karachi)
    if who == "staff":
        api = Browser(office.make_person(roles.MANAGER, karachi))
    foreign, missing = (all_calls(number, tea.pk)[row] for number in (lahore.pk, 999_999))
    if not names_a_store(foreign):
        return
    with unchanged():
        answers = [ask(api, call) for call in (foreign, missing)]
    assert is_problem(answers[0], 404, "not_found")["message"] == "There is no such store."
    assert answers[0].content == answers[1].content
    for answer in answers:
        del answer.headers["RateLimit"]  # what is left grows less with every request
        answer.headers.pop("X-Request-ID", None)  # each has its own
    assert dict(answers[0].headers) == dict(answers[1].headers)


def test_history_without_a_store_is_that_of_the_key(till, lahore, karachi, tea):
    make.receive(lahore, "TEA", 1)
    make.receive(karachi, "TEA", 2)
    assert [row["store_id"] for row in till.get("/stockMovement").body] == [lahore.pk]


def test_staff_move_stock_of_their_stores_and_are_named(lahore, tea):
    user = office.make_person(roles.MANAGER, lahore)
    answer = put(Browser(user), f"/stock/{lahore.pk}/{tea.pk}", quantity=1, movementtype="add")
    assert answer.status_code == 200
    movement = Movement.objects.get()
    assert (movement.actor, movement.device, movement.quantity) == (user, None, 1)


def test_form_of_another_site_with_the_cookie_of_staff_is_refused(lahore, tea):
    """A form needs no permission of the browser to be sent anywhere; the CSRF check stands."""
    user = office.make_person(roles.MANAGER, lahore)
    browser = Browser(user)
    browser.client.handler = type(browser.client.handler)(enforce_csrf_checks=True)
    with unchanged():
        answer = browser.client.post(
            f"/api/order/orderProduct/{tea.pk}", f"storeId={lahore.pk}&quantity=1",
            content_type="application/x-www-form-urlencoded",
        )  # fmt: skip
    assert is_problem(answer, 403, "csrf")["message"]
