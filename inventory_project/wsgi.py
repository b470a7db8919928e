"""What the web server calls: the door of sales first, Django behind it."""

import gc
import os
from collections.abc import Iterable
from functools import partial
from http import HTTPStatus
from typing import Any

from django.core.wsgi import get_wsgi_application
from rest_framework.exceptions import ParseError

from inventory_project.durability import refuse_at_start

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "inventory_project.settings")

django_application = get_wsgi_application()
refuse_at_start()

# Only now: their models need Django's settings.
from inventory_project.doors import Answer, Sent, answer_error, read_body  # noqa: E402
from orders import accepting  # noqa: E402
from orders.gathering import ThreadGatherer  # noqa: E402
from stores.key_use import keep_writing  # noqa: E402

# What was loaded stays: the collector need not walk through all of Django while it looks among the
# objects of a large batch, where that took 15 % of the time.
gc.collect()
gc.freeze()
# A batch makes thousands of objects and no circle; looking for one each 700 took 5 % of the time.
gc.set_threshold(20_000, 20, 50)

_REASONS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
_gatherer = ThreadGatherer()
keep_writing()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer one request."""
    if environ["PATH_INFO"] != accepting.PATH or not accepting.is_taken(environ):
        return django_application(environ, start_response)
    answer = _answer_sale(environ)
    start_response(_REASONS[answer.status], answer.headers)
    return [answer.body]


def _answer_sale(environ: dict[str, Any]) -> Answer:
    read = partial(environ["wsgi.input"].read, int(environ["CONTENT_LENGTH"]))
    try:
        body = read_body(Sent(environ, read))
    except ParseError as error:
        return answer_error(error, None)
    return _gatherer.answer(Sent(environ, lambda: body), len(body))
