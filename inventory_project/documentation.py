"""The API's description, for programs (`/api/schema/`) and for people (`/api/docs/`)."""

from typing import Any

from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerView
from rest_framework.request import Request
from rest_framework.views import APIView

from inventory_project.api import refuse_unknown_parameters


class _TakesNoParameters(APIView):
    """`?version=` would be written into a header of the answer, `?lang=` into a file's name."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        refuse_unknown_parameters(request, set())


class SchemaView(_TakesNoParameters, SpectacularJSONAPIView):
    """OpenAPI 3.1 in JSON."""


class DocsView(_TakesNoParameters, SpectacularSwaggerView):
    """A page to read and try the API; loads nothing from elsewhere."""
