"""The back office of the places; their keys' pages are keys_page.py, the people's people.py."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from inventory_project.fields import clean_text
from stores import keys_page, people, registry
from stores.backoffice import NEGATIVE_STOCK_HELP, RetirableAdmin, RetiredFilter, taking
from stores.models import Store


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


people.register(admin.site)
keys_page.register(admin.site)
