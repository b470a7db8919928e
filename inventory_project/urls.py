"""Every address of the product. One prefix a service, so that a gateway can split them."""

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from catalog import views as catalog
from inventory_project import health
from inventory_project.documentation import DocsView, SchemaView
from orders import views as orders
from orders.metrics import MetricsView
from stock import views as stock
from stores import views as stores

urlpatterns: list[URLPattern | URLResolver] = [
    # stores: the places
    path("api/stores/", stores.StoreViewSet.as_view({"get": "list", "post": "create"})),
    path("api/stores/current/", catalog.CurrentStoreView.as_view()),
    path(
        "api/stores/<str:code>/",
        stores.StoreViewSet.as_view({"get": "retrieve", "patch": "partial_update"}),
    ),
    path("api/stores/<str:code>/retire/", stores.StoreViewSet.as_view({"post": "retire"})),
    # catalog: the what
    path(
        "api/catalog/products/", catalog.ProductViewSet.as_view({"get": "list", "post": "create"})
    ),
    path(
        "api/catalog/products/<str:sku>/",
        catalog.ProductViewSet.as_view({"get": "retrieve", "patch": "partial_update"}),
    ),
    path(
        "api/catalog/products/<str:sku>/retire/",
        catalog.ProductViewSet.as_view({"post": "retire"}),
    ),
    path(
        "api/catalog/categories/",
        catalog.CategoryViewSet.as_view({"get": "list", "post": "create"}),
    ),
    path(
        "api/catalog/categories/<str:name>/retire/",
        catalog.CategoryViewSet.as_view({"post": "retire"}),
    ),
    path(
        "api/catalog/categories/<str:name>/",
        catalog.CategoryViewSet.as_view({"get": "retrieve", "patch": "partial_update"}),
    ),
    path("api/catalog/changes/", catalog.ProductChangeFeedView.as_view()),
    # stock: the how many
    path("api/stock/levels/", stock.LevelListView.as_view()),
    path("api/stock/movements/", stock.MovementListView.as_view()),
    path("api/stock/changes/", stock.MovementFeedView.as_view()),
    # orders: the why
    path("api/orders/sales/", orders.SaleListView.as_view()),
    path("api/orders/sales/<str:event_id>/", orders.SaleDetailView.as_view()),
    path("api/orders/sales/<str:event_id>/replay/", orders.SaleReplayView.as_view()),
    path("api/orders/sales/<str:event_id>/dismiss/", orders.SaleDismissView.as_view()),
    # what this API is
    path("api/schema/", SchemaView.as_view(), name="schema"),
    path("api/docs/", DocsView.as_view(url_name="schema")),
    # addresses of earlier versions, without a slash at the end
    path("", include("compat.urls")),
    # operators and head office
    path("health/live", health.answer_live),
    path("health/ready", health.answer_ready),
    path("metrics", MetricsView.as_view()),
    path("admin/", include("accounts.urls")),
    path("admin/", admin.site.urls),
]

if settings.OIDC_SERVER_URL:
    urlpatterns.insert(0, path("admin/sso/", include("accounts.single_sign_on_urls")))

handler400 = "inventory_project.api.answer_bad_request"
handler403 = "inventory_project.api.answer_forbidden"
handler404 = "inventory_project.api.answer_not_found"
handler500 = "inventory_project.api.answer_broken"
