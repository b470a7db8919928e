"""Migration operations that mean something on one database only."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations


class PostgreSQLOnly(migrations.RunSQL):
    """RunSQL that SQLite passes over: storage settings and index kinds it does not have."""

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        if schema_editor.connection.vendor == "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        if schema_editor.connection.vendor == "postgresql":
            super().database_backwards(app_label, schema_editor, from_state, to_state)


class AddIndexOnline(AddIndexConcurrently):
    """AddIndex while tills go on selling; in a migration with `atomic = False`.

    SQLite has one writer and no such word: it makes the index as always.
    """

    def database_forwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        with _patience(schema_editor):
            _way(schema_editor, self, migrations.AddIndex).database_forwards(
                self, app_label, schema_editor, *states
            )

    def database_backwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        with _patience(schema_editor):
            _way(schema_editor, self, migrations.AddIndex).database_backwards(
                self, app_label, schema_editor, *states
            )


class RemoveIndexOnline(RemoveIndexConcurrently):
    """RemoveIndex that waits for nobody and lets nobody wait; see AddIndexOnline."""

    def database_forwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        with _patience(schema_editor):
            _way(schema_editor, self, migrations.RemoveIndex).database_forwards(
                self, app_label, schema_editor, *states
            )

    def database_backwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        with _patience(schema_editor):
            _way(schema_editor, self, migrations.RemoveIndex).database_backwards(
                self, app_label, schema_editor, *states
            )


@contextmanager
def _patience(schema_editor: Any) -> Iterator[None]:
    """No limit to the wait for a lock: nobody waits behind it, and it waits for every transaction
    of the table. Other statements keep theirs, because tills would wait behind them."""
    if schema_editor.connection.vendor != "postgresql":
        yield
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        limit = cursor.fetchone()[0]
        cursor.execute("SET lock_timeout = 0")
        try:
            yield
        finally:
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", [limit])


def _way(schema_editor: Any, operation: Any, plain: Any) -> Any:
    """The class whose way of doing it this database knows."""
    concurrent = type(operation).__bases__[0]
    return concurrent if schema_editor.connection.vendor == "postgresql" else plain
