"""The API's description, for programs (`/api/schema/`) and for people (`/api/docs/`)."""

from typing import Any

from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.views import APIView

from inventory_project.api import refuse_unknown_parameters


class _TakesNoParameters(APIView):
    """`?version=` would be written into a header of the answer, `?lang=` into a file's name."""

    taken: list[tuple[str, list[str]]] = []

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if list(request.query_params.lists()) != self.taken:
            refuse_unknown_parameters(request, set())


class SchemaView(_TakesNoParameters, SpectacularJSONAPIView):
    """OpenAPI 3.1 in JSON."""


class DocsView(_TakesNoParameters, SpectacularSwaggerSplitView):
    """A page to read and try the API; loads nothing from elsewhere. It asks for its script by
    `?script=`, so that no script need stand in the page."""

    taken = [("script", [""])]
