"""The way of a sale from a request to its answer: one text of the rules for all doors.

`POST /api/orders/sales/` with a device's key goes past Django's middleware and rest_framework:
they cost most of a small request. The view in views.py stays for people's sessions, for whatever
has an unusual form and for the description of the API.

Several requests can be answered together: one look at their keys, one question to Redis, one
commit. Each is refused by itself.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.db import connection

from accounts import access
from inventory_project import doors
from inventory_project.api import DATABASE_AWAY
from inventory_project.bodies import parse_json
from inventory_project.doors import Answer, Sent
from inventory_project.errors import Conflict, Invalid, InvalidValue
from inventory_project.failpoints import reach
from inventory_project.fields import parse_event_id
from inventory_project.limits import (
    ask_for_rest,
    count_rows,
    find_key_limit,
    find_stranger_limit,
    refuse_if_spent,
)
from inventory_project.windows import Ask, Standing, take_all
from orders import sales
from orders.judging import Outcome, Parcel, SaleLine
from orders.parsing import PlainEvent, make_line, parse_event, read_batch, read_plainly
from orders.tasks import ring_doorbell
from stores.authentication import SCHEME, KeyRefused, find_principals
from stores.models import Scope
from stores.permissions import ScopeMissing, need_scope
from stores.principals import Principal

PATH = "/api/orders/sales/"
ACCEPTED = 202
_SCHEME_IN_HEADER = f"{SCHEME} "


class EventConflict(Conflict):
    code = "event_conflict"
    title = "This event id was used for something else"


# --- what a body tells, and what is told back -------------------------------------------------


@dataclass(slots=True)
class Told:
    """The events of one body: those that can be accepted, and what was refused in its place."""

    is_batch: bool
    lines: list[SaleLine] = field(default_factory=list)
    outcomes: list[Outcome | None] = field(default_factory=list)


def read_told(data: Any, *, principal: Principal) -> Told:
    """Read a body. Raises Invalid and TooMany; a bad event in a batch is rejected in its place."""
    events = read_batch(data)
    if events is None:
        return Told(False, [parse_event(data, is_device=principal.is_device)], [None])
    told = Told(True)
    for event in events:
        try:
            told.lines.append(parse_event(event, is_device=principal.is_device))
            told.outcomes.append(None)
        except Invalid as error:
            told.outcomes.append(_reject(event, error))
    return told


def tell_plainly(events: PlainEvent | list[PlainEvent], *, principal: Principal) -> Told | None:
    """What `read_told` reads, if nothing is wrong with any of them; else None."""
    is_batch, many = isinstance(events, list), events if isinstance(events, list) else [events]
    try:
        lines = [make_line(event, is_device=principal.is_device) for event in many]
    except InvalidValue:
        return None
    return Told(is_batch, lines, [None] * len(lines))


def tell_back(told: Told, accepted: Iterable[Outcome]) -> tuple[int, dict[str, Any]]:
    """Status and document for what became of the lines of a body.

    202 when something was accepted: it is on disk, and the caller has to `announce` it. 200 when
    all was known before. Raises Invalid and EventConflict for an event that came alone.
    """
    following = iter(accepted)
    outcomes = [outcome or next(following) for outcome in told.outcomes]
    if not told.is_batch:
        _refuse_alone(outcomes[0])
    is_news = any(outcome.status == "accepted" for outcome in outcomes)
    presented = [_present(outcome) for outcome in outcomes]
    return ACCEPTED if is_news else 200, {"results": presented} if told.is_batch else presented[0]


def announce(statuses: Iterable[int]) -> None:
    """Ring for the workers when one of these answers says that something is new; once for all."""
    if ACCEPTED in statuses:
        reach("after_answer_before_doorbell")
        ring_doorbell()


def _refuse_alone(outcome: Outcome) -> None:
    if outcome.status == "rejected":
        raise Invalid([("/store", outcome.code, outcome.detail)])
    if outcome.status == "conflict":
        raise EventConflict(outcome.detail, pointer="/event_id")


def _reject(event: Any, error: Invalid) -> Outcome:
    # The id is told back only when it is one: what a caller sent is never echoed.
    try:
        event_id = parse_event_id(event.get("event_id"))
    except (AttributeError, InvalidValue):
        event_id = None
    pointer, code, detail = error.errors[0]
    return Outcome(event_id, "rejected", code, f"{pointer.lstrip('/')} {detail}".strip())


def _present(outcome: Outcome) -> dict[str, Any]:
    presented: dict[str, Any] = {"event_id": outcome.event_id, "status": outcome.status}
    if outcome.code:
        presented |= {"code": outcome.code, "detail": outcome.detail}
    return presented


# --- the door ---------------------------------------------------------------------------------


def is_taken(meta: Mapping[str, Any]) -> bool:
    """Whether a request to PATH is for this door: a key, and the form that nearly all have."""
    credential: str = meta.get("HTTP_AUTHORIZATION", "")
    return (
        meta["REQUEST_METHOD"] == "POST"
        and not meta.get("QUERY_STRING")
        and credential.startswith(_SCHEME_IN_HEADER)
        and doors.is_plain(meta)
    )


@dataclass(slots=True)
class _Visit:
    """One request on its way; whoever has an answer goes no further."""

    sent: Sent
    principal: Principal | None = None
    standing: Standing | None = None
    body: bytes = b""
    plain: PlainEvent | list[PlainEvent] | None = None
    data: Any = None
    told: Told | None = None
    answer: Answer | None = None

    def refuse(self, error: Exception) -> None:
        self.answer = doors.answer_error(error, self.standing)


def answer_all(sent: Sequence[Sent]) -> list[Answer]:
    """Answer requests that `is_taken` takes."""
    visits = [_Visit(one) for one in sent]
    try:
        _answer(visits)
    finally:
        # As Django does after each request. Never inside a transaction, which only tests begin.
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
    return [visit.answer for visit in visits if visit.answer is not None]


def _answer(visits: list[_Visit]) -> None:
    _look_up_keys(visits)
    _charge(visits, _ask_to_enter)
    _each(visits, _refuse_who_may_not)
    _each(visits, _read)
    _charge(visits, _ask_for_batch)
    _each(visits, _understand)
    _accept([visit for visit in visits if visit.answer is None])


def _each(visits: Iterable[_Visit], step: Callable[[_Visit], None]) -> None:
    for visit in visits:
        if visit.answer is None:
            try:
                step(visit)
            except Exception as error:  # noqa: BLE001 - it is answered or logged, and is nobody else's
                visit.refuse(error)


def _look_up_keys(visits: list[_Visit]) -> None:
    headers = [visit.sent.meta["HTTP_AUTHORIZATION"] for visit in visits]
    # This is a question to the database, too: no other has to find out whether it is there.
    connection.health_check_done = True  # type: ignore[attr-defined]
    try:
        principals = _ask_again_if_lost(headers)
    except DATABASE_AWAY as error:
        for visit in visits:
            visit.refuse(error)
        return
    for visit, principal in zip(visits, principals, strict=True):
        visit.principal = principal


def _ask_again_if_lost(headers: Sequence[str]) -> list[Principal | None]:
    """A connection that a restart of the database has cut is opened anew."""
    try:
        return find_principals(headers)
    except DATABASE_AWAY:
        if connection.in_atomic_block or not getattr(connection.connection, "closed", False):
            raise
    connection.close()
    return find_principals(headers)


def _charge(visits: list[_Visit], ask_of: Callable[[_Visit], Ask | None]) -> None:
    asking = [visit for visit in visits if visit.answer is None]
    asks = [(visit, ask) for visit in asking if (ask := ask_of(visit))]
    if not asks:
        return
    standings = take_all([ask for _, ask in asks])
    for (visit, _), standing in zip(asks, standings, strict=True):
        visit.standing = standing
    _each([visit for visit, _ in asks], _refuse_if_spent)


def _ask_to_enter(visit: _Visit) -> Ask:
    if visit.principal is None:
        return Ask(find_stranger_limit(visit.sent.meta))
    return Ask(find_key_limit(visit.principal.key))


def _ask_for_batch(visit: _Visit) -> Ask | None:
    if isinstance(visit.plain, PlainEvent) or visit.standing is None:
        return None
    count = count_rows(visit.data, "events") if visit.plain is None else len(visit.plain)
    return ask_for_rest(visit.standing.limit, count)


def _refuse_if_spent(visit: _Visit) -> None:
    assert visit.standing
    refuse_if_spent(visit.standing)


def _refuse_who_may_not(visit: _Visit) -> None:
    meta = visit.sent.meta
    if visit.principal is None:
        access.note_refused_past_django(meta, PATH, 401, None)
        raise KeyRefused
    try:
        need_scope(visit.principal, Scope.SALES_WRITE)
    except ScopeMissing:
        access.note_refused_past_django(meta, PATH, 403, visit.principal.key)
        raise


def _read(visit: _Visit) -> None:
    visit.body = doors.read_body(visit.sent)
    visit.plain = read_plainly(visit.body)
    if visit.plain is None:
        visit.data = parse_json(visit.body)


def _understand(visit: _Visit) -> None:
    assert visit.principal
    if visit.plain is not None:
        visit.told = tell_plainly(visit.plain, principal=visit.principal)
    if visit.told is None:
        data = parse_json(visit.body) if visit.data is None else visit.data
        visit.told = read_told(data, principal=visit.principal)


def _accept(visits: list[_Visit]) -> None:
    """All in one commit; if that fails, each in its own, so that nobody fails for a neighbour."""
    if not visits:
        return
    try:
        accepted = sales.accept_all([_pack(visit) for visit in visits])
    except Exception as error:  # noqa: BLE001 - as in _each
        _accept_apart(visits, error)
        return
    for visit, outcomes in zip(visits, accepted, strict=True):
        _each([visit], partial(_tell_back, outcomes=outcomes))
    announce(visit.answer.status for visit in visits if visit.answer)


def _accept_apart(visits: list[_Visit], error: Exception) -> None:
    is_away = getattr(connection.connection, "closed", connection.connection is None)
    if len(visits) == 1 or is_away:
        for visit in visits:
            visit.refuse(error)
        return
    for visit in visits:
        _accept([visit])


def _pack(visit: _Visit) -> Parcel:
    assert visit.principal and visit.told
    return Parcel(visit.principal, visit.told.lines)


def _tell_back(visit: _Visit, outcomes: list[Outcome]) -> None:
    assert visit.told
    visit.answer = doors.answer(*tell_back(visit.told, outcomes), visit.standing)
