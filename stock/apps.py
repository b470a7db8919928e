from django.apps import AppConfig

from inventory_project.append_only import keep_append_only


class StockConfig(AppConfig):
    """The how many: movements, and the level they add up to."""

    name = "stock"

    def ready(self) -> None:
        keep_append_only("stock_movement", "stock_ledgerseal")
