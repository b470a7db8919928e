"""What can go wrong, as small classes with a code, a status and a sentence."""

from typing import Any, ClassVar


class InvalidValue(ValueError):
    """One value a caller sent cannot be taken; `code` is for programs, `detail` for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class DomainError(Exception):
    """A rule of the business said no.

    Subclasses set `status` (HTTP), `code` (for programs) and `title` (for people); the instance
    carries the sentence and, in `facts`, what a caller needs to act on it.
    """

    status: ClassVar[int] = 400
    code: ClassVar[str] = "invalid"
    title: ClassVar[str] = "Invalid request"
    # Of what will pass later: in how many seconds.
    retry_after_s: int | None = None

    def __init__(self, detail: str, *, pointer: str = "", **facts: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.pointer = pointer
        self.facts = facts


class NotFound(DomainError):
    """Missing, or of a store the caller may not see: both answer alike."""

    status = 404
    code = "not_found"
    title = "Not found"


class Forbidden(DomainError):
    """The caller may see it and not do this with it."""

    status = 403
    code = "forbidden"
    title = "Not allowed"


class Conflict(DomainError):
    """The request is fine but the state it meets is not."""

    status = 409
    code = "conflict"
    title = "Conflict with what is already there"


class Invalid(DomainError):
    """One or more fields are wrong; `errors` lists them as (pointer, code, detail)."""

    code = "validation"

    def __init__(self, errors: list[tuple[str, str, str]]) -> None:
        count = len(errors)
        super().__init__(f"{count} field{'s are' if count > 1 else ' is'} wrong.")
        self.errors = errors


class TooMany(DomainError):
    """More rows or bytes in one request than the door takes."""

    status = 413
    code = "too_large"
    title = "Request too large"


class TryLater(DomainError):
    """Busy or waiting for a lock: the same request will work in a moment."""

    status = 503
    code = "busy"
    title = "Busy, try again"
    retry_after_s = 2


class RateLimited(DomainError):
    """The caller took all units of its limit: the same request will work after a while."""

    status = 429
    code = "rate_limited"
    title = "Too many requests"

    def __init__(self, units: int, retry_after_s: int) -> None:
        super().__init__(
            f"At most {units} units a minute. Wait {retry_after_s} s, then send the same again."
        )
        self.retry_after_s = retry_after_s
