from django.db import migrations

from inventory_project.migrating import PostgreSQLOnly


class Migration(migrations.Migration):
    """The inbox empties as fast as it fills: vacuum by count of dead rows, at once."""

    dependencies = [("orders", "0001_initial")]

    operations = [
        PostgreSQLOnly(
            "ALTER TABLE orders_saleevent SET (autovacuum_vacuum_scale_factor = 0, "
            "autovacuum_vacuum_threshold = 50000, autovacuum_vacuum_cost_delay = 0)",
            "ALTER TABLE orders_saleevent RESET (autovacuum_vacuum_scale_factor, "
            "autovacuum_vacuum_threshold, autovacuum_vacuum_cost_delay)",
        ),
    ]
