"""Probes: is the process alive, and can it do its work?"""

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from inventory_project.api import problem_response


@require_safe
def answer_live(request: HttpRequest) -> HttpResponse:
    """200 as long as the process answers."""
    return JsonResponse({"status": "live"})


@require_safe
def answer_ready(request: HttpRequest) -> HttpResponse:
    """200 when the database answers and is migrated, else 503 with the reason.

    Redis is not asked: without it everything is slower and nothing is wrong.
    """
    try:
        executor = MigrationExecutor(connection)
        waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return problem_response(503, "database_away", "The database does not answer.")
    if waiting:
        return problem_response(503, "not_migrated", "Migrations are waiting: manage.py migrate.")
    return JsonResponse({"status": "ready"})
