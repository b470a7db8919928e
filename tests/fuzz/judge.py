"""What an answer must be, whatever was asked; and how many were which."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

PROBLEM = "application/problem+json"
FAILURES_TOLD_MAX = 20
# What only the inside of the program knows, and never belongs into an answer.
INSIDES = (
    "Traceback (most recent call last)", 'File "/', "site-packages", "django.", "psycopg",
    "stores_storekey", "SELECT ", "INSERT INTO", "argon2$", "secret_sha256", "granian",
)  # fmt: skip


@dataclass
class Tally:
    """What one caller was answered."""

    cases: int = 0
    s5xx: int = 0
    not_problem: int = 0
    by_status: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def note(self, status: int, content_type: str, body: str, where: str) -> None:
        self.cases += 1
        self.by_status[status] += 1
        if status >= 500 and status != 503:  # busy: the same again is right, and says so
            self.s5xx += 1
            self.fail(f"{where}: {status} {body[:300]}")
        if status >= 400 and not is_problem(status, content_type, body):
            self.not_problem += 1
            self.fail(f"{where}: {status} is no problem document: {content_type} {body[:300]}")

    def fail(self, what: str) -> None:
        self.failures.append(what)

    @property
    def is_clean(self) -> bool:
        return not (self.s5xx or self.not_problem or self.failures)

    def tell(self) -> dict[str, Any]:
        return {
            "cases": self.cases, "s5xx": self.s5xx, "not_problem": self.not_problem,
            "by_status": {str(status): count for status, count in sorted(self.by_status.items())},
            "failures": len(self.failures),
        }  # fmt: skip


def is_problem(status: int, content_type: str, body: str) -> bool:
    if content_type.partition(";")[0].strip() != PROBLEM:
        return False
    try:
        problem = json.loads(body)
    except ValueError:
        return False
    wanted = {"type", "title", "status", "code", "detail"}
    return isinstance(problem, dict) and wanted <= problem.keys() and problem["status"] == status


def find_leaks(text: str, secrets: dict[str, str]) -> list[str]:
    """The names of what stands in a text and must not. `secrets` are texts by name."""
    inside = [f"{word!r}" for word in INSIDES if word in text]
    return inside + find_secrets(text, secrets)


def find_secrets(text: str, secrets: dict[str, str]) -> list[str]:
    return [name for name, secret in secrets.items() if secret in text]
