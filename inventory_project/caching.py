"""Answers that are kept until what they say changes: products, stores, what a barcode means.

An app's head row says the version of its tables, and is read on every request: an answer of
another version is made anew. So nothing is ever deleted, a change is in the next answer of every
process, and a cache that is empty or away costs time only.

An answer that a change overtook while it was made is given and not kept: it may be of both
versions, and a database that is put back can make the older one the present one again.

Each process keeps answers in memory; with Redis they share them, so that a change is read from
the database once and not once by each. Kept under the question, not under the version: what
nobody asks for any more is overwritten or forgotten.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cachetools import LRUCache
from django.conf import settings
from django.core.cache import caches
from django.db import connection, models
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.utils.cache import patch_vary_headers
from django.utils.http import parse_etags

from inventory_project.bodies import JSONRenderer
from inventory_project.windows import Ask, Limit, LocalWindow

logger = logging.getLogger(__name__)

STAMP_BITS = 62
LOCAL_BYTES_MAX = 16 * 2**20  # a process
KEPT_BYTES_BESIDE = 500  # what an answer takes beside its body
SHARED_S = 60  # after so long only the processes know it
# Of one process. Anybody can ask for a page nobody asked for before, and Redis holds the bell, too.
SHARED_BYTES_A_MINUTE = 8 * 2**20
# Who makes an answer for all has so long; then another one does it, too.
MAKING_S_MAX = 2
LOOK_AGAIN_S = 0.005
SILENCE_AFTER_FAILURE_S = 5
_LOCKS_COUNT = 64


def measure_kept(kept: "Kept") -> int:
    """Bytes an answer takes in this process."""
    return len(kept.body) + KEPT_BYTES_BESIDE


_local: LRUCache[str, "Kept"] = LRUCache(LOCAL_BYTES_MAX, getsizeof=measure_kept)
_shared_bytes = LocalWindow()
_local_lock = threading.Lock()
# One thread of a process makes an answer. Fewer locks than questions: two that share one wait.
_making = [threading.Lock() for _ in range(_LOCKS_COUNT)]
_silent_until = 0.0


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer, and the version of the tables it was made for."""

    version: str
    body: bytes


class _Overtaken(Exception):
    """The tables changed while the answer was made."""

    def __init__(self, body: bytes) -> None:
        self.body = body


def answer_by_version(
    request: HttpRequest, *, head: type[models.Model], scope: str, make: Callable[[], Any]
) -> HttpResponse:
    """Answer what `make` returns, as JSON: kept, or made now; or 304 to who has it.

    `head` is the one-row model whose `version` and `stamp` change with everything that `make`
    reads; `scope` says whose rows those are (`Principal.scope`), and the address says the rest.
    What `make` raises is answered as an error and not kept.
    """
    version = read_version(head)
    question = _digest(request.path, *sorted(request.GET.lists()), scope)
    etag = f'"{_digest(question, version)}"'
    if _has_it(request, etag):
        return _tell_kept(HttpResponseNotModified(), etag)
    try:
        body = _find(question, version, lambda: _make_of(version, head, make))
    except _Overtaken as overtaken:
        return HttpResponse(overtaken.body, content_type=JSONRenderer.media_type)
    return _tell_kept(HttpResponse(body, content_type=JSONRenderer.media_type), etag)


def _make_of(version: str, head: type[models.Model], make: Callable[[], Any]) -> bytes:
    body = JSONRenderer().render(make())
    if read_version(head) != version:
        raise _Overtaken(body)
    return body


def _tell_kept(response: HttpResponse, etag: str) -> HttpResponse:
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"  # keep it, and ask each time
    patch_vary_headers(response, ("Authorization", "Cookie"))
    return response


def read_version(head: type[models.Model]) -> str:
    """The version of the tables that this one-row model stands for.

    Plain SQL: asked by every request, and the ORM takes four times as long. With the stamp,
    because a database that was restored from a copy gives the same numbers out again.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT version, stamp FROM {head._meta.db_table} WHERE id = 1")
        row = cursor.fetchone()
    return f"{row[0]}.{row[1]}" if row else "0"


def _has_it(request: HttpRequest, etag: str) -> bool:
    # A gateway that compresses makes the tag a weak one.
    known = parse_etags(request.META.get("HTTP_IF_NONE_MATCH", ""))
    return etag in (tag.removeprefix("W/") for tag in known)


def _digest(*parts: object) -> str:
    text = "\x1f".join(map(str, (*parts, _read_release())))
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=12).hexdigest()


@cache
def _read_release() -> str:
    """Of all code: a new release must not give out an old one's answers."""
    digest = hashlib.blake2b(digest_size=8)
    for source in sorted(settings.BASE_DIR.glob("[!.]*/*.py")):
        digest.update(Path(source).read_bytes())
    return digest.hexdigest()


# --- in this process ------------------------------------------------------------------------


def _find(question: str, version: str, make: Callable[[], bytes]) -> bytes:
    known = _look_up(question, version)
    if known is not None:
        return known
    with _making[int(question, 16) % _LOCKS_COUNT]:
        known = _look_up(question, version)
        if known is not None:
            return known
        body = _find_shared(question, version, make) if settings.REDIS_URL else make()
        _remember(question, Kept(version, body))
        return body


def _look_up(question: str, version: str) -> bytes | None:
    with _local_lock:
        kept = _local.get(question)
    return kept.body if kept and kept.version == version else None


def _remember(question: str, kept: Kept) -> None:
    if measure_kept(kept) > LOCAL_BYTES_MAX:
        return
    with _local_lock:
        _local[question] = kept


# --- in all processes -----------------------------------------------------------------------


def _find_shared(question: str, version: str, make: Callable[[], bytes]) -> bytes:
    """The answer that another process made or is making, else one made for all of them."""
    deadline = time.monotonic() + MAKING_S_MAX
    mark = f"{question}.{version}"
    known = _look_up_shared(question, version)
    while known is None and time.monotonic() < deadline:
        # Set: nobody else makes it. None: Redis is away.
        if _ask(lambda shared: shared.add(mark, 1, timeout=MAKING_S_MAX)) is not False:
            break
        time.sleep(LOOK_AGAIN_S)
        known = _look_up_shared(question, version)
    # Once more: who made it may have taken its mark away between our look and our mark.
    known = known or _look_up_shared(question, version)
    if known is not None:
        return known
    try:
        body = make()
        if _may_share(body):
            _ask(lambda shared: shared.set(question, (version, body), timeout=SHARED_S))
        return body
    finally:
        _ask(lambda shared: shared.delete(mark))


def _look_up_shared(question: str, version: str) -> bytes | None:
    kept = _ask(lambda shared: shared.get(question))
    if not (isinstance(kept, list) and len(kept) == 2):
        return None
    known: bytes = kept[1]
    return known if kept[0] == version else None


def _may_share(body: bytes) -> bool:
    budget = Limit("kept_bytes", SHARED_BYTES_A_MINUTE, "")
    return _shared_bytes.take(Ask(budget, len(body))).allowed


def _ask(question: Callable[[Any], Any]) -> Any:
    """What Redis answers; None when it is away, and for some seconds after that without asking."""
    global _silent_until
    now = time.monotonic()
    if now < _silent_until:
        return None
    if _silent_until:  # one request asks whether it is back; the others do not wait with it
        _silent_until = now + SILENCE_AFTER_FAILURE_S
    try:
        told = question(caches["default"])
    except Exception as error:  # noqa: BLE001 - redis, msgspec, sockets: no base class in common
        _silent_until = time.monotonic() + SILENCE_AFTER_FAILURE_S
        logger.warning("Redis is away, each process keeps answers by itself: %s", error)
        return None
    _silent_until = 0.0
    return told
