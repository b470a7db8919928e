"""What all addresses of earlier versions have in common."""

from collections.abc import Callable
from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from catalog.models import Product
from compat.bodies import EarlierJSONParser, FormParser
from compat.origins import allow_origin, answer_preflight, is_preflight
from compat.reading import read_id
from inventory_project.api import answer_problem, refuse_unknown_parameters
from inventory_project.errors import InvalidValue, NotFound
from stores.models import Store
from stores.permissions import MeetsNeed, Need, principal_of
from stores.principals import Principal


class Door(APIView):
    """Takes JSON and forms, tells refusals with the earlier key `message`, lets named origins in.

    Left out of the schema: it describes what new programs should use.
    """

    parser_classes = [EarlierJSONParser, FormParser]
    schema = None
    limit_kind = "earlier"
    # The query parameters it knows.
    parameters: ClassVar[set[str]] = set()

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response: HttpResponseBase
        if is_preflight(request):
            response = answer_preflight(self.allowed_methods)
        else:
            response = super().dispatch(request, *args, **kwargs)
        allow_origin(request, response)
        return response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        refuse_unknown_parameters(request, self.parameters)

    def get_exception_handler(self) -> Callable[..., Response | None]:
        return _answer_with_message


class HeadOfficeOrShop(MeetsNeed):
    """Version 1 was one shop that kept its own products, and so does a shop of today."""

    def find_need(self, request: Request, view: Any) -> Need:
        need = super().find_need(request, view)
        return need._replace(of_chain=False) if settings.SHOP else need


def find_store_to_write(principal: Principal, raw_id: Any) -> Store:
    """As `find_store`. Raises NotYours as well, for a store that the caller only sees."""
    store = find_store(principal, raw_id)
    principal.refuse_unless_writable(store)
    return store


def find_store(principal: Principal, raw_id: Any) -> Store:
    """A store the caller may see. Raises NotFound, for a foreign one as for a missing one."""
    stores = Store.objects.visible_to(principal).filter(pk__in=_read_ids(raw_id))
    store: Store | None = stores.first()
    if store is None:
        raise NotFound("There is no such store.")
    return store


def find_own_store(request: Request) -> Store:
    """The store of the caller's key, the only one that version 1 knows."""
    store = principal_of(request).store
    if store is None:
        raise PermissionDenied("This address acts on the store of its key. Use a key of a store.")
    return store


def find_product(raw_id: Any) -> Product:
    """The product of an id. Raises NotFound."""
    product = Product.objects.filter(pk__in=_read_ids(raw_id)).first()
    if product is None:
        raise NotFound("There is no such product.")
    return product


def _read_ids(raw_id: Any) -> list[int]:
    """The one id of an address, or none: what is no id is nobody's."""
    try:
        return [read_id(raw_id)]
    except InvalidValue:
        return []


def _answer_with_message(error: Exception, context: dict[str, Any]) -> Response | None:
    response = answer_problem(error, context)
    if response is not None:
        response.data["message"] = response.data["detail"]
    return response
