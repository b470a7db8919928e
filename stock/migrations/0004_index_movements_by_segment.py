from django.db import migrations, models

from inventory_project.migrating import AddIndexOnline


class Migration(migrations.Migration):
    """A product's history in a store, by an index that grows at its right-hand edge."""

    atomic = False

    dependencies = [("stock", "0003_twins_for_the_back_office")]

    operations = [
        AddIndexOnline(
            "movement",
            models.Index(
                models.F("store"),
                models.Func(
                    models.F("seq"),
                    template="(%(expressions)s / 256)",
                    output_field=models.BigIntegerField(),
                ),
                models.F("product"),
                models.F("seq"),
                name="movement_by_segment",
            ),
        ),
    ]
