"""Doors to the registry: `/api/stores/`."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from inventory_project.api import refuse_unknown_parameters
from inventory_project.bodies import read_sent
from inventory_project.caching import answer_by_version
from inventory_project.paging import KeysetPagination
from inventory_project.schema import KNOWN_ETAG
from stores import registry
from stores.filters import StoreFilter
from stores.models import Store, StoresHead
from stores.permissions import ADD_STORE, CHANGE_STORE, READ_STORES, principal_of
from stores.serializers import StoreSerializer
from stores.writing import read_columns, write_store


@extend_schema_view(
    list=extend_schema(summary="Stores the caller may see", parameters=[KNOWN_ETAG]),
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
    serializer_class = StoreSerializer
    filterset_class = StoreFilter
    pagination_class = KeysetPagination
    page_order = ("code",)
    page_parameters = ("limit", "cursor")
    lookup_field = "code"
    lookup_value_regex = "[^/]+"
    queryset = Store.objects.all()

    def get_queryset(self) -> Any:
        return Store.objects.visible_to(principal_of(self.request))

    def list(self, request: Request) -> HttpResponse:
        scope = principal_of(request).scope
        return answer_by_version(request, head=StoresHead, scope=scope, make=self._make_page)

    def retrieve(self, request: Request, code: str) -> Response:
        refuse_unknown_parameters(request, set())
        return Response(write_store(principal_of(request).get_store(code)))

    @extend_schema(summary="Register a store", responses={201: StoreSerializer})
    def create(self, request: Request) -> Response:
        refuse_unknown_parameters(request, set())
        sent = StoreSerializer(data=read_sent(request))
        sent.is_valid(raise_exception=True)
        store = registry.register_store(**sent.validated_data)
        return Response(write_store(store), status=status.HTTP_201_CREATED)

    @extend_schema(summary="Change a store")
    def partial_update(self, request: Request, code: str) -> Response:
        refuse_unknown_parameters(request, set())
        store = principal_of(request).get_store(code)
        sent = StoreSerializer(store, data=read_sent(request), partial=True)
        sent.is_valid(raise_exception=True)
        fields = {n: v for n, v in sent.validated_data.items() if n != "code"}
        return Response(write_store(registry.change_store(store, **fields)))

    @extend_schema(summary="Close a store; late events still count", request=None)
    def retire(self, request: Request, code: str) -> Response:
        refuse_unknown_parameters(request, set())
        store = registry.retire_store(principal_of(request).get_store(code))
        return Response(write_store(store))

    def _make_page(self) -> Any:
        stores = read_columns(self.filter_queryset(self.get_queryset()))
        page = [write_store(row) for row in self.paginate_queryset(stores) or ()]
        return self.get_paginated_response(page).data
