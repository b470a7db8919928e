"""The first page of the back office: what head office asks in the morning.

Only what an index answers at once; movements and levels are never counted here.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone as clock
from django.utils.timesince import timesince

from catalog.models import Product
from orders.models import ParkReason, SaleEvent, Status
from stores.backoffice import find_principal
from stores.models import Store
from stores.principals import Principal

LATE = timedelta(minutes=1)


def answer_first_questions(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """unfold's DASHBOARD_CALLBACK: adds `cards` and `parked` to the context of the index."""
    principal = find_principal(request)
    oldest_at = _find_oldest_waiting(principal)
    parked = _count_parked(principal)
    context["cards"] = [
        _card(request, "stores.view_store", "Open stores", _count_stores(principal),
              "admin:stores_store_changelist", {"retired": "no"}),
        _card(request, "catalog.view_product", "Products in use", Product.objects.active().count(),
              "admin:catalog_product_changelist", {"retired": "no"}),
        _card(request, "orders.view_saleevent", "Parked events", sum(n for *_, n in parked),
              "admin:orders_parkedevent_changelist", {}, is_warning=bool(parked)),
        _card(request, "orders.view_saleevent", "Oldest sale waiting", _tell_age(oldest_at),
              "admin:orders_saleeventtwin_changelist", {"status__exact": Status.PENDING.value},
              is_warning=oldest_at is not None and clock.now() - oldest_at > LATE),
    ]  # fmt: skip
    context["parked"] = [
        {
            "reason": ParkReason(reason).label,
            "count": count,
            "href": reverse(
                "admin:orders_parkedevent_changelist", query={"park_reason__exact": reason}
            ),
        }
        for reason, count in parked
    ]
    context["title"] = "The chain today"
    context["sees_sales"] = request.user.has_perm("orders.view_saleevent")
    return context


def _card(
    request: HttpRequest,
    permission: str,
    title: str,
    answer: Any,
    page: str,
    query: dict[str, str],
    *,
    is_warning: bool = False,
) -> dict[str, Any]:
    is_allowed = request.user.has_perm(permission)
    return {
        "title": title,
        "answer": answer,
        "href": reverse(page, query=query or None),
        "is_warning": is_warning,
        "is_shown": is_allowed,
    }


def _count_stores(principal: Principal) -> int:
    return int(Store.objects.visible_to(principal).active().count())


def _count_parked(principal: Principal) -> list[tuple[str, int]]:
    """(reason, count), most first; the index on parked rows answers it."""
    parked = SaleEvent.objects.visible_to(principal).parked()
    counted = parked.values_list("park_reason").annotate(rows=Count("event_id")).order_by("-rows")
    return [(reason, count) for reason, count in counted]


def _find_oldest_waiting(principal: Principal) -> datetime | None:
    waiting = SaleEvent.objects.visible_to(principal).filter(status=Status.PENDING)
    oldest: datetime | None = (
        waiting.order_by("received_at").values_list("received_at", flat=True).first()
    )
    return oldest


def _tell_age(since: datetime | None) -> str:
    return timesince(since, depth=1) if since else "none"
