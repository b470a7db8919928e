from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate

from inventory_project.append_only import grant_to_application


class InventoryProjectConfig(AppConfig):
    """The house itself: no models."""

    name = "inventory_project"

    def ready(self) -> None:
        # The signal comes once for each app with models, in the order of INSTALLED_APPS, after
        # all migrations. Rights are granted at a Django app that stands before ours, because
        # ours take some of them away again.
        post_migrate.connect(grant_to_application, sender=apps.get_app_config("contenttypes"))
