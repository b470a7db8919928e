from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """The people."""

    name = "accounts"
    verbose_name = "People"
