from django.db import migrations

from inventory_project.migrating import PostgreSQLOnly


class Migration(migrations.Migration):
    """Storage settings and the BRIN index, which only PostgreSQL has."""

    dependencies = [("stock", "0001_initial")]

    operations = [
        # Room on each page keeps updates of a level in place (HOT); few dead rows are waited for.
        PostgreSQLOnly(
            "ALTER TABLE stock_level SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02)",
            "ALTER TABLE stock_level RESET (fillfactor, autovacuum_vacuum_scale_factor)",
        ),
        PostgreSQLOnly(
            "ALTER TABLE stock_ledgerhead SET (fillfactor = 50)",
            "ALTER TABLE stock_ledgerhead RESET (fillfactor)",
        ),
        # Ranges of time over the whole chain; rows arrive in this order, so a few pages serve.
        PostgreSQLOnly(
            "CREATE INDEX movement_recorded_at ON stock_movement USING brin (recorded_at)",
            "DROP INDEX movement_recorded_at",
        ),
    ]
