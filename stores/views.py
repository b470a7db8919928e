"""Doors to the registry: `/api/stores/`."""

from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import status, viewsets
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from inventory_project.api import refuse_unknown_parameters
from inventory_project.bodies import read_sent
from inventory_project.caching import answer_by_version
from inventory_project.paging import KeysetPagination
from inventory_project.schema import KNOWN_ETAG
from stores import registry
from stores.contacts import Contact, may_see_contacts, may_write_contacts, read_contact
from stores.filters import CONTACT_PARAMETERS, StoreFilter
from stores.models import Store, StoresHead
from stores.permissions import ADD_STORE, CHANGE_STORE, READ_STORES, principal_of
from stores.principals import Principal
from stores.serializers import StoreDetailSerializer, StoreSerializer
from stores.writing import read_columns, write_store

NO_CONTACTS = "Only head office sees and changes whom to call about a store."


@extend_schema_view(
    list=extend_schema(
        summary="Stores the caller may see",
        parameters=[KNOWN_ETAG],
        responses=StoreSerializer(many=True),
    ),
    retrieve=extend_schema(summary="One store"),
)
class StoreViewSet(viewsets.GenericViewSet[Store]):
    needs = {
        "list": READ_STORES,
        "retrieve": READ_STORES,
        "create": ADD_STORE,
        "partial_update": CHANGE_STORE,
        "retire": CHANGE_STORE,
    }
    serializer_class = StoreDetailSerializer
    filterset_class = StoreFilter
    pagination_class = KeysetPagination
    page_order = ("code",)
    page_parameters = ("limit", "cursor")
    lookup_field = "code"
    lookup_value_regex = "[^/]+"
    queryset = Store.objects.all()

    def get_queryset(self) -> Any:
        return Store.objects.visible_to(principal_of(self.request))

    def list(self, request: Request) -> HttpResponseBase:
        if any(name in request.query_params for name in CONTACT_PARAMETERS):
            return self._list_by_contact(request)
        scope = principal_of(request).scope
        return answer_by_version(request, head=StoresHead, scope=scope, make=self._make_page)

    def retrieve(self, request: Request, code: str) -> Response:
        refuse_unknown_parameters(request, set())
        store = principal_of(request).get_store(code)
        return Response(_present(store, principal_of(request)))

    @extend_schema(summary="Register a store", responses={201: StoreDetailSerializer})
    def create(self, request: Request) -> Response:
        refuse_unknown_parameters(request, set())
        sent = StoreDetailSerializer(data=read_sent(request))
        sent.is_valid(raise_exception=True)
        parts = _read_contact(sent.validated_data, principal_of(request))
        contact = None if parts is None else Contact(**parts)
        fields = {n: v for n, v in sent.validated_data.items() if n != "contact"}
        store = registry.register_store(contact=contact, **fields)
        return Response(_present(store, principal_of(request)), status=status.HTTP_201_CREATED)

    @extend_schema(summary="Change a store")
    def partial_update(self, request: Request, code: str) -> Response:
        refuse_unknown_parameters(request, set())
        store = principal_of(request).get_store(code)
        sent = StoreDetailSerializer(store, data=read_sent(request), partial=True)
        sent.is_valid(raise_exception=True)
        contact = _read_contact(sent.validated_data, principal_of(request))
        fields = {n: v for n, v in sent.validated_data.items() if n not in ("code", "contact")}
        store = registry.change_store(store, contact=contact, **fields)
        return Response(_present(store, principal_of(request)))

    @extend_schema(summary="Close a store; late events still count", request=None)
    def retire(self, request: Request, code: str) -> Response:
        refuse_unknown_parameters(request, set())
        store = registry.retire_store(principal_of(request).get_store(code))
        return Response(_present(store, principal_of(request)))

    def _list_by_contact(self, request: Request) -> Response:
        """Made anew each time: neither memory nor Redis shall know who was looked for."""
        if not may_see_contacts(principal_of(request)):
            raise PermissionDenied(NO_CONTACTS)
        return Response(self._make_page())

    def _make_page(self) -> Any:
        stores = read_columns(self.filter_queryset(self.get_queryset()))
        page = [write_store(row) for row in self.paginate_queryset(stores) or ()]
        return self.get_paginated_response(page).data


def _present(store: Store, principal: Principal) -> dict[str, Any]:
    shown = write_store(store)
    if may_see_contacts(principal):
        shown["contact"] = read_contact(store)._asdict()
    return shown


def _read_contact(sent: dict[str, Any], principal: Principal) -> dict[str, str] | None:
    """The parts of a contact that a request sends; None where it sends none.

    Raises PermissionDenied.
    """
    if "contact" not in sent:
        return None
    if not may_write_contacts(principal):
        raise PermissionDenied(NO_CONTACTS)
    parts: dict[str, str] = sent["contact"]
    return parts
