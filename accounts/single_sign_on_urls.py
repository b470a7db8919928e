"""To the provider and back, where OIDC_SERVER_URL names one; nothing else of allauth's."""

from allauth.socialaccount.providers.openid_connect.views import callback, login
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST


@never_cache
@require_POST
def go_to_provider(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """A page that leads to the provider.

    Not a redirect: a form of ours may only lead to us (`form-action` in headers.py), and Chromium
    asks that of the redirects behind it, too. Where the provider's page is, only it knows.
    """
    answer: HttpResponseBase = login(request, provider_id)
    address = answer.headers.get("Location", "")
    if not address or url_has_allowed_host_and_scheme(address, {request.get_host()}):
        return answer
    facts = {"address": address, "name": settings.OIDC_NAME}
    return TemplateResponse(request, "accounts/to_provider.html", facts)


urlpatterns = [
    path("<slug:provider_id>/login/", go_to_provider, name="openid_connect_login"),
    path(
        "<slug:provider_id>/callback/",
        never_cache(require_GET(callback)),
        name="openid_connect_callback",
    ),
]
