"""What the web server calls: the door of sales first, Django behind it."""

import os
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "inventory_project.settings")

django_application = get_wsgi_application()

# Only now: their models need Django's settings.
from inventory_project.doors import Sent  # noqa: E402
from orders import accepting  # noqa: E402

_REASONS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer one request."""
    if environ["PATH_INFO"] != accepting.PATH or not accepting.is_taken(environ):
        return django_application(environ, start_response)
    length = int(environ["CONTENT_LENGTH"])
    read = environ["wsgi.input"].read
    (answer,) = accepting.answer_all([Sent(environ, lambda: read(length))])
    start_response(_REASONS[answer.status], answer.headers)
    return [answer.body]
