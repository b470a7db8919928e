"""Takes allauth's tables out of the back office: they hold secrets of the second factor, and
people look after their own on the pages of the log-in."""

from django.apps import apps
from django.contrib import admin

for _model in list(admin.site._registry):
    if apps.get_app_config(_model._meta.app_label).name.startswith("allauth."):
        admin.site.unregister(_model)
