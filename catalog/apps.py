from django.apps import AppConfig
from django.db.models.signals import post_migrate

from inventory_project.append_only import make_append_only


def _protect_changes(*, using: str, **_: object) -> None:
    make_append_only("catalog_productchange", using=using)


class CatalogConfig(AppConfig):
    """The what: products, their barcodes and categories, and every change of them."""

    name = "catalog"
    verbose_name = "Catalogue"

    def ready(self) -> None:
        post_migrate.connect(_protect_changes, sender=self)
