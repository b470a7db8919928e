from django.db import migrations

from inventory_project.migrating import PostgreSQLOnly, RemoveIndexOnline


class Migration(migrations.Migration):
    """The index that `movement_by_segment` stands in for."""

    atomic = False

    dependencies = [("stock", "0004_index_movements_by_segment")]

    operations = [
        # The planner knows nothing of a new expression until the table is analysed.
        PostgreSQLOnly("ANALYZE stock_movement", migrations.RunSQL.noop),
        RemoveIndexOnline("movement", "movement_history"),
    ]
