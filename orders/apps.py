from django.apps import AppConfig


class OrdersConfig(AppConfig):
    """The why: sales as the tills tell them."""

    name = "orders"
    verbose_name = "Sales"
