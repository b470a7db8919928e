"""Doors to the ledger: `/api/stock/`."""

from typing import Any

from drf_spectacular.utils import (
    OpenApiParameter,
    PolymorphicProxySerializer,
    extend_schema,
)
from rest_framework import generics, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from inventory_project.api import refuse_unknown_parameters
from inventory_project.bodies import read_sent
from inventory_project.errors import DomainError, Invalid
from inventory_project.fields import format_quantity
from inventory_project.limits import charge_batch
from inventory_project.paging import KeysetPagination, read_after, read_limit
from stock import ledger
from stock.filters import LevelFilter, MovementFilter, find_product, find_store_of_query
from stock.models import LedgerHead, Level, Movement
from stock.parsing import parse_lines
from stock.serializers import (
    LevelSerializer,
    MovementBatchSerializer,
    MovementFeedSerializer,
    MovementLineSerializer,
    MovementSerializer,
    RecordedListSerializer,
    RecordedSerializer,
)
from stores.models import Scope, Store
from stores.permissions import Need, principal_of

ONE_OR_MANY_RECORDED = PolymorphicProxySerializer(
    component_name="MovementsAnswer",
    serializers=[RecordedSerializer, RecordedListSerializer],
    resource_type_field_name=None,
)


READ_LEVELS = Need("stock.view_level", Scope.STOCK_READ)
READ_MOVEMENTS = Need("stock.view_movement", Scope.STOCK_READ)
BOOK_MOVEMENTS = Need("stock.add_movement", Scope.STOCK_WRITE)


@extend_schema(summary="What stores have")
class LevelListView(generics.GenericAPIView[Level]):
    needs = {"GET": READ_LEVELS}
    serializer_class = LevelSerializer
    filterset_class = LevelFilter
    pagination_class = KeysetPagination
    page_order = ("store_id", "product_id")
    page_parameters = ("limit", "cursor")
    queryset = Level.objects.all()

    def get_queryset(self) -> Any:
        levels = Level.objects.visible_to(principal_of(self.request))
        return levels.select_related("store", "product")

    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(LevelSerializer(page, many=True).data)


class MovementListView(generics.GenericAPIView[Movement]):
    needs = {"GET": READ_MOVEMENTS, "POST": BOOK_MOVEMENTS}
    serializer_class = MovementSerializer
    filterset_class = MovementFilter
    pagination_class = KeysetPagination
    page_parameters = ("limit", "cursor")
    queryset = Movement.objects.all()

    @property
    def page_order(self) -> tuple[str, ...]:
        of_one_store = find_store_of_query(self.request) is not None
        return ("seq",) if of_one_store else ("recorded_at", "store_id", "seq")

    def get_queryset(self) -> Any:
        movements = Movement.objects.visible_to(principal_of(self.request))
        return movements.select_related("store", "product")

    def narrow_page(self, queryset: Any, *, rows: int, behind: list[Any]) -> Any:
        """Find one product's movements in one store through the segments they are indexed by."""
        store = find_store_of_query(self.request)
        sku = self.request.query_params.get("product")
        if store is None or not sku:
            return queryset
        return queryset.of_product(
            store_id=store.pk,
            product_id=find_product(sku).pk,
            rows=rows,
            after=int(behind[0]) if behind else 0,
        )

    @extend_schema(summary="History, oldest first")
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(MovementSerializer(page, many=True).data)

    @extend_schema(
        summary="Receive, return, waste or adjust: one or up to 1,000, all or none",
        request=PolymorphicProxySerializer(
            component_name="MovementsByHand",
            serializers=[MovementLineSerializer, MovementBatchSerializer],
            resource_type_field_name=None,
        ),
        responses={201: ONE_OR_MANY_RECORDED, 200: ONE_OR_MANY_RECORDED},
    )
    def post(self, request: Request) -> Response:
        refuse_unknown_parameters(request, set())
        sent = read_sent(request)
        charge_batch(request, sent, "movements")
        lines, code, is_batch = parse_lines(sent)
        principal = principal_of(request)
        store = _need_store(principal.store if code is None else principal.get_store_to_write(code))
        try:
            recorded = ledger.move_by_hand(
                store=store,
                lines=lines,
                actor_id=principal.actor_id,
                device_id=principal.device_id,
            )
        except DomainError as error:
            # The ledger counts lines from 0; a body of one movement has no list to count in.
            error.pointer = _place_pointer(error.pointer, is_batch)
            raise
        new = any(one.status == "recorded" for one in recorded)
        answer = [_present(one) for one in recorded]
        return Response(
            {"results": answer} if is_batch else answer[0],
            status=status.HTTP_201_CREATED if new else status.HTTP_200_OK,
        )


class MovementFeedView(APIView):
    """A store's changes in `seq` order; nothing is skipped, nothing comes late."""

    needs = {"GET": READ_MOVEMENTS}

    @extend_schema(
        summary="What changed after a seq",
        parameters=[
            OpenApiParameter("after", int, description="The last seq you have; 0 at first."),
            OpenApiParameter("limit", int, description="Rows, 100 if not given, at most 1,000."),
            OpenApiParameter("store", str, description="Head-office keys say which."),
        ],
        responses=MovementFeedSerializer,
    )
    def get(self, request: Request) -> Response:
        refuse_unknown_parameters(request, {"after", "limit", "store"})
        store = _need_store(find_store_of_query(request))
        limit, after = read_limit(request), read_after(request)
        movements = Movement.objects.for_store(store).after(after)
        rows = list(movements.select_related("store", "product")[: limit + 1])
        page = rows[:limit]
        return Response(
            {
                "results": MovementSerializer(page, many=True).data,
                "last_seq": page[-1].seq if page else min(after, _last_seq(store)),
                "more": len(rows) > limit,
            }
        )


def _need_store(store: Store | None) -> Store:
    if store is None:
        raise Invalid([("?store", "required", "head-office keys say which store")])
    return store


def _last_seq(store: Store) -> int:
    head = LedgerHead.objects.filter(store=store).first()
    return head.last_seq if head else 0


def _place_pointer(pointer: str, is_batch: bool) -> str:
    if not pointer or not pointer[1:2].isdecimal():
        return pointer
    return f"/movements{pointer}" if is_batch else "/" + pointer.split("/", 2)[2]


def _present(one: ledger.Recorded) -> dict[str, Any]:
    return {
        "event_id": str(one.event_id),
        "status": one.status,
        "seq": one.seq,
        "balance_after": format_quantity(one.balance_after),
    }
