"""Keys for tests, drawn anew for each run, and stores that have somebody to call."""

import base64
import secrets

from django.db import connection

from stores import registry
from stores.contacts import Contact

SANA = Contact("Sana Mirza", "+92 42 111 222 333", "Sana.Mirza@example.org")


def draw_key(key_id):
    return f"{key_id}:{base64.b64encode(secrets.token_bytes(32)).decode()}"


def make_stores(count):
    """Stores `C000`, `C001` … with contacts that tell them apart; returns contacts by code."""
    made = {}
    for number in range(count):
        contact = Contact(
            f"canary-name-{number:03}", f"+92300{number:07}", f"canary-{number:03}@example.org"
        )
        store = registry.register_store(code=f"C{number:03}", name="A shop", contact=contact)
        made[store.code] = contact
    return made


def read_everything():
    """Every value of every table as text, as a dump would write it."""
    with connection.cursor() as cursor:
        texts = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            for row in cursor.fetchall():
                texts += [write_plainly(value) for value in row]
    return "\n".join(texts)


def write_plainly(value):
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("latin-1")
    return str(value)
