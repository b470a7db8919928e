"""The back office of the people: who may sign in, for which stores, and to do what.

It stands here and not in accounts/, because a person's stores are edited on the same page and
accounts/ knows no stores.
"""

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest
from unfold.admin import TabularInline
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts.models import User
from accounts.people import note_new_role, watch_powers, watch_role
from stores.backoffice import BackOfficeAdmin
from stores.models import StoreMember

# What gives power over the whole chain is given by those who have it.
GIVEN_BY_SUPERUSERS = ("is_superuser", "groups", "user_permissions")


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
    audited_as = "person"
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    inlines = (StoreMemberInline,)
    list_display = ("username", "first_name", "last_name", "email", "show_state", "is_superuser")
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
                "description": "Only a superuser gives these. The permission to work for the "
                "whole chain lets a person see every store; without it they see the stores "
                "listed below.",
            },
        ),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )

    @display(
        description="May sign in",
        label={"Yes": "success", "No": "warning"},
    )
    def show_state(self, user: User) -> str:
        return "Yes" if user.is_active and user.is_staff else "No"

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
        return self._may_write(request) and bool(super().has_view_permission(request, obj))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if isinstance(obj, User) and obj.is_superuser and not request.user.is_superuser:
            return False
        return bool(super().has_change_permission(request, obj))


class GroupAdmin(DjangoGroupAdmin, BackOfficeAdmin):
    """A group is a role: a name for a set of permissions."""

    is_written_by_head_office = True
    audited_as = "role"
    filter_horizontal = ()

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
        return bool(request.user.is_superuser)


def register(site: AdminSite) -> None:
    """Put people and roles on this site, in place of Django's own pages."""
    site.unregister(Group)
    site.register(Group, GroupAdmin)
    site.register(User, UserAdmin)
