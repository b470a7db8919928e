"""Doors to the catalogue: `/api/catalog/`, and what a till asks first: `/api/stores/current/`."""

from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.utils import timezone as clock
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from catalog import editing
from catalog.filters import CategoryFilter, ProductFilter, find_category
from catalog.models import CatalogHead, Category, Product, ProductChange
from catalog.serializers import (
    CategorySerializer,
    ProductChangeSerializer,
    ProductSerializer,
)
from catalog.writing import read_columns, write_product, write_products
from inventory_project.api import refuse_unknown_parameters
from inventory_project.bodies import read_sent
from inventory_project.caching import answer_by_version
from inventory_project.errors import InvalidValue, NotFound
from inventory_project.fields import clean_sku
from inventory_project.limits import describe, find_limit
from inventory_project.paging import KeysetPagination, read_after, read_limit
from inventory_project.schema import KNOWN_ETAG
from stores.models import Scope
from stores.permissions import ANYBODY, Need, principal_of
from stores.serializers import StoreSerializer

READ_PRODUCTS = Need("catalog.view_product", Scope.CATALOG_READ)
ADD_PRODUCT = Need("catalog.add_product", Scope.CATALOG_WRITE, of_chain=True)
CHANGE_PRODUCT = Need("catalog.change_product", Scope.CATALOG_WRITE, of_chain=True)
READ_CATEGORIES = Need("catalog.view_category", Scope.CATALOG_READ)
ADD_CATEGORY = Need("catalog.add_category", Scope.CATALOG_WRITE, of_chain=True)
CHANGE_CATEGORY = Need("catalog.change_category", Scope.CATALOG_WRITE, of_chain=True)


class ProductViewSet(viewsets.GenericViewSet[Product]):
    needs = {
        "list": READ_PRODUCTS,
        "retrieve": READ_PRODUCTS,
        "create": ADD_PRODUCT,
        "partial_update": CHANGE_PRODUCT,
        "retire": CHANGE_PRODUCT,
    }
    serializer_class = ProductSerializer
    filterset_class = ProductFilter
    pagination_class = KeysetPagination
    page_order = ("sku",)
    page_parameters = ("limit", "cursor")
    lookup_field = "sku"
    queryset = Product.objects.all()

    @extend_schema(summary="Products; or the one a barcode means", parameters=[KNOWN_ETAG])
    def list(self, request: Request) -> HttpResponse:
        return answer_by_version(request, head=CatalogHead, scope="", make=self._make_page)

    @extend_schema(summary="One product", parameters=[KNOWN_ETAG])
    def retrieve(self, request: Request, sku: str) -> HttpResponse:
        refuse_unknown_parameters(request, set())
        return answer_by_version(
            request, head=CatalogHead, scope="", make=lambda: write_product(self._find(sku))
        )

    @extend_schema(summary="Add a product", responses={201: ProductSerializer})
    def create(self, request: Request) -> Response:
        refuse_unknown_parameters(request, set())
        sent = ProductSerializer(data=read_sent(request))
        sent.is_valid(raise_exception=True)
        product = editing.create_product(by=principal_of(request), **sent.validated_data)
        return Response(write_product(product), status=status.HTTP_201_CREATED)

    @extend_schema(summary="Change a product; barcodes are replaced as a whole")
    def partial_update(self, request: Request, sku: str) -> Response:
        refuse_unknown_parameters(request, set())
        product = self._find(sku)
        sent = ProductSerializer(product, data=read_sent(request), partial=True)
        sent.is_valid(raise_exception=True)
        fields = {n: v for n, v in sent.validated_data.items() if n != "sku"}
        editing.change_product(product, by=principal_of(request), **fields)
        return Response(write_product(product))

    @extend_schema(summary="Take out of the range; late events still count", request=None)
    def retire(self, request: Request, sku: str) -> Response:
        refuse_unknown_parameters(request, set())
        product = editing.retire_product(self._find(sku), by=principal_of(request))
        return Response(write_product(product))

    def _make_page(self) -> Any:
        products = read_columns(self.filter_queryset(self.get_queryset()))
        page = write_products(self.paginate_queryset(products) or ())
        return self.get_paginated_response(page).data

    def _find(self, sku: str) -> Product:
        try:
            product = self.get_queryset().filter(sku=clean_sku(sku)).first()
        except InvalidValue:
            product = None
        if product is None:
            raise NotFound("There is no such product.")
        return product


class CategoryViewSet(viewsets.GenericViewSet[Category]):
    needs = {
        "list": READ_CATEGORIES,
        "retrieve": READ_CATEGORIES,
        "create": ADD_CATEGORY,
        "partial_update": CHANGE_CATEGORY,
        "retire": CHANGE_CATEGORY,
    }
    serializer_class = CategorySerializer
    filterset_class = CategoryFilter
    pagination_class = KeysetPagination
    page_order = ("name",)
    page_parameters = ("limit", "cursor")
    lookup_field = "name"
    queryset = Category.objects.all()

    @extend_schema(summary="Categories")
    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(CategorySerializer(page, many=True).data)

    @extend_schema(summary="One category")
    def retrieve(self, request: Request, name: str) -> Response:
        refuse_unknown_parameters(request, set())
        return Response(CategorySerializer(self._find(name)).data)

    @extend_schema(summary="Add a category", responses={201: CategorySerializer})
    def create(self, request: Request) -> Response:
        refuse_unknown_parameters(request, set())
        sent = CategorySerializer(data=read_sent(request))
        sent.is_valid(raise_exception=True)
        category = editing.create_category(by=principal_of(request), **sent.validated_data)
        return Response(CategorySerializer(category).data, status=status.HTTP_201_CREATED)

    @extend_schema(summary="Rename a category")
    def partial_update(self, request: Request, name: str) -> Response:
        refuse_unknown_parameters(request, set())
        category = self._find(name)
        sent = CategorySerializer(category, data=read_sent(request), partial=True)
        sent.is_valid(raise_exception=True)
        if sent.validated_data:
            editing.change_category(category, by=principal_of(request), **sent.validated_data)
        return Response(CategorySerializer(category).data)

    @extend_schema(summary="Take out of use", request=None)
    def retire(self, request: Request, name: str) -> Response:
        refuse_unknown_parameters(request, set())
        category = editing.retire_category(self._find(name), by=principal_of(request))
        return Response(CategorySerializer(category).data)

    def _find(self, name: str) -> Category:
        return find_category(name)


class ProductChangeFeedView(APIView):
    """The catalogue's changes in version order; nothing is skipped, nothing comes late."""

    needs = {"GET": Need("catalog.view_productchange", Scope.CATALOG_READ)}

    @extend_schema(
        summary="What changed after a version",
        parameters=[
            OpenApiParameter("after", int, description="The last version you have; 0 at first."),
            OpenApiParameter("limit", int, description="Rows, 100 if not given, at most 1,000."),
        ],
        responses=inline_serializer(
            "ProductChangeFeed",
            {
                "results": ProductChangeSerializer(many=True),
                "last_version": serializers.IntegerField(),
                "more": serializers.BooleanField(),
            },
        ),
    )
    def get(self, request: Request) -> Response:
        refuse_unknown_parameters(request, {"after", "limit"})
        limit, after = read_limit(request), read_after(request)
        changes = ProductChange.objects.filter(version__gt=after).order_by("version")
        rows = list(changes[: limit + 1])
        page = rows[:limit]
        return Response(
            {
                "results": ProductChangeSerializer(page, many=True).data,
                "last_version": page[-1].version if page else min(after, editing.current_version()),
                "more": len(rows) > limit,
            }
        )


class CurrentStoreView(APIView):
    """What a till asks first: who am I, what time is it, how much may I send, where to follow.

    Stands in this app because it tells the catalogue's version.
    """

    needs = {"GET": ANYBODY}

    @extend_schema(
        summary="Who the caller is",
        responses=inline_serializer(
            "Current",
            {
                "store": StoreSerializer(allow_null=True),
                "key": serializers.CharField(allow_null=True),
                "scopes": serializers.ListField(child=serializers.CharField()),
                "head_office": serializers.BooleanField(),
                "server_time": serializers.DateTimeField(),
                "batch_events_max": serializers.IntegerField(),
                "request_bytes_max": serializers.IntegerField(),
                "limit": inline_serializer(
                    "CurrentLimit",
                    {
                        "kind": serializers.CharField(),
                        "units": serializers.IntegerField(),
                        "seconds": serializers.IntegerField(),
                        "events_a_unit": serializers.IntegerField(),
                    },
                ),
                "catalog_version": serializers.IntegerField(),
            },
        ),
    )
    def get(self, request: Request) -> Response:
        refuse_unknown_parameters(request, set())
        principal = principal_of(request)
        return Response(
            {
                "store": StoreSerializer(principal.store).data if principal.store else None,
                "key": principal.key.prefix if principal.key else None,
                "scopes": principal.key.scopes.split() if principal.key else [],
                "head_office": principal.works_chain_wide,
                "server_time": clock.now(),
                "batch_events_max": settings.BATCH_EVENTS_MAX,
                "request_bytes_max": settings.REQUEST_BYTES_MAX,
                "limit": describe(find_limit(request, self)),
                "catalog_version": editing.current_version(),
            }
        )
