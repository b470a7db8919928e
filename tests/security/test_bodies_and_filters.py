"""No body, filter or order reaches a field or a store that is not for the caller (S2 to S4)."""

import pytest
from rest_framework import relations, serializers

from catalog.models import Category, Product
from orders.models import SaleEvent
from stock.models import Movement
from stores.models import Store, StoreKey, StoreMember
from tests import make, office
from tests.bad_input import doors
from tests.bad_input.doors import is_problem
from tests.databases import unchanged

pytestmark = pytest.mark.django_db


# --- S2: what a body refers to ----------------------------------------------------------------


def all_serializers(kind=serializers.BaseSerializer):
    for found in kind.__subclasses__():
        if found.__module__.split(".")[0] in {"stores", "catalog", "stock", "orders", "compat"}:
            yield found
        yield from all_serializers(found)


def fields_of(serializer, path=""):
    for name, field in serializer().fields.items():
        field = getattr(field, "child", field)
        if isinstance(field, serializers.BaseSerializer):
            yield from fields_of(type(field), f"{path}{name}.")
        else:
            yield f"{path}{name}", field


def test_no_body_takes_a_related_row_from_an_unscoped_queryset():
    walked = {found.__name__: dict(fields_of(found)) for found in set(all_serializers())}
    assert len(walked) >= 12
    related = [
        (name, field) for name, fields in walked.items() for field, kind in fields.items()
        if isinstance(kind, relations.RelatedField | relations.ManyRelatedField)
        and not kind.read_only
    ]  # fmt: skip
    assert related == []


SHOWN_ONLY = {"LevelSerializer", "MovementSerializer", "MovementFeedSerializer", "SaleSerializer"}


def test_each_body_that_names_a_store_is_tried_below():
    named = {
        found.__name__
        for found in set(all_serializers())
        for name, field in fields_of(found)
        if not field.read_only and name.split(".")[-1] == "store"
    }
    assert named - SHOWN_ONLY == {
        "SaleLineSerializer", "SaleBatchSerializer", "MovementLineSerializer",
        "MovementBatchSerializer",
    }  # fmt: skip


@pytest.mark.parametrize("who", ["device", "clerk"])
def test_foreign_store_in_a_body_is_told_like_a_missing_one(lahore, karachi, tea, who):
    api = make.make_device(lahore)
    if who == "clerk":
        api = make.Api()
        api.client.force_login(office.make_person("Clerk", lahore))
    sale, movement = make.sale(), make.movement()
    bodies = [
        ("/api/orders/sales/", lambda code: sale | {"store": code}),
        ("/api/orders/sales/", lambda code: {"events": [sale | {"store": code}]}),
        ("/api/stock/movements/", lambda code: movement | {"store": code}),
        ("/api/stock/movements/", lambda code: {"store": code, "movements": [movement]}),
    ]
    for path, make_body in bodies:
        with unchanged():
            foreign, missing = (api.post(path, make_body(code)) for code in ("KHI-02", "NO-SUCH"))
        assert (foreign.status_code, foreign.content) == (missing.status_code, missing.content)
        assert "Karachi" not in foreign.content.decode()


def test_category_of_a_product_is_no_way_to_another_row(head_office):
    for category in ("NO-SUCH", 1, {"name": "Tea"}, ["Tea"]):
        body = {"sku": "A", "name": "A", "category": category}
        with unchanged():
            assert head_office.post("/api/catalog/products/", body).status_code in (400, 404)


# --- S3: what a parameter reaches -------------------------------------------------------------

LISTS = {
    "/api/stores/": Store, "/api/catalog/products/": Product,
    "/api/catalog/categories/": Category, "/api/stock/levels/": Movement,
    "/api/stock/movements/": Movement, "/api/stock/changes/": Movement,
    "/api/orders/sales/": SaleEvent,
}  # fmt: skip
SECRETS = (
    "store__keys__secret_sha256", "store__keys__secret_sha256__startswith", "keys__prefix",
    "store__members__user__password", "actor__password__startswith", "device__secret_sha256",
)  # fmt: skip
ORDERS = ("ordering", "order_by", "sort", "search", "q", "fields", "expand", "include", "filter")


def paths_into(model):
    """Each field of the model and of what it refers to, as Django's lookups name them."""
    for field in model._meta.get_fields():
        yield field.name
        if field.is_relation and field.related_model:
            for further in field.related_model._meta.concrete_fields:
                yield f"{field.name}__{further.name}"


@pytest.mark.parametrize("path", LISTS)
def test_no_parameter_goes_through_tables_or_asks_for_an_order(till, lahore, tea, path):
    known = {"store", "product", "category", "kind", "status", "barcode"}
    names = [name for name in paths_into(LISTS[path]) if name not in known]
    for name in (*names, *SECRETS):
        for lookup in ("", "__startswith", "__isnull"):
            problem = is_problem(till.get(path, **{name + lookup: "a"}), 400)
            assert "results" not in problem
    for name in ORDERS:
        for value in ("secret_sha256", "-actor__password", "store__keys__prefix"):
            is_problem(till.get(path, **{name: value}), 400, "unknown_parameter")


# --- S4: what a body sets ---------------------------------------------------------------------

WRITES = {
    "sale": SaleEvent, "sales": SaleEvent, "sale_view": SaleEvent, "movement": Movement,
    "movements": Movement, "product": Product, "product_change": Product, "category": Category,
    "category_change": Category, "store": Store, "store_change": Store, "dismissal": SaleEvent,
}  # fmt: skip


@pytest.mark.parametrize("name", WRITES)
def test_no_field_of_a_row_is_set_that_the_body_does_not_have(name):
    door = doors.open_door(name)
    taken = taken_by(name)
    columns = {
        c for field in WRITES[name]._meta.concrete_fields for c in (field.name, field.attname)
    }
    server_owned = {"id", "pk", "version", "is_superuser", "actor", "device", "recorded_at", "seq"}
    for column in sorted((columns | server_owned) - taken):
        body = door.body_with(**{column: 1})
        if name == "sales":  # a bad event of a batch is refused in its place
            with unchanged():
                doors.is_rejected(door.send(body), 0, "unknown_field")
            continue
        door.refuses(body, 400, "unknown_field")


def taken_by(name):
    """What the body has by right, by the same name as the row."""
    of_line = {
        "event_id", "kind", "sku", "barcode", "quantity", "occurred_at", "amount", "receipt",
        "store", "device_seq", "reason",
    }  # fmt: skip
    return {
        "product": {"sku", "name", "category", "unit", "price", "negative_stock", "barcodes"},
        "category": {"name"},
        "store": {"code", "name", "address", "timezone", "currency", "negative_stock"},
        "dismissal": {"reason"},
    }.get(name.removesuffix("_change"), of_line)


def test_every_door_that_takes_a_body_is_tried():
    assert {*doors.DOORS, *doors.MASTER_DOORS} <= set(WRITES)


# --- S5: what a form forges -------------------------------------------------------------------


def test_row_of_another_person_in_the_inline_of_a_person_is_not_changed(lahore, karachi):
    sana = office.make_person("Clerk", lahore, username="sana")
    omar = office.make_person("Clerk", karachi, username="omar")
    foreign = StoreMember.objects.get(user=omar)
    form = {
        "username": "sana", "is_active": "on", "is_staff": "on",
        "store_memberships-TOTAL_FORMS": 1, "store_memberships-INITIAL_FORMS": 1,
        "store_memberships-0-id": foreign.pk, "store_memberships-0-user": sana.pk,
        "store_memberships-0-store": lahore.pk, "store_memberships-0-DELETE": "on",
    }  # fmt: skip
    head = office.sign_in(office.make_person("Head office"))
    head.post(f"/admin/accounts/user/{sana.pk}/change/", form)
    assert StoreMember.objects.get(pk=foreign.pk).user == omar
    assert StoreMember.objects.count() == 2


def test_barcode_of_another_product_in_the_inline_of_a_product_is_not_changed():
    tea = make.make_product("TEA", barcodes=["4006381333931"])
    rice = make.make_product("RICE", barcodes=["5901234123457"])
    foreign = rice.barcodes.get()
    form = {
        "name": "Tea", "unit": "each", "price": "1", "category": "", "negative_stock": "",
        "barcodes-TOTAL_FORMS": 1, "barcodes-INITIAL_FORMS": 1, "barcodes-0-id": foreign.pk,
        "barcodes-0-product": tea.pk, "barcodes-0-code": "96385074", "barcodes-0-units": 1,
    }  # fmt: skip
    office.head_of_chain().post(f"/admin/catalog/product/{tea.pk}/change/", form)
    assert [code.code for code in rice.barcodes.all()] == ["5901234123457"]


@pytest.mark.parametrize("role", ["Clerk", "Store manager", "Regional manager", "Auditor"])
def test_actions_and_edited_lists_that_a_role_has_not_change_nothing(lahore, karachi, tea, role):
    make.make_device(karachi)
    client = office.sign_in(office.make_person(role, *([] if role == "Auditor" else [lahore])))
    rows = {
        "/admin/stores/store/": Store.objects.all(), "/admin/catalog/product/": [tea],
        "/admin/stores/storekey/": StoreKey.objects.all(),
    }  # fmt: skip
    for page, selected in rows.items():
        ids = [row.pk for row in selected]
        edited = {
            "form-TOTAL_FORMS": 1, "form-INITIAL_FORMS": 1, "form-0-id": ids[0],
            "form-0-name": "Forged", "_save": "Save",
        }  # fmt: skip
        with unchanged():
            for action in ("retire_selected", "restore_selected", "delete_selected", "revoke"):
                client.post(page, {"action": action, "_selected_action": ids, "index": 0})
            client.post(page, edited)


def test_head_office_without_superuser_makes_no_superuser_and_gives_no_role(lahore):
    head = office.sign_in(office.make_person("Head office"))
    sana = office.make_person("Clerk", lahore, username="sana")
    form = {
        "username": "sana", "is_active": "on", "is_staff": "on", "is_superuser": "on",
        "groups": [office.Group.objects.get(name="Head office").pk], "user_permissions": [1],
        "store_memberships-TOTAL_FORMS": 0, "store_memberships-INITIAL_FORMS": 0,
    }  # fmt: skip
    assert head.post(f"/admin/accounts/user/{sana.pk}/change/", form).status_code == 302
    sana.refresh_from_db()
    assert sana.is_superuser is False
    assert [group.name for group in sana.groups.all()] == ["Clerk"]
    assert sana.user_permissions.count() == 0
