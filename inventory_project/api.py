"""The conventions of the API: JSON in, JSON or problem+json out, and nothing passed over.

RFC 9457 gives the shape of a problem. What the caller sent is never echoed.
"""

import logging
from typing import Any

import django_filters
import orjson
from django import forms
from django.conf import settings
from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    ValidationError,
)
from django.db import InterfaceError, InternalError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import SimpleTemplateResponse
from django.urls import is_valid_path
from django_filters.rest_framework import DjangoFilterBackend
from drf_standardized_errors.formatter import flatten_errors
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import set_rollback

from inventory_project.bodies import JSONRenderer
from inventory_project.errors import DomainError, Invalid, InvalidValue, TryLater
from inventory_project.limits import charge_refusal
from inventory_project.reading import shorten_name

logger = logging.getLogger(__name__)

PROBLEM_ERRORS_MAX = 50
PROBLEM_CONTENT_TYPE = "application/problem+json"
ADDRESS_BYTES_MAX = 8_000
# Pages for people, who are led to TLS, and probes, which come from inside without it.
_NOT_THE_API = ("/admin", "/static/", "/health/")
# Nothing is wrong with the request: a timeout, a lost or closed connection, and, as an
# InternalError, a server that only reads since another became the primary.
DATABASE_AWAY = (OperationalError, InterfaceError, InternalError)
TITLES = {
    400: "Invalid request",
    401: "Key or log-in needed",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Only JSON is served here",
    409: "Conflict with what is already there",
    411: "Length needed",
    413: "Request too large",
    414: "Address too long",
    415: "Only JSON in UTF-8 is taken here",
    429: "Too many requests",
    500: "Something went wrong here",
    503: "Busy, try again",
}
# rest_framework's own sentences for these repeat what the caller sent.
_DETAILS = {
    405: "This address does not take this method.",
    406: "Accept application/json.",
    415: "Send application/json in UTF-8, without Content-Encoding.",
}


# --- problems -------------------------------------------------------------------------------


def make_problem(
    status: int,
    code: str,
    detail: str,
    *,
    title: str = "",
    errors: list[tuple[str, str, str]] | None = None,
    **facts: Any,
) -> dict[str, Any]:
    """A problem document; `errors` are (JSON pointer, code, detail)."""
    problem: dict[str, Any] = {
        "type": f"urn:kiryana:problem:{code}",
        "title": title or TITLES.get(status, "Refused"),
        "status": status,
        "code": code,
        "detail": detail,
    }
    if errors:
        problem["errors"] = [
            {"pointer": pointer, "code": error, "detail": text}
            for pointer, error, text in errors[:PROBLEM_ERRORS_MAX]
        ]
    return problem | facts


def problem_response(status: int, code: str, detail: str) -> HttpResponse:
    """A problem as a plain Django response, for what fails before or outside a view."""
    body = orjson.dumps(make_problem(status, code, detail))
    return HttpResponse(body, status=status, content_type=PROBLEM_CONTENT_TYPE)


def answer_problem(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: every refusal as problem+json, anything else as it was."""
    problem, headers = describe_problem(
        charge_refusal(error, context["request"], context.get("view"))
    )
    if problem is None:
        return None
    set_rollback()
    # Also where the view itself answers a page or another format.
    context["request"].accepted_renderer = JSONRenderer()
    context["request"].accepted_media_type = JSONRenderer.media_type
    response = Response(problem, status=problem["status"], headers=headers)
    response.content_type = PROBLEM_CONTENT_TYPE
    return response


def describe_problem(error: Exception) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """The problem document of an error and its headers; None for what is nobody's refusal."""
    if isinstance(error, DomainError):
        return _describe_domain(error)
    if isinstance(error, Http404):
        return make_problem(404, "not_found", "There is no such thing here."), {}
    if isinstance(error, PermissionDenied):
        return make_problem(403, "forbidden", "This is not yours to do."), {}
    if isinstance(error, RequestDataTooBig):
        return make_problem(413, "too_large", "The request is too large."), {}
    if isinstance(error, DATABASE_AWAY):
        return _describe_busy(error)
    if isinstance(error, exceptions.ValidationError):
        return _describe_validation(error), {}
    if isinstance(error, exceptions.APIException):
        return _describe_api(error)
    return None, {}


def _describe_domain(error: DomainError) -> tuple[dict[str, Any], dict[str, str]]:
    errors = None
    if isinstance(error, Invalid):
        errors = error.errors
    elif error.pointer:
        errors = [(error.pointer, error.code, error.detail)]
    headers = {"Retry-After": str(error.retry_after_s)} if error.retry_after_s else {}
    return (
        make_problem(
            error.status, error.code, error.detail, title=error.title, errors=errors, **error.facts
        ),
        headers,
    )


def _describe_busy(error: Exception) -> tuple[dict[str, Any], dict[str, str]]:
    # A lock or statement timeout, a lost server, a locked file: the outcome is unknown to the
    # caller, the same request with the same ids is safe.
    logger.warning("Database not available: %s", error)
    problem = make_problem(503, "busy", "The database is busy. Send the same request again.")
    return problem, {"Retry-After": str(TryLater.retry_after_s)}


def _describe_validation(error: exceptions.ValidationError) -> dict[str, Any]:
    errors = [
        (_make_pointer(found.attr), found.code, found.detail)
        for found in flatten_errors(error.detail)
    ]
    return make_problem(400, "validation", Invalid(errors).detail, errors=errors)


def _make_pointer(attr: str | None) -> str:
    path = [name for name in (attr or "").split(".") if name not in ("", "non_field_errors")]
    return "".join(f"/{name}" for name in path)


def _describe_api(error: exceptions.APIException) -> tuple[dict[str, Any], dict[str, str]]:
    headers: dict[str, str] = {}
    if getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = str(error.auth_header)  # type: ignore[attr-defined]
    if getattr(error, "wait", None):
        headers["Retry-After"] = str(int(error.wait))  # type: ignore[attr-defined]
    codes = error.get_codes()
    code = codes if isinstance(codes, str) else str(error.default_code)
    detail = _DETAILS.get(error.status_code, str(error.detail))
    return make_problem(error.status_code, code, detail), headers


# --- serializers ---------------------------------------------------------------------------


class StrictSerializer(serializers.Serializer[Any]):
    """A serializer that names the fields it does not know instead of passing them over."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            unknown = set(data) - {n for n, f in self.fields.items() if not f.read_only}
            if unknown:
                raise serializers.ValidationError(
                    {
                        shorten_name(name): serializers.ErrorDetail(
                            "Unknown field.", "unknown_field"
                        )
                        for name in sorted(unknown)[:PROBLEM_ERRORS_MAX]
                    }
                )
        return super().to_internal_value(data)


class ParsedField(serializers.Field[Any, Any, Any, Any]):
    """A serializer field read and written by two functions of fields.py, where the rules are."""

    def __init__(self, *, parse: Any, write: Any = None, **kwargs: Any) -> None:
        self._parse, self._write = parse, write
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> Any:
        try:
            return self._parse(data)
        except InvalidValue as error:
            raise serializers.ValidationError(error.detail, code=error.code) from error

    def to_representation(self, value: Any) -> Any:
        return self._write(value) if self._write else value


# --- query parameters -----------------------------------------------------------------------


class StrictFilterBackend(DjangoFilterBackend):
    """django-filter for views with a `filterset_class`; a parameter nobody declared is 400.

    A misspelt filter that is passed over answers a question nobody asked.
    """

    def filter_queryset(self, request: Request, queryset: Any, view: Any) -> Any:
        filterset = self.get_filterset(request, queryset, view)
        names = set(filterset.filters) if filterset else set()
        refuse_unknown_parameters(request, names | set(getattr(view, "page_parameters", ())))
        if filterset is None:
            return queryset
        if not filterset.is_valid():
            raise Invalid(
                [
                    (f"?{name}", found["code"] or "invalid", _describe_choices(filterset, name))
                    for name, errors in filterset.errors.get_json_data().items()
                    for found in errors
                ]
            )
        return filterset.qs


def _describe_choices(filterset: Any, name: str) -> str:
    # Django's own sentence would repeat what the caller sent.
    choices = getattr(filterset.form.fields[name], "choices", ())
    words = [str(value) for value, _ in choices if value]
    return f"must be one of: {', '.join(words)}" if words else "is not a value taken here"


class _YesNoField(forms.Field):
    def to_python(self, value: Any) -> bool | None:
        if value in self.empty_values:
            return None
        if value not in ("true", "false"):
            raise ValidationError("must be true or false", code="not_a_boolean")
        return bool(value == "true")


class YesNoFilter(django_filters.BooleanFilter):
    """`true` or `false`; django-filter's own passes over anything else in silence."""

    field_class = _YesNoField


def refuse_unknown_parameters(request: Request, known: set[str]) -> None:
    """Raises Invalid for parameters that are not known, given twice, empty or not plain text.

    An empty filter would be passed over: `?store=` would list every store.
    """
    errors = []
    for name, values in request.query_params.lists():
        if name not in known:
            errors.append(("", "unknown_parameter", "A query parameter is not known here."))
        elif len(values) > 1:
            errors.append((f"?{name}", "given_twice", "is given more than once"))
        elif not values[0].strip():
            errors.append((f"?{name}", "blank", "must not be empty"))
        elif "\x00" in values[0]:
            errors.append((f"?{name}", "control_character", "must not contain control characters"))
    if errors:
        raise Invalid(errors)


# --- outside the views ----------------------------------------------------------------------


class RefuseBeforeReading:
    """Middleware: what is refused before any view, session or database is asked."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        # Django would read the address in the charset that the Content-Type names.
        request.encoding = "utf-8"
        if settings.PRODUCTION and _is_api(request) and not request.is_secure():
            detail = "Use https:// here. A key that was sent without it may have been read."
            return problem_response(403, "https_needed", detail)
        if len(request.get_full_path()) > ADDRESS_BYTES_MAX:
            return problem_response(414, "address_too_long", "The address is too long.")
        if "%00" in request.META.get("QUERY_STRING", ""):
            # PostgreSQL has no NUL in text, and the back office passes parameters on as they are.
            detail = "The address must not contain control characters."
            return problem_response(400, "control_character", detail)
        if request.path.startswith("/admin/") and "HTTP_AUTHORIZATION" in request.META:
            # The back office is for people; to a device it does not exist.
            return problem_response(404, "not_found", "There is no such thing here.")
        if _lacks_its_slash(request.path_info):
            # Django would redirect, and a till that follows would GET the list where it wanted
            # to POST a sale, and take the 200 for an answer.
            return problem_response(404, "not_found", "Every address here ends with a slash.")
        response: HttpResponseBase = self.get_response(request)
        return response


class RefuseLargeForms:
    """Middleware: a form of a page is as large as a request of the API, but for those that hold a
    file, and those only from people of staff.

    To find the CSRF token Django reads a form before it looks who sent it, and holds it several
    times over: 20 MB at the log-in page were 200 MB.
    """

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = self.get_response(request)
        return response

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        if getattr(view, "csrf_exempt", False) or _is_small(request):  # the API reads for itself
            return None
        if request.path in settings.LARGE_FORMS and request.user.is_staff:
            return None
        return problem_response(413, "too_large", "The form is too large.")


def _is_small(request: HttpRequest) -> bool:
    length = request.META.get("CONTENT_LENGTH") or "0"
    known = length.isascii() and length.isdecimal() and len(length) < 20
    return known and int(length) <= settings.REQUEST_BYTES_MAX


def _is_api(request: HttpRequest) -> bool:
    return not request.path.startswith(_NOT_THE_API)


def _lacks_its_slash(path: str) -> bool:
    return path.startswith("/api/") and not path.endswith("/") and not is_valid_path(path)


def answer_bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400."""
    if isinstance(exception, RequestDataTooBig):
        return problem_response(413, "too_large", "The request is too large.")
    known = isinstance(exception, SuspiciousOperation | BadRequest)
    detail = "The request cannot be taken as it is." if known else "Invalid request."
    return problem_response(400, "bad_request", detail)


def answer_forbidden(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's handler403."""
    if _wants_page(request):
        return _page(request, "403.html", 403)
    return problem_response(403, "forbidden", "This is not yours to do.")


def answer_not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's handler404."""
    if _wants_page(request):
        return _page(request, "404.html", 404)
    return problem_response(404, "not_found", "There is no such thing here.")


def answer_broken(request: HttpRequest) -> HttpResponseBase:
    """Django's handler500."""
    if _wants_page(request):
        return _page(request, "500.html", 500)
    return problem_response(500, "broken", "Something went wrong here. It has been noted.")


def _wants_page(request: HttpRequest) -> bool:
    return request.path.startswith("/admin/")


def _page(request: HttpRequest, template: str, status: int) -> HttpResponseBase:
    return SimpleTemplateResponse(template, status=status).render()
