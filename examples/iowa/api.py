"""The API as a till sees it: kept-open connections, retries with the same ids, pages."""

import json
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3

from examples.iowa.errors import CannotGoOnError

PAGE_ROWS = 1000
CONNECT_SECONDS_MAX = 5.0
READ_SECONDS_MAX = 60.0
RETRY_SECONDS_MAX = 120.0  # a server may be started anew meanwhile; then we give up
FIRST_WAIT_SECONDS = 0.25
WAIT_SECONDS_MAX = 5.0
RETRY_AFTER_SECONDS_MAX = 30.0
RETRIED_STATUSES = (429, 502, 503, 504)
CLOCK_READINGS = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said; `body` is JSON with every number exact."""

    status: int
    body: Any


class Api:
    """One address and one key; may be used by many threads at once."""

    def __init__(self, url: str, key: str, *, connections: int) -> None:
        self.url = url
        self.stopping = threading.Event()  # set: whoever waits before a retry gives up
        if not (key.isascii() and key.isprintable() and key):
            raise CannotGoOnError("The key is not one: it has characters that no key has.")
        self._prefix = _read_prefix(url)
        self._headers = {
            "Authorization": f"Api-Key {key}",
            "Accept": "application/json",
            "User-Agent": "kiryana-iowa-example",
        }
        self._pool = urllib3.connection_from_url(
            url,
            maxsize=connections,
            retries=False,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS_MAX, read=READ_SECONDS_MAX),
        )

    def get(self, path: str, *, allowed: Collection[int] = (200,), **query: Any) -> Answer:
        """Ask; raises CannotGoOnError for any status that is not allowed."""
        return self.send("GET", path, query=query, allowed=allowed)

    def post(self, path: str, body: bytes, *, allowed: Collection[int]) -> Answer:
        """Tell; safe to repeat, because whatever we tell carries its own id or code."""
        return self.send("POST", path, body=body, allowed=allowed)

    def send(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        query: Mapping[str, Any] | None = None,
        allowed: Collection[int],
        retry_seconds_max: float = RETRY_SECONDS_MAX,
    ) -> Answer:
        """Send until there is an answer, at most `retry_seconds_max`; raises CannotGoOnError."""
        deadline = time.monotonic() + retry_seconds_max
        wait_seconds = FIRST_WAIT_SECONDS
        while True:
            response, trouble = self._try(method, path, body, query)
            if response is not None and response.status not in RETRIED_STATUSES:
                return self._judge(response, method, path, allowed)
            pause = max(wait_seconds, _read_retry_after(response))
            if time.monotonic() + pause > deadline or self.stopping.wait(pause):
                raise CannotGoOnError(f"{self.url} does not answer {method} {path}: {trouble}.")
            wait_seconds = min(2 * wait_seconds, WAIT_SECONDS_MAX)

    def pages(self, path: str, **query: Any) -> Iterator[Any]:
        """The rows of a list, page by page."""
        query["limit"] = PAGE_ROWS
        while True:
            page = self.get(path, **query).body
            yield from page["results"]
            if page["next"] is None:
                return
            query["cursor"] = page["next"]

    def changes(self, store: str) -> Iterator[Any]:
        """All movements of a store from its feed, in `seq` order."""
        after, more = 0, True
        while more:
            page = self.get("/api/stock/changes/", store=store, after=after, limit=PAGE_ROWS).body
            yield from page["results"]
            after, more = page["last_seq"], page["more"]

    def introduce(self) -> dict[str, Any]:
        """Who we are to the server; raises CannotGoOnError at once when it is not there."""
        answer = self.send("GET", "/api/stores/current/", allowed=(200,), retry_seconds_max=0.0)
        if not isinstance(answer.body, dict) or "head_office" not in answer.body:
            raise CannotGoOnError(f"{self.url} answers, but not as this product does.")
        if not answer.body["head_office"]:
            raise CannotGoOnError(
                "This is the key of one store; the chain needs a head-office key."
            )
        return answer.body

    def measure_clock(self) -> float:
        """How many seconds the server's time is ahead of our `time.monotonic()`."""
        readings = []
        for _ in range(CLOCK_READINGS):
            before = time.monotonic()
            told = self.get("/api/stores/current/").body["server_time"]
            after = time.monotonic()
            ahead = datetime.fromisoformat(told).timestamp() - (before + after) / 2
            readings.append((after - before, ahead))
        return min(readings)[1]

    def _try(
        self, method: str, path: str, body: bytes | None, query: Mapping[str, Any] | None
    ) -> tuple[urllib3.BaseHTTPResponse | None, str]:
        address = self._prefix + path + (f"?{urlencode(query)}" if query else "")
        headers = self._headers | ({"Content-Type": "application/json"} if body is not None else {})
        try:
            response = self._pool.urlopen(method, address, body=body, headers=headers)
        except urllib3.exceptions.NewConnectionError:
            return None, "nobody listens there"
        except urllib3.exceptions.HTTPError as error:
            return None, f"the connection failed ({type(error).__name__})"
        return response, f"it says {response.status} ({_find_detail(response)})"

    def _judge(
        self,
        response: urllib3.BaseHTTPResponse,
        method: str,
        path: str,
        allowed: Collection[int],
    ) -> Answer:
        if response.status == 401:
            raise CannotGoOnError("The server does not know this key, or it is revoked.")
        if response.status not in allowed:
            detail = _find_detail(response)
            raise CannotGoOnError(f"{method} {path} was answered {response.status}: {detail}")
        try:
            # A float would lose digits of money and quantities; these come as integer or text.
            return Answer(response.status, json.loads(response.data, parse_float=Decimal))
        except ValueError as error:
            raise CannotGoOnError(
                f"{self.url} answers {path} with something else than JSON."
            ) from error


def _read_prefix(url: str) -> str:
    """The path that stands before every address. Raises CannotGoOnError."""
    trouble = CannotGoOnError(f"{url} is not an address such as http://127.0.0.1:8000.")
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError as error:  # a port or an IPv6 address that is none
        raise trouble from error
    if not known:
        raise trouble
    return parts.path.rstrip("/")


def _read_retry_after(response: urllib3.BaseHTTPResponse | None) -> float:
    told = response.headers.get("Retry-After", "") if response is not None else ""
    return min(float(told), RETRY_AFTER_SECONDS_MAX) if told.isdecimal() else 0.0


def _find_detail(response: urllib3.BaseHTTPResponse) -> str:
    """The sentence of a problem document, or that there is none."""
    try:
        problem = json.loads(response.data)
    except ValueError:
        return "no reason given"
    if not isinstance(problem, dict):
        return "no reason given"
    errors = problem.get("errors") or []
    fields = "".join(f" {e.get('pointer')}: {e.get('detail')}" for e in errors[:3])
    return f"{problem.get('detail', 'no reason given')}{fields}"
