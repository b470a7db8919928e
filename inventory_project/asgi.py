"""The same as wsgi.py for a server that speaks ASGI: sales that come together share a commit.

    granian --interface asgi inventory_project.asgi:application

Everything else is answered by the WSGI application in threads of its own: Django's ASGI handler
makes new threads, and so new connections to the database, for each request.
"""

from asgiref.wsgi import WsgiToAsgi

from inventory_project.wsgi import application as wsgi_application
from orders.gathering import SalesDoor

application = SalesDoor(WsgiToAsgi(wsgi_application))  # type: ignore[no-untyped-call]
