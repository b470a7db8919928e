from django.apps import AppConfig

from inventory_project.append_only import keep_append_only


class CatalogConfig(AppConfig):
    """The what: products, their barcodes and categories, and every change of them."""

    name = "catalog"
    verbose_name = "Catalogue"

    def ready(self) -> None:
        keep_append_only("catalog_productchange")
