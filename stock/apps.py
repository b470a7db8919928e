from django.apps import AppConfig
from django.db.models.signals import post_migrate

from inventory_project.append_only import make_append_only


def _protect_movements(*, using: str, **_: object) -> None:
    make_append_only("stock_movement", using=using)


class StockConfig(AppConfig):
    """The how many: movements, and the level they add up to."""

    name = "stock"

    def ready(self) -> None:
        post_migrate.connect(_protect_movements, sender=self)
