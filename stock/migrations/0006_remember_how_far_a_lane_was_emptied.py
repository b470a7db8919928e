from django.db import migrations, models


class Migration(migrations.Migration):
    """Where to begin looking for a store's next sales; see CLAIM in orders/statements.py."""

    dependencies = [("stock", "0005_drop_movement_history")]

    operations = [
        migrations.AddField(
            "ledgerhead",
            "taken_until",
            models.DateTimeField(
                null=True, help_text="Arrival of the newest sale taken; older ones may still come."
            ),
        ),
    ]
