"""Doors to sales: `/api/orders/sales/`."""

import uuid
from typing import Any

from drf_spectacular.utils import (
    OpenApiParameter,
    PolymorphicProxySerializer,
    extend_schema,
)
from rest_framework import generics, status
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from inventory_project.api import refuse_unknown_parameters
from inventory_project.bodies import read_sent
from inventory_project.errors import Invalid, InvalidValue, NotFound
from inventory_project.fields import parse_event_id
from inventory_project.limits import charge_batch
from inventory_project.paging import KeysetPagination
from orders import sales
from orders.accepting import announce, read_told, tell_back
from orders.models import SaleEvent
from orders.serializers import (
    SALE_STATUSES,
    DismissSerializer,
    OutcomeListSerializer,
    OutcomeSerializer,
    SaleBatchSerializer,
    SaleLineSerializer,
    SaleSerializer,
)
from orders.tasks import ring_doorbell
from stock.models import Kind, Movement
from stores.models import Scope, Store
from stores.permissions import Need, principal_of

ONE_OR_MANY_OUTCOMES = PolymorphicProxySerializer(
    component_name="SalesAnswer",
    serializers=[OutcomeSerializer, OutcomeListSerializer],
    resource_type_field_name=None,
)
STORE_PARAMETER = OpenApiParameter("store", str, description="Head-office keys say which.")


READ_SALES = Need("orders.view_saleevent", Scope.SALES_READ)
TELL_SALES = Need("orders.add_saleevent", Scope.SALES_WRITE)
DECIDE_SALES = Need("orders.decide_parkedevent", Scope.SALES_DECIDE)


class SaleListView(generics.GenericAPIView[Any]):
    needs = {"GET": READ_SALES, "POST": TELL_SALES}
    serializer_class = SaleSerializer
    pagination_class = KeysetPagination
    queryset = SaleEvent.objects.none()

    @property
    def page_order(self) -> tuple[str, ...]:
        applied = self.request.query_params.get("status") == "applied"
        return ("seq",) if applied else ("received_at", "event_id")

    @extend_schema(
        summary="Sale events by where they are",
        parameters=[
            OpenApiParameter(
                "status", str, enum=SALE_STATUSES, description="All that wait, if not given."
            ),
            STORE_PARAMETER,
        ],
    )
    def get(self, request: Request) -> Response:
        refuse_unknown_parameters(request, {"status", "store", "limit", "cursor"})
        store = _find_store(request)
        wanted = request.query_params.get("status")
        if wanted is not None and wanted not in SALE_STATUSES:
            detail = f"must be one of: {', '.join(SALE_STATUSES)}"
            raise Invalid([("?status", "not_a_choice", detail)])
        page = self.paginate_queryset(_list_sales(store, wanted))
        return self.get_paginated_response(SaleSerializer(page, many=True).data)

    @extend_schema(
        summary="Tell sales: one event, or up to 1,000",
        request=PolymorphicProxySerializer(
            component_name="Sales",
            serializers=[SaleLineSerializer, SaleBatchSerializer],
            resource_type_field_name=None,
        ),
        responses={202: ONE_OR_MANY_OUTCOMES, 200: ONE_OR_MANY_OUTCOMES},
    )
    def post(self, request: Request) -> Response:
        """202 when something was accepted: it is on disk. 200 when all was known before."""
        refuse_unknown_parameters(request, set())
        principal = principal_of(request)
        sent = read_sent(request)
        charge_batch(request, sent, "events")
        told = read_told(sent, principal=principal)
        code, answer = tell_back(told, sales.accept(principal=principal, lines=told.lines))
        announce([code])
        return Response(answer, status=code)


class SaleDetailView(APIView):
    needs = {"GET": READ_SALES}

    @extend_schema(
        summary="Where one event is", parameters=[STORE_PARAMETER], responses=SaleSerializer
    )
    def get(self, request: Request, event_id: str) -> Response:
        refuse_unknown_parameters(request, {"store"})
        sale = _find_sale(_find_store(request), _read_event_id(event_id))
        return Response(SaleSerializer(sale).data)


class SaleReplayView(APIView):
    needs = {"POST": DECIDE_SALES}

    @extend_schema(
        summary="Try a parked event again",
        parameters=[STORE_PARAMETER],
        request=None,
        responses={202: SaleSerializer},
    )
    def post(self, request: Request, event_id: str) -> Response:
        refuse_unknown_parameters(request, {"store"})
        store = _find_store_to_decide(request)
        principal = principal_of(request)
        event = sales.replay(principal=principal, event_id=_read_event_id(event_id), store=store)
        ring_doorbell()
        return Response(SaleSerializer(event).data, status=status.HTTP_202_ACCEPTED)


class SaleDismissView(APIView):
    needs = {"POST": DECIDE_SALES}

    @extend_schema(
        summary="Decide that a parked event shall never count",
        parameters=[STORE_PARAMETER],
        request=DismissSerializer,
        responses=SaleSerializer,
    )
    def post(self, request: Request, event_id: str) -> Response:
        refuse_unknown_parameters(request, {"store"})
        store = _find_store_to_decide(request)
        sent = DismissSerializer(data=read_sent(request))
        sent.is_valid(raise_exception=True)
        event = sales.dismiss(
            principal=principal_of(request),
            event_id=_read_event_id(event_id),
            reason=sent.validated_data["reason"],
            store=store,
        )
        return Response(SaleSerializer(event).data)


def _find_store(request: Request) -> Store:
    """The caller's own store, or the one head office names."""
    principal = principal_of(request)
    code = request.query_params.get("store")
    if code is None and principal.store is None:
        raise Invalid([("?store", "required", "head-office keys say which store")])
    return principal.get_store(code)


def _find_store_to_decide(request: Request) -> Store:
    """Replaying and dismissing are decisions of people; a till's key does not take them."""
    store = _find_store(request)
    if principal_of(request).is_device:
        raise PermissionDenied("Only head office and staff decide about parked events.")
    principal_of(request).refuse_unless_writable(store)
    return store


def _read_event_id(raw: str) -> uuid.UUID:
    try:
        return parse_event_id(raw)
    except InvalidValue as error:
        raise NotFound("There is no such event.") from error


def _find_sale(store: Store, event_id: uuid.UUID) -> SaleEvent | Movement:
    # Inbox first: an event is applied and leaves it in one commit, so what is gone from there
    # is in the ledger by the time we look.
    waiting = SaleEvent.objects.for_store(store).filter(event_id=event_id)
    applied = _applied_sales(store).filter(event_id=event_id)
    sale: SaleEvent | Movement | None = waiting.select_related("store").first() or applied.first()
    if sale is None:
        raise NotFound("There is no such event.")
    return sale


def _list_sales(store: Store, wanted: str | None) -> Any:
    if wanted == "applied":
        return _applied_sales(store)
    events = SaleEvent.objects.for_store(store).select_related("store")
    return events.filter(status=wanted) if wanted else events


def _applied_sales(store: Store) -> Any:
    movements = Movement.objects.for_store(store).filter(kind__in=(Kind.SALE, Kind.RETURN))
    return movements.select_related("store", "product")
