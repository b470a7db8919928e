"""The back office of the places: stores and the keys of their devices."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone as clock
from unfold.decorators import action, display

from inventory_project.fields import clean_text
from stores import audit_pages, people, registry
from stores.backoffice import (
    NEGATIVE_STOCK_HELP,
    BackOfficeAdmin,
    PickFilter,
    RetirableAdmin,
    RetiredFilter,
    find_principal,
    taking,
)
from stores.models import Store, StoreKey


class StoreForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Store
        fields = ("code", "name", "address", "timezone", "currency", "negative_stock")
        help_texts = {
            "code": "Stays for ever: it is in the addresses and journals of every till.",
            "timezone": "Decides which business day a sale belongs to, such as Asia/Karachi.",
            "currency": "Three capital letters, such as PKR. All its prices and amounts are in it.",
            "negative_stock": NEGATIVE_STOCK_HELP + "Empty: as the chain does.",
        }

    def clean_name(self) -> str:
        return str(taking(clean_text, self.cleaned_data["name"], characters_max=120))

    def clean_address(self) -> str:
        address = self.cleaned_data["address"]
        return str(taking(clean_text, address, characters_max=250, required=False))


@admin.register(Store)
class StoreAdmin(RetirableAdmin):
    audited_as = "store"
    is_written_by_head_office = True
    form = StoreForm
    list_display = ("code", "name", "address", "timezone", "currency", "show_state")
    list_display_links = ("code", "name")
    list_filter = (RetiredFilter,)
    search_fields = ("code", "name", "address")
    search_help_text = "Search by code, name or address."
    retire_sentence = (
        "It takes no new receipts or other documents and its keys are refused. "
        "Sales that were made before still count when they arrive. You can restore it."
    )
    restore_sentence = "It takes new documents again, and its keys that are not revoked work again."

    def retire_row(self, request: HttpRequest, row: Store) -> Store:
        return registry.retire_store(row)

    def restore_row(self, request: HttpRequest, row: Store) -> Store:
        return registry.restore_store(row)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("code", "retired_at", "created_at") if obj else ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (
            (*StoreForm.Meta.fields, "retired_at", "created_at") if obj else (StoreForm.Meta.fields)
        )

    def save_model(self, request: HttpRequest, obj: Store, form: Any, change: bool) -> None:
        if change:
            store = Store.objects.get(pk=obj.pk)
            fields = {n: v for n, v in form.cleaned_data.items() if v != getattr(store, n)}
            if fields:
                registry.change_store(store, **fields)
            return
        store = registry.register_store(**form.cleaned_data)
        obj.pk, obj._state.adding = store.pk, False


class KeyForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = StoreKey
        fields = ("name", "store", "expires_at")
        help_texts = {
            "store": "The key sees and writes this store only. "
            "Empty (head office only): a key that sees every store.",
            "expires_at": "In UTC. Empty: until it is revoked.",
        }

    def clean_name(self) -> str:
        return str(taking(clean_text, self.cleaned_data["name"], characters_max=80))

    def clean_expires_at(self) -> Any:
        expires_at = self.cleaned_data["expires_at"]
        if expires_at and expires_at <= clock.now():
            raise ValidationError("This must be in the future.", code="past")
        return expires_at


class WorkingFilter(RetiredFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("working", "Works"), ("not", "Revoked, expired or of a retired store")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "working":
            return queryset.working()
        if self.value() == "not":
            return queryset.exclude(pk__in=StoreKey.objects.working().values("pk"))
        return queryset


@admin.register(StoreKey)
class StoreKeyAdmin(BackOfficeAdmin):
    """Keys are issued and revoked, never edited; the secret is shown once, when it is made."""

    audited_as = "key"
    form = KeyForm
    list_display = ("prefix", "name", "store", "show_state", "created_at", "expires_at")
    list_display_links = ("prefix", "name")
    list_filter = (WorkingFilter, ("store", PickFilter))
    list_select_related = ("store",)
    search_fields = ("prefix", "name", "store__code", "store__name")
    search_help_text = "Search by the first part of the key, its name or the store."
    autocomplete_fields = ("store",)
    actions = None
    actions_row = ("revoke",)
    actions_detail = ("revoke",)
    readonly_fields = (
        "prefix", "name", "store", "created_at", "valid_from", "expires_at", "revoked_at",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> Any:
        keys = super().get_queryset(request)
        principal = find_principal(request)
        if principal.is_chain_wide:
            return keys
        return keys.filter(store_id__in=principal.member_store_ids)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.readonly_fields if obj else KeyForm.Meta.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.readonly_fields if obj else ()

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        # Filtering by the beginning of a hash would tell it, letter by letter.
        return "secret" not in lookup and bool(super().lookup_allowed(lookup, value, request))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> Any:
        # One button: what follows is the page with the key, nothing else.
        only_save = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, {**only_save, **(extra_context or {})})

    def has_revoke_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("stores.change_storekey"))

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if field is not None and not find_principal(request).is_chain_wide:
            field.required = True
        return field

    @display(description="State", label={"Works": "success", "Revoked": "danger"})
    def show_state(self, key: StoreKey) -> str:
        now = clock.now()
        if key.revoked_at:
            return "Revoked"
        if key.expires_at and key.expires_at <= now:
            return "Expired"
        if key.valid_from > now:
            return "Not yet"
        return "Store retired" if key.store and key.store.retired_at else "Works"

    def save_model(self, request: HttpRequest, obj: StoreKey, form: Any, change: bool) -> None:
        issued = registry.issue_key(**form.cleaned_data)
        obj.pk, obj.prefix, obj._state.adding = issued.key.pk, issued.key.prefix, False
        # Lives as long as this request: not in the session, a message, a cookie or the log.
        obj.credential = issued.credential  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> Any:
        page = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "The new key",
            "key": obj,
            "back": self.go_to_list(),
        }
        response = TemplateResponse(request, "admin/key_shown_once.html", page)
        response["Cache-Control"] = "no-store"
        response["Referrer-Policy"] = "no-referrer"
        return response

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        key = self.get_object(request, object_id)
        found = super().get_actions_detail(request, object_id)
        return [] if key is None or key.revoked_at else found

    @action(description="Revoke", permissions=["revoke"], icon="key_off")
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = self.find_or_404(request, object_id)
        back = self.go_to(key.pk)
        if not self.has_revoke_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return self.ask(
                request,
                title=f"Revoke {key}?",
                sentence="Its next request is refused. A revoked key never works again; "
                "issue a new one to let the device back in.",
                button="Revoke",
                back=back,
            )
        registry.revoke_key(key)
        self.log_change(request, key, "Revoked.")
        self.message_user(request, f"{key} is revoked.", messages.SUCCESS)
        return HttpResponseRedirect(back)


people.register(admin.site)
audit_pages.register(admin.site)
