"""How the back office looks and what its sidebar has; a part of settings.py."""

from typing import Any

from django.urls import reverse_lazy

__all__ = ["UNFOLD"]


def _link(title: str, icon: str, page: str, permission: str) -> dict[str, Any]:
    """A line of the back office's sidebar, for those who may open it."""
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{page}_changelist"),
        "permission": lambda request: request.user.has_perm(permission),
    }


_FAVICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Crect width='16' height='16' rx='3' fill='%230f766e'/%3E"
    "%3Cpath d='M3 7h10v6H3zM2 3h12l-1 3H3z' fill='white'/%3E%3C/svg%3E"
)

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Kiryana",
    "SITE_HEADER": "Kiryana",
    "SITE_SUBHEADER": "Back office",
    "SITE_SYMBOL": "storefront",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda _: _FAVICON}],
    "SITE_URL": None,
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "orders.dashboard.answer_first_questions",
    "ACCOUNT": {
        "navigation": [
            {"title": "My sessions", "link": reverse_lazy("usersessions_list")},
            {"title": "Second factor", "link": reverse_lazy("mfa_index")},
            {"title": "Change password", "link": reverse_lazy("admin:password_change")},
        ],
    },
    "COLORS": {
        "primary": {
            "50": "oklch(98.4% .014 180.72)",
            "100": "oklch(95.3% .051 180.801)",
            "200": "oklch(91% .096 180.426)",
            "300": "oklch(85.5% .138 181.071)",
            "400": "oklch(77.7% .152 181.912)",
            "500": "oklch(70.4% .14 182.503)",
            "600": "oklch(51.1% .096 186.391)",
            "700": "oklch(43.7% .078 188.216)",
            "800": "oklch(38.6% .063 188.416)",
            "900": "oklch(33% .055 189)",
            "950": "oklch(27.7% .046 192.524)",
        },
    },
    "SIDEBAR": {
        "show_search": False,
        "navigation": [
            {
                "title": "Catalogue",
                "items": [
                    _link("Products", "inventory_2", "catalog_product", "catalog.view_product"),
                    _link("Categories", "category", "catalog_category", "catalog.view_category"),
                    _link("Changes", "history", "catalog_productchange",
                          "catalog.view_productchange"),
                ],
            },
            {
                "title": "Stores",
                "separator": True,
                "items": [
                    _link("Stores", "storefront", "stores_store", "stores.view_store"),
                    _link("Keys", "key", "stores_storekey", "stores.view_storekey"),
                ],
            },
            {
                "title": "Stock",
                "separator": True,
                "items": [
                    _link("Levels", "shelves", "stock_leveltwin", "stock.view_level"),
                    _link("Movements", "swap_vert", "stock_movementtwin", "stock.view_movement"),
                ],
            },
            {
                "title": "Sales",
                "separator": True,
                "items": [
                    _link("Parked events", "front_hand", "orders_parkedevent",
                          "orders.view_saleevent"),
                    _link("Sale events", "receipt_long", "orders_saleeventtwin",
                          "orders.view_saleevent"),
                ],
            },
            {
                "title": "People",
                "separator": True,
                "items": [
                    _link("People", "person", "accounts_user", "accounts.view_user"),
                    _link("Roles", "group", "auth_group", "auth.view_group"),
                    _link("Audit", "policy", "accounts_auditentry", "accounts.view_auditentry")
                    | {"permission": "stores.backoffice.may_see_audit"},  # of the whole chain
                ],
            },
        ],
    },
}  # fmt: skip
