"""Probes: is the process alive, and can it do its work?"""

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse

from inventory_project.api import problem_response


def answer_live(request: HttpRequest) -> HttpResponse:
    """200 as long as the process answers."""
    if request.method not in ("GET", "HEAD"):
        return _refuse_method()
    return JsonResponse({"status": "live"})


def answer_ready(request: HttpRequest) -> HttpResponse:
    """200 when the database answers and is migrated, else 503 with the reason.

    Redis is not asked: without it everything is slower and nothing is wrong.
    """
    if request.method not in ("GET", "HEAD"):
        return _refuse_method()
    try:
        executor = MigrationExecutor(connection)
        waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return problem_response(503, "database_away", "The database does not answer.")
    if waiting:
        return problem_response(503, "not_migrated", "Migrations are waiting: manage.py migrate.")
    return JsonResponse({"status": "ready"})


def _refuse_method() -> HttpResponse:
    response = problem_response(405, "method_not_allowed", "This address is only read.")
    response["Allow"] = "GET, HEAD"
    return response
