import os

from django.core.wsgi import get_wsgi_application

from inventory_project.durability import refuse_at_start

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "inventory_project.settings")

application = get_wsgi_application()
refuse_at_start()
