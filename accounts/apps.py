from importlib import import_module

from django.apps import AppConfig

from inventory_project.append_only import keep_append_only


class AccountsConfig(AppConfig):
    """The people."""

    name = "accounts"
    verbose_name = "People"

    def ready(self) -> None:
        keep_append_only("accounts_auditentry", "accounts_auditseal")
        # Only now: it needs the models.
        import_module("accounts.access").listen()
