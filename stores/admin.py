"""The back office of the places; their keys' pages are keys_page.py, the people's people.py."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from inventory_project.fields import clean_text
from inventory_project.keyring import Unreadable
from stores import audit_pages, contacts, keys_page, people, registry
from stores.backoffice import (
    NEGATIVE_STOCK_HELP,
    RetirableAdmin,
    RetiredFilter,
    find_principal,
    taking,
)
from stores.contacts import Contact, may_see_contacts, may_write_contacts, read_contact
from stores.models import Store

CONTACT_FIELDS = tuple(f"contact_{name}" for name in Contact._fields)


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


class StoreContactForm(StoreForm):
    """The form of those who may write whom to call. What cannot be read stays until something is
    written over it: who lost the key can go on."""

    contact_name = forms.CharField(
        label="Contact name", required=False, widget=UnfoldAdminTextInputWidget
    )
    contact_phone = forms.CharField(
        label="Contact phone",
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Such as +92 42 111 222 333.",
    )
    contact_email = forms.CharField(
        label="Contact email", required=False, widget=UnfoldAdminTextInputWidget
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._before = Contact()
        try:
            self._before = read_contact(self.instance) if self.instance.pk else Contact()
        except Unreadable as error:
            self.fields["contact_name"].help_text = (
                f"The contact cannot be read. {error.detail} If all three stay empty, it stays as "
                "it is; what you write takes its place."
            )
        for name, text in self._before._asdict().items():
            self.initial[f"contact_{name}"] = text

    def clean_contact_name(self) -> str:
        return str(taking(contacts.clean_name, self.cleaned_data["contact_name"]))

    def clean_contact_phone(self) -> str:
        return str(taking(contacts.clean_phone, self.cleaned_data["contact_phone"]))

    def clean_contact_email(self) -> str:
        return str(taking(contacts.clean_email, self.cleaned_data["contact_email"]))

    def read_changed_contact(self) -> Contact | None:
        """The contact that was written; None where it stays as it is."""
        written = Contact(*(self.cleaned_data[name] for name in CONTACT_FIELDS))
        if written == self._before:
            return None
        return written


@admin.register(Store)
class StoreAdmin(RetirableAdmin):
    audited_as = "store"
    is_written_by_head_office = True
    form = StoreForm
    list_display = ("code", "name", "address", "timezone", "currency", "show_state")
    list_display_links = ("code", "name")
    list_filter = (RetiredFilter,)
    search_fields = ("code", "name", "address")
    search_help_text = (
        "Search by code, name or address; head office also by a contact's whole telephone number "
        "or e-mail address."
    )
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
        fixed = ("code", "retired_at", "created_at") if obj else ()
        return fixed if self._may_write_contact(request) else (*fixed, *CONTACT_FIELDS)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        contact = CONTACT_FIELDS if self._may_see_contact(request, obj) else ()
        dates = ("retired_at", "created_at") if obj else ()
        return (*StoreForm.Meta.fields, *contact, *dates)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if self._may_write_contact(request) and self.has_change_permission(request, obj):
            kwargs["form"] = StoreContactForm
        return super().get_form(request, obj, change, **kwargs)

    def _may_write_contact(self, request: HttpRequest) -> bool:
        principal = find_principal(request)
        return may_see_contacts(principal) and may_write_contacts(principal)

    def _may_see_contact(self, request: HttpRequest, obj: Any) -> bool:
        """In a form that adds a store there is nothing to see."""
        if obj is None:
            return self._may_write_contact(request)
        return may_see_contacts(find_principal(request))

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        found, may_repeat = super().get_search_results(request, queryset, search_term)
        if search_term and may_see_contacts(find_principal(request)):
            called = contacts.find_stores(phone=search_term, email=search_term)
            found |= queryset.filter(pk__in=called)
        return found, may_repeat

    @display(description="Contact name")
    def contact_name(self, store: Store) -> str:
        return self._show_contact(store, "name")

    @display(description="Contact phone")
    def contact_phone(self, store: Store) -> str:
        return self._show_contact(store, "phone")

    @display(description="Contact email")
    def contact_email(self, store: Store) -> str:
        return self._show_contact(store, "email")

    def _show_contact(self, store: Store, part: str) -> str:
        try:
            return str(getattr(read_contact(store), part))
        except Unreadable as error:
            return f"Cannot be read. {error.detail}"

    def save_model(self, request: HttpRequest, obj: Store, form: Any, change: bool) -> None:
        sent = {n: v for n, v in form.cleaned_data.items() if n not in CONTACT_FIELDS}
        is_full = isinstance(form, StoreContactForm)
        contact = form.read_changed_contact() if is_full else None
        if change:
            store = Store.objects.get(pk=obj.pk)
            fields = {n: v for n, v in sent.items() if v != getattr(store, n)}
            if fields or contact is not None:
                registry.change_store(store, contact=contact, **fields)
            return
        store = registry.register_store(contact=contact, **sent)
        obj.pk, obj._state.adding = store.pk, False


people.register(admin.site)
keys_page.register(admin.site)
audit_pages.register(admin.site)
