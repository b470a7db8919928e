"""The Celery application: `celery -A inventory_project worker -Q inventory_events`."""

import os

from celery import Celery
from celery.signals import worker_init

from inventory_project.durability import refuse_at_start

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "inventory_project.settings")

app = Celery("inventory_project")
app.config_from_object("django.conf:settings", namespace="CELERY")
# Else Celery closes the connection after each task, and a new one costs as much as a round.
# What it did for a dead connection, orders/tasks.py does.
app.conf["CELERY_DB_REUSE_MAX"] = 1_000
app.autodiscover_tasks()
worker_init.connect(refuse_at_start)
