from django.apps import AppConfig, apps
from django.conf import settings
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate

from inventory_project.append_only import grant_to_application, make_append_only
from inventory_project.durability import refuse_unsafe_session
from inventory_project.keyring import get_keyring


class InventoryProjectConfig(AppConfig):
    """The house itself: no models."""

    name = "inventory_project"

    def ready(self) -> None:
        if settings.FIELD_KEYS or settings.FIELD_KEYS_FILE:
            get_keyring()  # wrong ones end the process now, not at the first contact
        connection_created.connect(refuse_unsafe_session)
        # The signal comes once for each app with models, after all migrations; for this one of
        # Django's it comes whatever is migrated.
        sender = apps.get_app_config("contenttypes")
        post_migrate.connect(grant_to_application, sender=sender)
        post_migrate.connect(make_append_only, sender=sender)
