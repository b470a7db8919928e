"""The same as wsgi.py for a server that speaks ASGI: sales that come together share a commit.

    granian --interface asgi inventory_project.asgi:application

Everything else is answered by the WSGI application in threads of its own: Django's ASGI handler
makes new threads, and so new connections to the database, for each request.
"""

from asgiref.wsgi import WsgiToAsgi
from django.conf import settings

from inventory_project.wsgi import application as wsgi_application

# isort: split
# Only now: what they import needs Django's settings, which wsgi.py has loaded.
from inventory_project.admission import AdmittedASGI
from orders.gathering import SalesDoor
from stores.authentication import recall_store_id

application = AdmittedASGI(
    SalesDoor(WsgiToAsgi(wsgi_application)),  # type: ignore[no-untyped-call]
    settings.ADMISSION_PLACES,
    recall_store_id,
)
