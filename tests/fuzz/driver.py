"""Makes requests up from the schema and sends them to a running server as one caller."""

import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from schemathesis import checks as general
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.generation.drivers import CoverageGenerator
from schemathesis.generation.feedback import NO_FEEDBACK
from schemathesis.generation.overrides import Override
from schemathesis.specs.openapi import checks as openapi

from tests.fuzz.judge import Tally, find_leaks
from tests.fuzz.names import GONE, OF_ONE_STORE, OWN

ANSWER_S_MAX = 30
EXAMPLES_A_TURN_MAX = 20
# Half of what is made up is about things that exist: a made-up SKU is mostly nobody's.
AIMED_SHARE = 0.5
KINDS = ("receipt", "vendor_return", "waste", "adjustment")
# Doors that write the ledger, tried more often than the others.
WEIGHT = {"/api/orders/sales/": 4, "/api/stock/movements/": 4}
EVENT_IDS = range(1, 500)  # few enough to come twice


def refuses_what_violates_the_schema(ctx: Any, response: Any, case: Any) -> Any:
    """A bad event in a batch of sales is refused in its place, in an answer of 200 or 202."""
    if 400 <= response.status_code < 500:
        return None  # schemathesis does not take 411, 413 and 414 for refusals
    results = response.json().get("results", []) if case.path == "/api/orders/sales/" else []
    if any(isinstance(r, dict) and r.get("status") == "rejected" for r in results):
        return None
    return openapi.negative_data_rejection(ctx, response, case)


# All that schemathesis has but three. `positive_data_acceptance`: an SKU of the right shape may
# still be nobody's, and no schema can say so. `use_after_free` and `ensure_resource_availability`:
# they follow links from answer to answer, and nothing here is ever deleted.
ABOUT_THE_ANSWER = [
    general.not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_headers_conformance,
    openapi.response_schema_conformance,
    openapi.unsupported_method,
    openapi.allow_header_conformance,
]
# These look at how a case was made, so at none that was aimed afterwards.
ABOUT_THE_CASE = [refuses_what_violates_the_schema, openapi.missing_required_header]
ABOUT_THE_KEY = [openapi.ignored_auth]


@dataclass
class Caller:
    """Who asks: its headers, and the texts that no answer to it may hold, by name."""

    name: str
    headers: dict[str, str]
    secrets: dict[str, str]
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.trust_env = False  # never by way of a proxy of the machine


@dataclass
class Fuzzer:
    """Sends so many cases as one caller; `known` are the names of what exists."""

    url: str
    caller: Caller
    known: dict[str, str]
    cases: int
    seed: int
    on_progress: Callable[[Tally], None]
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self._chance = random.Random(f"{self.seed} {self.caller.name}")

    def run(self, *schemas: Any) -> Tally:
        operations = [found.ok() for schema in schemas for found in schema.get_all_operations()]
        self._send_edges(operations)
        operations = [found for found in operations for _ in range(WEIGHT.get(found.path, 1))]
        for turn in count():
            self._chance.shuffle(operations)
            for operation in operations:
                if self.tally.cases >= self.cases:
                    return self.tally
                self._send_some(operation, self.seed + turn)
                self.on_progress(self.tally)
        raise AssertionError("it counts for ever")

    def _send_edges(self, operations: list[Any]) -> None:
        """The edges of every type, some 60 an operation; at most a third of all cases."""
        edges = [case for operation in operations for case in edges_of(operation)]
        self._chance.shuffle(edges)
        for case in edges[: self.cases // 3]:
            self._send(case, is_aimed=False)
            self.on_progress(self.tally)

    def _send_some(self, operation: Any, seed: int) -> None:
        modes = [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]

        # Few for a short look, so that every door is tried in it.
        examples = max(3, min(self.cases // 100, EXAMPLES_A_TURN_MAX))

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=examples, database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck), verbosity=hypothesis.Verbosity.quiet,
        )  # fmt: skip
        @given(case=st.one_of(modes))
        def send(case: Any) -> None:
            if self.tally.cases < self.cases:
                is_aimed = self._chance.random() < AIMED_SHARE
                self._send(self._aim(case) if is_aimed else case, is_aimed=is_aimed)

        send()

    def _aim(self, case: Any) -> Any:
        """The same about what exists. What is retired is retired once, and not what others need."""
        gone = {"code": GONE, "sku": "GONE", "name": "GONE"} if "/retire/" in case.path else {}
        known = self.known | gone
        case.path_parameters = {name: known[name] for name in case.path_parameters or {}}
        if "store" in (case.query or {}):
            case.query["store"] = OWN
        for line in lines_of(case.body):
            if self._chance.random() < AIMED_SHARE:
                line.clear()  # nothing else is wrong with it
            line.pop("barcode", None)
            line |= self._make_line()
            if "/movements/" in case.path:
                line |= {"kind": self._chance.choice(KINDS), "reason": "damaged"}
            if self.caller.name not in OF_ONE_STORE:  # in a batch of movements it stands above
                (case.body if "movements" in case.body else line)["store"] = OWN
        return case

    def _make_line(self) -> dict[str, Any]:
        """What a line of a sale or movement needs to count, also twice, or with other content."""
        return {
            "event_id": str(uuid.UUID(int=self._chance.choice(EVENT_IDS), version=4)),
            "sku": self._chance.choice(("TEA", "NOBODY-KNOWS")),
            "quantity": self._chance.choice((1, "2.500", "1000000")),
            "occurred_at": "2026-03-02T12:00:00+05:00",
        }

    def _send(self, case: Any, *, is_aimed: bool) -> None:
        where = f"{self.caller.name} {case.method} {case.path}"
        if "Cookie" in self.caller.headers:
            case.headers.pop("Authorization", None)  # a made-up key would hide the session
        try:
            response = case.call(
                base_url=self.url, session=self.caller.session, headers=self.caller.headers,
                timeout=ANSWER_S_MAX, allow_redirects=False,
            )  # fmt: skip
        except (requests.RequestException, ConnectionError) as error:
            self.tally.cases += 1
            self.tally.fail(f"{where}: no answer: {error!r:.300}")
            return
        body = response.content.decode(errors="replace")
        content_type = (response.headers.get("content-type") or [""])[0]
        self.tally.note(response.status_code, content_type, body, where)
        for name in find_leaks(body, self.caller.secrets):
            self.tally.fail(f"{where}: the answer holds {name}: {body[:300]}")
        self._check(case, response, where, is_aimed=is_aimed)

    def _check(self, case: Any, response: Any, where: str, *, is_aimed: bool) -> None:
        if "components" not in case.operation.schema.raw_schema:  # the earlier addresses
            return
        checks = list(ABOUT_THE_ANSWER)
        if self.caller.headers and not is_aimed:
            checks += ABOUT_THE_CASE
        if "Authorization" in self.caller.headers and not is_aimed:
            checks += ABOUT_THE_KEY
        try:
            case.validate_response(response, checks=checks, headers=self.caller.headers)
        except FailureGroup as group:
            for failure in group.exceptions:
                self.tally.fail(f"{where}: {response.status_code} {failure!s:.600}")


def lines_of(body: Any) -> list[dict[str, Any]]:
    """The lines of a sale or movement: the body itself, or all of a batch."""
    if not isinstance(body, dict):
        return []
    rows = body.get("events", body.get("movements", [body]))
    rows = rows if isinstance(rows, list) else []
    return [row for row in rows if isinstance(row, dict) and "event_id" in row]


def edges_of(operation: Any) -> Iterator[Any]:
    schema = operation.schema
    generation = schema.config.generation_for(operation=operation, phase="coverage")
    yield from CoverageGenerator(
        operation=operation,
        generation_modes=generation.modes,
        generation_config=generation,
        auth_storage=None,
        override=Override(),
        feedback=NO_FEEDBACK,
    )


def read_schema(url: str) -> Any:
    return schemathesis.openapi.from_url(f"{url}/api/schema/")
