"""What every answer tells browsers and caches; the one list of it, also for the doors that go past
Django. Strict-Transport-Security comes beside it, where TLS is spoken.

Answers to programs may load, run and show nothing. The back office is the exception: its Alpine.js
evaluates expressions that stand in the page, and pages of its own carry a <style>.
"""

from typing import Any

from django.http import HttpRequest, HttpResponseBase


def _write_policy(**sources: str) -> str:
    closed = {"default-src": "'none'", "base-uri": "'none'", "frame-ancestors": "'none'"}
    named = {name.replace("_", "-"): value for name, value in sources.items()}
    return "; ".join(f"{name} {value}" for name, value in (closed | named).items())


STRICT_POLICY = _write_policy(form_action="'none'")
OFFICE_POLICY = _write_policy(
    script_src="'self' 'unsafe-eval'",
    style_src="'self' 'unsafe-inline'",
    img_src="'self' data: blob:",
    font_src="'self'",
    connect_src="'self'",
    form_action="'self'",
)
# Swagger writes style attributes and draws its icons from data: addresses.
DOCS_POLICY = _write_policy(
    script_src="'self'",
    style_src="'self' 'unsafe-inline'",
    img_src="'self' data:",
    connect_src="'self'",
    form_action="'none'",
)
_PAGES = {"/admin/": OFFICE_POLICY, "/api/docs/": DOCS_POLICY}
_ALWAYS = [
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
]
API_HEADERS = [
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", STRICT_POLICY),
    *_ALWAYS,
]


class TellBrowsers:
    """Middleware, the outermost: writes them into every answer, also into refusals of the others;
    what an answer says itself stays."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = self.get_response(request)
        for begin, policy in _PAGES.items():
            if request.path.startswith(begin):
                response.setdefault("Content-Security-Policy", policy)
        for name, value in API_HEADERS:
            response.setdefault(name, value)
        return response
