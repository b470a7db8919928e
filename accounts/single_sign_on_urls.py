"""To the provider and back, where OIDC_SERVER_URL names one; nothing else of allauth's."""

from allauth.socialaccount.providers.openid_connect.views import callback, login
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

urlpatterns = [
    path(
        "<slug:provider_id>/login/", never_cache(require_POST(login)), name="openid_connect_login"
    ),
    path(
        "<slug:provider_id>/callback/",
        never_cache(require_GET(callback)),
        name="openid_connect_callback",
    ),
]
