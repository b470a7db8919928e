"""The last wall: the database itself refuses, by name, whatever code stands before it."""

import uuid
from datetime import UTC, date, datetime, timedelta
from functools import cache

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.models import CheckConstraint

from accounts.models import User
from inventory_project.rows import adapt_value
from tests.make import make_product, make_store

pytestmark = pytest.mark.django_db

OUR_APPS = {"accounts", "stores", "catalog", "stock", "orders"}
NOW = datetime(2026, 3, 2, 7, tzinfo=UTC)
SMALL, LARGE = 10**12, 10**15

VALID = {
    "accounts_auditentry": {
        "at": NOW, "action": "store.changed", "actor_kind": "person", "actor": "", "address": "",
        "request_id": "", "object_type": "", "object_id": "", "object_name": "", "before": "",
        "after": "", "count": 1,
    },
    "accounts_auditseal": {
        "chain": "audit", "first": 1, "last": 2, "rows": 2, "marks": b"m" * 16,
        "digest": b"d" * 32, "head": b"h" * 32, "key_name": "test", "form": 1, "sealed_at": NOW,
    },
    "stores_storeshead": {"id": 1, "version": 0},
    "stores_store": {
        "code": "S-9", "name": "Nine", "address": "", "timezone": "Asia/Karachi",
        "currency": "PKR", "negative_stock": "", "created_at": NOW, "version": 1,
    },
    "stores_storekey": {
        "prefix": "abcdefghij", "secret_sha256": "0" * 64, "name": "till", "created_at": NOW,
        "valid_from": NOW,
    },
    "stores_storemember": {"user_id": "user", "store_id": "store"},
    "catalog_cataloghead": {"id": 1, "version": 0},
    "catalog_category": {"name": "Spices"},
    "catalog_product": {
        "sku": "SALT", "name": "Salt", "unit": "each", "price": 0, "negative_stock": "",
        "created_at": NOW, "version": 1,
    },
    "catalog_barcode": {"product_id": "product", "code": "A", "comparable": "A", "units": 1},
    "catalog_productchange": {
        "version": 100, "subject": "product", "subject_id": 1, "key": "SALT",
        "action": "created", "after": "{}", "changed_at": NOW,
    },
    "stock_ledgerhead": {"store_id": "store", "last_seq": 0},
    "stock_level": {
        "store_id": "store", "product_id": "product", "quantity": 0, "updated_seq": 1,
    },
    "stock_movement": {
        "store_id": "store", "seq": 1, "product_id": "product", "kind": "adjustment",
        "quantity": 1, "balance_after": 1, "event_id": uuid.UUID(int=7), "digest": b"d" * 16,
        "occurred_at": NOW, "recorded_at": NOW, "business_date": date(2026, 3, 2),
        "reason": "", "receipt": "",
    },
    "stock_ledgerseal": {
        "store_id": "store", "first_seq": 1, "last_seq": 2, "rows": 2, "marks": b"m" * 16,
        "digest": b"d" * 32, "head": b"h" * 32, "key_name": "test", "form": 1, "sealed_at": NOW,
    },
    "orders_saleevent": {
        "store_id": "store", "event_id": uuid.UUID(int=7), "kind": "sale", "sku": "TEA",
        "barcode": "", "quantity": 1000, "receipt": "", "occurred_at": NOW, "received_at": NOW,
        "business_date": date(2026, 3, 2), "digest": b"d" * 16, "status": "pending",
        "attempts": 0, "park_reason": "", "detail": "", "dismiss_reason": "",
    },
}  # fmt: skip

# Name of the constraint, table, what is changed in a valid row; for a unique one, in the second.
REFUSED = [
    ("audit_actor_kind_known", "accounts_auditentry", {"actor_kind": "ghost"}),
    ("audit_count_positive", "accounts_auditentry", {"count": 0}),
    ("audit_id_positive", "accounts_auditentry", {"id": 0}),
    ("audit_seal_range_in_order", "accounts_auditseal", {"first": 3}),
    ("audit_seal_range_in_order", "accounts_auditseal", {"first": 0}),
    ("ledger_seal_range_in_order", "stock_ledgerseal", {"first_seq": 3}),
    ("ledger_seal_range_in_order", "stock_ledgerseal", {"first_seq": 0}),
    ("stores_head_is_one_row", "stores_storeshead", {"id": 2}),
    ("store_code_not_empty", "stores_store", {"code": ""}),
    ("store_negative_stock_known", "stores_store", {"negative_stock": "never"}),
    ("store_key_ends_after_it_begins", "stores_storekey", {"expires_at": NOW}),
    (
        "store_key_ends_after_it_begins",
        "stores_storekey",
        {"expires_at": NOW - timedelta(seconds=1)},
    ),
    ("store_member_once", "stores_storemember", {}),
    ("catalog_head_is_one_row", "catalog_cataloghead", {"id": 2}),
    ("category_name_not_empty", "catalog_category", {"name": ""}),
    ("product_sku_not_empty", "catalog_product", {"sku": ""}),
    ("product_price_not_negative", "catalog_product", {"price": -1}),
    ("product_unit_known", "catalog_product", {"unit": "pound"}),
    ("product_negative_stock_known", "catalog_product", {"negative_stock": "never"}),
    ("barcode_once_per_product", "catalog_barcode", {"code": "a"}),
    ("barcode_units_in_range", "catalog_barcode", {"units": 0}),
    ("barcode_units_in_range", "catalog_barcode", {"units": 10_001}),
    ("product_change_version_positive", "catalog_productchange", {"version": 0}),
    ("ledger_head_seq_not_negative", "stock_ledgerhead", {"last_seq": -1}),
    ("level_quantity_in_range", "stock_level", {"quantity": LARGE + 1}),
    ("level_quantity_in_range", "stock_level", {"quantity": -LARGE - 1}),
    ("movement_event_once_per_store", "stock_movement", {"seq": 2}),
    ("movement_seq_positive", "stock_movement", {"seq": 0}),
    ("movement_kind_known", "stock_movement", {"kind": "gift"}),
    *(
        ("movement_sign_follows_kind", "stock_movement", {"kind": kind, "quantity": wrong})
        for kinds, wrongs in (
            (("receipt", "return", "transfer_in"), (0, -1)),
            (("sale", "vendor_return", "waste", "transfer_out"), (0, 1)),
        )
        for kind in kinds
        for wrong in wrongs
    ),
    ("movement_reason_known", "stock_movement", {"reason": "mood"}),
    ("movement_amount_not_negative", "stock_movement", {"amount": -1}),
    ("sale_event_kind_known", "orders_saleevent", {"kind": "receipt"}),
    ("sale_event_sku_or_barcode", "orders_saleevent", {"sku": ""}),
    ("sale_event_sku_or_barcode", "orders_saleevent", {"barcode": "A"}),
    ("sale_event_quantity_in_range", "orders_saleevent", {"quantity": 0}),
    ("sale_event_quantity_in_range", "orders_saleevent", {"quantity": 10**9 + 1}),
    ("sale_event_amount_not_negative", "orders_saleevent", {"amount": -1}),
    ("sale_event_says_why_it_waits", "orders_saleevent", {"status": "parked"}),
    ("sale_event_says_why_it_waits", "orders_saleevent", {"status": "lost"}),
    (
        "sale_event_says_why_it_waits",
        "orders_saleevent",
        {"status": "dismissed", "dismissed_at": NOW},
    ),
    (
        "sale_event_says_why_it_waits",
        "orders_saleevent",
        {"status": "dismissed", "dismiss_reason": "test"},
    ),
]

# Keys the tables have without a constraint of ours: same idea, the database's own name.
KEYS = [
    ("stock_movement", {"event_id": uuid.UUID(int=8)}),
    ("stock_level", {"quantity": 5}),
    ("stock_ledgerhead", {"last_seq": 5}),
    ("orders_saleevent", {"sku": "OTHER"}),
    ("stock_ledgerseal", {"last_seq": 3}),
    ("accounts_auditseal", {"last": 3}),
    ("stores_store", {"name": "Other"}),
    ("stores_storekey", {"name": "other"}),
    ("catalog_product", {"name": "Other"}),
    ("catalog_category", {}),
    ("catalog_productchange", {"key": "OTHER"}),
]

# The widest that still passes: a wall in the wrong place stops honest rows.
TAKEN = [
    ("stock_level", {"quantity": LARGE}),
    ("stock_level", {"quantity": -LARGE}),
    ("stock_movement", {"kind": "sale", "quantity": -1, "amount": 0}),
    ("stock_movement", {"kind": "reversal", "quantity": 0, "reason": "other"}),
    ("orders_saleevent", {"quantity": 10**9}),
    ("orders_saleevent", {"quantity": 1, "sku": "", "barcode": "A", "kind": "return"}),
    ("orders_saleevent", {"status": "parked", "park_reason": "failed"}),
    (
        "orders_saleevent",
        {"status": "dismissed", "dismiss_reason": "test", "dismissed_at": NOW},
    ),
    ("catalog_barcode", {"units": 10_000}),
    ("stores_storekey", {"expires_at": NOW + timedelta(seconds=1)}),
]


@pytest.fixture
def cast():
    return {
        "store": make_store("S-1").pk,
        "product": make_product("TEA").pk,
        "user": User.objects.create(username="alice").pk,
    }


def insert(table, row, cast):
    row = {
        name: cast.get(value, value) if isinstance(value, str) else value
        for name, value in row.items()
    }
    with connection.cursor() as cursor:
        if table.endswith("head") and table != "stock_ledgerhead":
            cursor.execute(f"DELETE FROM {table}")  # made by the cast
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})",
            [adapt_value(connection, value) for value in row.values()],
        )


def is_named(constraint, error):
    """SQLite names a check, but of a unique constraint only the columns."""
    if connection.vendor == "postgresql":
        return error.__cause__.diag.constraint_name == constraint
    if isinstance(known_constraints()[constraint], CheckConstraint):
        return str(error) == f"CHECK constraint failed: {constraint}"
    return str(error).startswith("UNIQUE constraint failed: ")


@cache
def known_constraints():
    """Every named constraint of our apps as the migrations leave them."""
    state = MigrationLoader(None).project_state()
    return {
        constraint.name: constraint
        for (app, _), model in state.models.items()
        if app in OUR_APPS
        for constraint in model.options.get("constraints", ())
    }


def case_id(value):
    return value if isinstance(value, str) else ",".join(map(str, value)) or "twice"


@pytest.mark.parametrize(("name", "table", "change"), REFUSED, ids=case_id)
def test_database_refuses(cast, name, table, change):
    if not isinstance(known_constraints()[name], CheckConstraint):
        insert(table, VALID[table], cast)
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        insert(table, VALID[table] | change, cast)
    assert is_named(name, refused.value)


@pytest.mark.parametrize(("table", "change"), KEYS, ids=case_id)
def test_database_refuses_a_second_of_the_same_key(cast, table, change):
    insert(table, VALID[table], cast)
    with pytest.raises(IntegrityError, match=r"UNIQUE|duplicate key"), transaction.atomic():
        insert(table, VALID[table] | change, cast)


@pytest.mark.parametrize(
    ("table", "change"), [*((table, {}) for table in VALID), *TAKEN], ids=case_id
)
def test_database_takes_a_valid_row(cast, table, change):
    insert(table, VALID[table] | change, cast)


def test_update_is_refused_like_an_insert(cast):
    insert("stock_level", VALID["stock_level"], cast)
    with (
        pytest.raises(IntegrityError, match="level_quantity_in_range"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("UPDATE stock_level SET quantity = %s", [LARGE + SMALL])


def test_every_constraint_has_its_test():
    assert {name for name, _, _ in REFUSED} == set(known_constraints())


def test_every_table_of_ours_is_here_or_has_no_constraint():
    tables = {
        model._meta.db_table
        for model in apps.get_models()
        if model._meta.app_label in OUR_APPS and model._meta.constraints
    }
    assert tables == set(VALID)
