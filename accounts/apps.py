from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in

from accounts.lifetime import begin_session


class AccountsConfig(AppConfig):
    """The people."""

    name = "accounts"
    verbose_name = "People"

    def ready(self) -> None:
        user_logged_in.connect(begin_session)
