from django.apps import AppConfig


class StoresConfig(AppConfig):
    """The places, and the keys that speak for them."""

    name = "stores"
