"""`/metrics`: what an operator's Prometheus asks, in its text form. Head-office keys only.

Five numbers that an index answers, asked of the database each time: with several processes, what
one of them counted would be a part. The one alarm that matters is the age of the oldest event that
could be applied; rules to begin with are in docs/operate/alerts.yml.
"""

import logging
from collections.abc import Iterator
from typing import Any

import redis
from django.conf import settings
from django.db.models import Count, Sum
from django.http import HttpResponse
from django.utils import timezone as clock
from drf_spectacular.utils import extend_schema
from redis.backoff import NoBackoff
from redis.retry import Retry
from rest_framework.request import Request
from rest_framework.views import APIView

from inventory_project.api import refuse_unknown_parameters
from orders import sales
from orders.models import ParkReason, SaleEvent, Status
from stock.models import LedgerHead
from stores.models import Scope
from stores.permissions import Need

logger = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
UNACKED = "unacked"  # kombu's name for the hash of messages that a worker holds

# name, what it says, labels with value
Metric = tuple[str, str, dict[str, float]]


@extend_schema(exclude=True)
class MetricsView(APIView):
    needs = {"GET": Need("orders.view_saleevent", Scope.METRICS_READ, reads_chain=True)}

    def get(self, request: Request) -> HttpResponse:
        refuse_unknown_parameters(request, set())
        return HttpResponse("".join(write_metrics()), content_type=CONTENT_TYPE)


def write_metrics() -> Iterator[str]:
    """Every metric as the lines that Prometheus reads."""
    for name, says, values in [*_measure_inbox(), *_measure_doorbell()]:
        yield f"# HELP {name} {says}\n# TYPE {name} gauge\n"
        for labels, value in values.items():
            yield f"{name}{labels} {value:g}\n"


def _measure_inbox() -> list[Metric]:
    oldest_at = sales.oldest_due_at()
    age_s = (clock.now() - oldest_at).total_seconds() if oldest_at else 0.0
    pending = SaleEvent.objects.filter(status=Status.PENDING)
    moved = LedgerHead.objects.aggregate(total=Sum("last_seq"))["total"] or 0
    return [
        ("kiryana_oldest_unapplied_seconds",
         "Age of the oldest accepted event that could be applied now.", {"": max(0.0, age_s)}),
        ("kiryana_pending_events", "Accepted events not applied yet.", {"": pending.count()}),
        ("kiryana_failing_events", "Of them, those that failed before and are tried again.",
         {"": pending.filter(attempts__gt=0).count()}),
        ("kiryana_parked_events", "Events that wait for a person, by reason.", _count_parked()),
        ("kiryana_movements", "Movements in the ledger.", {"": moved}),
    ]  # fmt: skip


def _count_parked() -> dict[str, float]:
    rows = SaleEvent.objects.parked().values_list("park_reason").annotate(events=Count("event_id"))
    counts = dict.fromkeys(ParkReason.values, 0) | dict(rows)
    return {f'{{reason="{reason}"}}': count for reason, count in sorted(counts.items())}


def _measure_doorbell() -> list[Metric]:
    """The bell's queue; nothing without Redis, where it is a folder."""
    if not settings.REDIS_URL:
        return []
    up, waiting, unacked = 1, 0, 0
    try:
        with _open_redis() as client:
            waiting, unacked = client.llen(settings.INVENTORY_EVENTS_QUEUE), client.hlen(UNACKED)
    except redis.RedisError as error:
        logger.warning("Redis is not there to be measured: %s", error)
        up = 0
    return [
        ("kiryana_redis_up", "Whether Redis answers; without it the sweep applies.", {"": up}),
        ("kiryana_doorbell_waiting", "Messages that no worker has taken.", {"": waiting}),
        ("kiryana_doorbell_unacked", "Messages that a worker holds.", {"": unacked}),
    ]


def _open_redis() -> Any:
    timeout_s = settings.REDIS_TIMEOUT_S
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=timeout_s, socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )  # fmt: skip
