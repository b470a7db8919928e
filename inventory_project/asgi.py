"""The same as wsgi.py for a server that speaks ASGI: sales that come together share a commit.

    granian --interface asgi inventory_project.asgi:application

Everything else is answered by the WSGI application in threads of its own: Django's ASGI handler
makes new threads, and so new connections to the database, for each request.
"""

from typing import Any

from asgiref.wsgi import WsgiToAsgi
from django.conf import settings

from inventory_project.wsgi import application as wsgi_application

# isort: split
# Only now: what they import needs Django's settings, which wsgi.py has loaded.
from inventory_project.admission import AdmittedASGI
from orders.gathering import SalesDoor
from stores.authentication import recall_store_id

_wsgi = WsgiToAsgi(wsgi_application)  # type: ignore[no-untyped-call]


async def without_underscores(scope: Any, receive: Any, send: Any) -> None:
    """To WSGI `X_Forwarded_For` and `X-Forwarded-For` are one name: who sends the first would
    write over what the gateway said in the second. Nobody of good will sends such names."""
    headers = [header for header in scope.get("headers", ()) if b"_" not in header[0]]
    await _wsgi(dict(scope, headers=headers), receive, send)


application = AdmittedASGI(
    SalesDoor(without_underscores), settings.ADMISSION_PLACES, recall_store_id
)
