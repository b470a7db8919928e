"""Who came in, who went, and who was kept out.

A refusal costs whoever is refused nothing, so it must not cost us a row each: of each caller and
kind one entry a minute is written, with a count, and of more callers than CALLERS_MAX the rest in
one. The first is written at once, those behind it when the minute is over. Each process counts
for itself; what it has counted and not written when it is killed is lost.
"""

import logging
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from allauth.mfa import signals as factors
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponseBase

from accounts import audit
from accounts.audit import Action, Subject
from accounts.audit_tables import AuditEntry
from accounts.models import User
from inventory_project.origin import NOBODY, PERSON, Origin, describe_request, describe_sender

logger = logging.getLogger(__name__)

WINDOW_S = 60
LOOK_S = 5
CALLERS_MAX = 100
OTHERS = "others"
PATH_CHARACTERS_MAX = 200
REFUSED_STATUSES = (401, 403)
_KEY_TRIED = re.compile(r"Api-Key +([a-z0-9]{10})\.", re.IGNORECASE)

Caller = tuple[str, str, str]


@dataclass(slots=True)
class _Window:
    began: float
    waiting: AuditEntry | None = None
    count: int = 0


@dataclass(slots=True)
class Bounded:
    """Entries of which only one a minute and caller is written."""

    windows: dict[Caller, _Window] = field(default_factory=dict)
    looked_at: float = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, entry: AuditEntry, now: float) -> AuditEntry | None:
        """Count an entry; returns it where it has to be written now."""
        with self.lock:
            caller = self._find_caller(entry)
            window = self.windows.get(caller)
            if window is None:
                self.windows[caller] = _Window(now)
                return entry
            window.waiting, window.count = entry, window.count + 1
            return self._close(caller, now) if now - window.began >= WINDOW_S else None

    def take_due(self, now: float) -> list[AuditEntry]:
        """What was counted in minutes that are over."""
        if now - self.looked_at < LOOK_S:
            return []
        with self.lock:
            self.looked_at = now
            over = [c for c, window in self.windows.items() if now - window.began >= WINDOW_S]
            return [entry for caller in over if (entry := self._close(caller, now))]

    def _find_caller(self, entry: AuditEntry) -> Caller:
        who = f"{entry.actor_kind} {entry.actor_id} {entry.object_id}"
        caller = (entry.action, who, entry.address)
        if caller in self.windows or len(self.windows) < CALLERS_MAX:
            return caller
        entry.actor_kind, entry.actor_id, entry.actor, entry.address = NOBODY, None, "", OTHERS
        return (entry.action, "", OTHERS)

    def _close(self, caller: Caller, now: float) -> AuditEntry | None:
        window = self.windows.pop(caller)
        if window.waiting is not None:
            window.waiting.count = window.count
            self.windows[caller] = _Window(now)
        return window.waiting


bounded = Bounded()


class NoteRefusals:
    """Middleware: notes who was told 401 or 403, at the API and at the back office."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = self.get_response(request)
        if response.status_code in REFUSED_STATUSES:
            note_refusal(request, response.status_code)
        _write_all(bounded.take_due(time.monotonic()))
        return response


def note_refusal(request: HttpRequest, status: int) -> None:
    """Note a refused request; the answer stands, also where nothing can be written."""
    _note_refused(request.META, request.path_info, describe_request(request), status)


def note_refused_past_django(meta: Mapping[str, Any], path: str, status: int, key: Any) -> None:
    """The same of a request that Django never saw; `key` is None where it opens nothing."""
    _note_refused(meta, path, describe_sender(meta, key), status)


def _note_refused(meta: Mapping[str, Any], path: str, origin: Origin, status: int) -> None:
    path = path[:PATH_CHARACTERS_MAX]
    facts: dict[str, Any] = {"status": status, "method": meta.get("REQUEST_METHOD"), "path": path}
    if tried := _KEY_TRIED.match(meta.get("HTTP_AUTHORIZATION", "")):
        facts["key"] = tried[1]
    _note(audit.make_entry(Action.REFUSED, origin=origin, after=facts))


def _note(entry: AuditEntry) -> None:
    written = bounded.take(entry, time.monotonic())
    _write_all([written] if written else [])


def _write_all(entries: list[AuditEntry]) -> None:
    for entry in entries:
        try:
            audit.save_entry(entry)
        except DatabaseError as error:
            logger.warning("A refusal (%s) could not be noted: %s", entry.action, error)


# --- Django's own word about people who come and go -------------------------------------------


def listen() -> None:
    """Note each log-in, failure and log-out. For `ready()`."""
    user_logged_in.connect(_note_log_in, dispatch_uid="audit")
    user_logged_out.connect(_note_log_out, dispatch_uid="audit")
    user_login_failed.connect(_note_failure, dispatch_uid="audit")
    factors.authenticator_added.connect(_note_factor_added, dispatch_uid="audit")
    factors.authenticator_reset.connect(_note_factor_added, dispatch_uid="audit")
    factors.authenticator_removed.connect(_note_factor_removed, dispatch_uid="audit")
    factors.authentication_failed.connect(_note_wrong_code, dispatch_uid="audit")


def _note_log_in(request: Any, user: Any, **_: Any) -> None:
    audit.record(Action.LOGGED_IN, _describe(user), origin=_origin_of(request, user))


def _note_log_out(request: Any, user: Any, **_: Any) -> None:
    if user is not None:
        audit.record(Action.LOGGED_OUT, _describe(user), origin=_origin_of(request, user))


def _note_failure(credentials: dict[str, Any], request: Any = None, **_: Any) -> None:
    """Of an account that there is, its name; whatever else was typed may have been a password."""
    username = str(credentials.get("username", "")).replace("\0", "")
    user = User.objects.filter(username=username).first()
    subject = _describe(user) if user else Subject("person", "", "(no such account)")
    entry = audit.make_entry(Action.LOG_IN_FAILED, subject, origin=_origin_of(request, None))
    _note(entry)


def _note_factor_added(user: Any, authenticator: Any, request: Any = None, **_: Any) -> None:
    facts = {"factor": str(authenticator.type)}
    audit.record(Action.FACTOR_ADDED, _describe(user), after=facts, origin=_by(request, user))


def _note_factor_removed(user: Any, authenticator: Any, request: Any = None, **_: Any) -> None:
    facts = {"factor": str(authenticator.type)}
    audit.record(Action.FACTOR_REMOVED, _describe(user), before=facts, origin=_by(request, user))


def _note_wrong_code(user: Any, request: Any = None, **_: Any) -> None:
    origin = _origin_of(request, None)
    entry = audit.make_entry(
        Action.LOG_IN_FAILED, _describe(user), after={"factor": "wrong"}, origin=origin
    )
    _note(entry)


def _by(request: Any, user: Any) -> Origin | None:
    """Without a request it is a command, which says itself whose it is."""
    return None if request is None else _origin_of(request, user)


def _describe(user: Any) -> Subject:
    return Subject("person", user.pk, user.get_username())


def _origin_of(request: Any, user: Any) -> Origin:
    """By whom: the request's own idea of it is of before, or of after."""
    found = describe_request(request) if request is not None else Origin(NOBODY)
    if user is None:
        return Origin(NOBODY, address=found.address, request_id=found.request_id)
    return Origin(PERSON, user.pk, user.get_username(), found.address, found.request_id)
