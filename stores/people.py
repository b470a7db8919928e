"""The back office of the people: who may sign in, for which stores, and to do what.

It stands here and not in accounts/, because a person's stores are edited on the same page and
accounts/ knows no stores.
"""

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Count
from django.http import HttpRequest
from django.utils.html import format_html_join
from unfold.admin import TabularInline
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts import roles
from accounts.models import User
from accounts.people import note_new_role, rename_session, watch_powers, watch_role
from accounts.proofs import ask_again, is_proof_recent
from stores.backoffice import BackOfficeAdmin, find_principal
from stores.models import StoreMember

# What gives power over the whole chain is given by those who have it.
GIVEN_BY_SUPERUSERS = ("is_superuser", "groups", "user_permissions")
CHAIN_WIDE = {"work_chain_wide", "read_chain_wide"}
STORES_SHOWN = 3


class StoreMemberInline(TabularInline):  # type: ignore[misc]
    """The stores a person works for; somebody of head office needs none."""

    model = StoreMember
    autocomplete_fields = ("store",)
    extra = 0
    verbose_name = "store"
    verbose_name_plural = "Works for these stores (head office: none needed)"

    # Who may change the person may say where they work; the page itself asks for head office.
    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("accounts.change_user"))

    has_change_permission = has_add_permission
    has_delete_permission = has_add_permission


class UserAdmin(DjangoUserAdmin, BackOfficeAdmin):  # type: ignore[type-arg,misc]
    is_written_by_head_office = True
    asks_again = True
    audited_as = "person"
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    inlines = (StoreMemberInline,)
    list_display = (
        "username", "first_name", "last_name", "show_roles", "show_stores", "show_state",
    )  # fmt: skip
    list_filter = ("is_active", "is_superuser", "groups")
    filter_horizontal = ()
    autocomplete_fields = ("groups",)
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("May sign in", {"fields": ("is_active", "is_staff")}),
        (
            "May do",
            {
                "fields": ("groups", "user_permissions", "is_superuser"),
                "description": "Only a superuser gives these. One role is usually all a person "
                "needs: what each may do stands on the page of the role. Head office, catalogue "
                "managers and auditors see every store; anybody else the stores listed below.",
            },
        ),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request)
        return rows.prefetch_related(
            "groups__permissions", "user_permissions", "store_memberships__store"
        )

    @display(description="Roles", label=True)
    def show_roles(self, user: User) -> Any:
        names = [group.name for group in user.groups.all()]
        return [*(["Superuser"] if user.is_superuser else []), *names] or None

    @display(description="Stores")
    def show_stores(self, user: User) -> str:
        given = {p.codename for group in user.groups.all() for p in group.permissions.all()}
        given |= {p.codename for p in user.user_permissions.all()}
        if user.is_superuser or given & CHAIN_WIDE:
            return "the whole chain"
        codes = sorted(member.store.code for member in user.store_memberships.all())
        more = f" and {len(codes) - STORES_SHOWN} more" if len(codes) > STORES_SHOWN else ""
        return ", ".join(codes[:STORES_SHOWN]) + more

    @display(
        description="May sign in",
        label={"Yes": "success", "No": "warning"},
    )
    def show_state(self, user: User) -> str:
        return "Yes" if user.is_active and user.is_staff else "No"

    def user_change_password(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if not is_proof_recent(request):
            return ask_again(request)
        before = request.session.session_key
        answer = super().user_change_password(request, *args, **kwargs)
        # Of one's own password: Django gives the session a new key, and it must stay in the list.
        rename_session(before, request.session.session_key)
        return answer

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return self.inlines if obj else ()

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if request.user.is_superuser:
            return self.readonly_fields
        return (*self.readonly_fields, *GIVEN_BY_SUPERUSERS)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_manytomany(db_field, request, **kwargs)
        if db_field.name == "user_permissions" and field and field.queryset is not None:
            field.queryset = field.queryset.select_related("content_type")
        return field

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        stores = StoreMember.objects.filter(user=form.instance).order_by("store__code")
        codes = stores.values_list("store__code", flat=True)
        with watch_powers(form.instance, stores=lambda: list(codes.all())):
            super().save_related(request, form, formsets, change)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        sees_all = find_principal(request).reads_chain_wide
        return sees_all and bool(super().has_view_permission(request, obj))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if isinstance(obj, User) and obj.is_superuser and not request.user.is_superuser:
            return False
        return bool(super().has_change_permission(request, obj))


class GroupAdmin(DjangoGroupAdmin, BackOfficeAdmin):
    """A group is a role: a name for a set of permissions.

    Those of accounts/roles.py are there to be read: the next migrate would undo a change.
    """

    is_written_by_head_office = True
    asks_again = True
    audited_as = "role"
    filter_horizontal = ()
    list_display = ("name", "show_where", "show_people", "show_kind")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(people=Count("user"))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name", "show_where", "show_rights") if _is_ours(obj) else ("name", "permissions")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("show_where", "show_rights")

    def save_model(self, request: HttpRequest, obj: Group, form: Any, change: bool) -> None:
        if change:
            with watch_role(obj):
                super().save_model(request, obj, form, change)
            return
        super().save_model(request, obj, form, change)
        note_new_role(obj)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        with watch_role(form.instance):
            super().save_related(request, form, formsets, change)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser) and not _is_ours(obj)

    @display(description="For")
    def show_where(self, group: Group) -> str:
        return roles.WHOSE_STORES.get(group.name, "the stores of the person")

    @display(description="People")
    def show_people(self, group: Any) -> int:
        return int(group.people)

    @display(description="Kind", label={"Of the program": "info", "Your own": "success"})
    def show_kind(self, group: Group) -> str:
        return "Of the program" if _is_ours(group) else "Your own"

    @display(description="May do")
    def show_rights(self, group: Group) -> str:
        rights = [right for right in roles.TABLE if group.name in right.roles]
        return format_html_join("", "<div>{}</div>", ((right.words,) for right in rights))


def _is_ours(group: Group | None) -> bool:
    return group is not None and group.name in roles.ROLES


def register(site: AdminSite) -> None:
    """Put people and roles on this site, in place of Django's own pages."""
    site.unregister(Group)
    site.register(Group, GroupAdmin)
    site.register(User, UserAdmin)
