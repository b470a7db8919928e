from importlib import import_module

from django.apps import AppConfig, apps
from django.contrib.auth.signals import user_logged_in
from django.db.models.signals import post_migrate

from accounts.lifetime import begin_session
from inventory_project.append_only import keep_append_only


class AccountsConfig(AppConfig):
    """The people."""

    name = "accounts"
    verbose_name = "People"

    def ready(self) -> None:
        # The signal comes once for each app, which makes the app's permissions: roles come last.
        last = [config for config in apps.get_app_configs() if config.models_module][-1]
        # Only now, as below: it needs the models.
        post_migrate.connect(import_module("accounts.roles").seed_roles, sender=last)
        user_logged_in.connect(begin_session)
        keep_append_only("accounts_auditentry", "accounts_auditseal")
        import_module("accounts.access").listen()
