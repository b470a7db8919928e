"""The back office of the catalogue: products with their barcodes, categories, and every change."""

import json
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.forms import PaginationInlineFormSet

from catalog import editing
from catalog.editing import Code
from catalog.import_page import answer_import
from catalog.models import Barcode, Category, Product, ProductChange
from inventory_project.fields import clean_text, parse_money, to_comparable_barcode
from stores.backoffice import (
    NEGATIVE_STOCK_HELP,
    BackOfficeAdmin,
    PagesWithoutCount,
    PickFilter,
    RetirableAdmin,
    RetiredFilter,
    find_principal,
    show_money,
    taking,
)

PRODUCT_FIELDS = ("sku", "name", "category", "unit", "price", "negative_stock")


class ProductForm(forms.ModelForm):  # type: ignore[type-arg]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["price"] = Decimal(show_money(self.instance.price))

    class Meta:
        model = Product
        fields = PRODUCT_FIELDS
        help_texts = {
            "sku": "Stays for ever: it is in the journals of every till.",
            "unit": "Each is counted; kilograms and litres are measured to three decimals.",
            "price": "Of one unit, in the store's currency; at most four decimals.",
            "negative_stock": NEGATIVE_STOCK_HELP + "Empty: as the store does.",
        }

    def clean_sku(self) -> str:
        return str(taking(editing.clean_new_sku, self.cleaned_data["sku"]))

    def clean_name(self) -> str:
        return str(taking(clean_text, self.cleaned_data["name"], characters_max=250))

    def clean_price(self) -> Any:
        price = self.cleaned_data["price"]
        if price is None:
            raise ValidationError("This is needed; 0 is a price too.", code="required")
        taking(parse_money, format(price, "f"))
        return price


class BarcodeForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Barcode
        fields = ("code", "units")
        help_texts = {"units": "How many units one scan stands for; more than 1 on a pack."}

    def clean_code(self) -> str:
        return str(taking(editing.clean_barcode, self.cleaned_data["code"]))

    def clean_units(self) -> int:
        return int(taking(editing.clean_units, self.cleaned_data["units"]))


class BarcodeFormSet(PaginationInlineFormSet):  # type: ignore[misc]
    """Codes that a scanner cannot tell apart are one code."""

    def clean(self) -> None:
        super().clean()
        seen = set()
        for code in self.read_codes():
            comparable = to_comparable_barcode(code.code)
            if comparable in seen:
                raise ValidationError("The same barcode stands here twice.", code="twice")
            seen.add(comparable)

    def read_codes(self) -> list[Code]:
        """What the product shall have after saving."""
        kept = [
            form.cleaned_data
            for form in self.forms
            if form.is_valid() and form not in self.deleted_forms and form.cleaned_data.get("code")
        ]
        return [Code(code=data["code"], units=data["units"]) for data in kept]


class BarcodeInline(TabularInline):  # type: ignore[misc]
    model = Barcode
    form = BarcodeForm
    formset = BarcodeFormSet
    extra = 0
    verbose_name_plural = "Barcodes"

    # A barcode is a part of its product: who may change the one may change the other.
    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        page = self.admin_site.get_model_admin(Product)
        allowed = page.has_change_permission if obj else page.has_add_permission
        return bool(allowed(request))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_add_permission(request, obj)

    has_delete_permission = has_change_permission


class CatalogueAdmin(RetirableAdmin):
    """What products and categories have in common."""

    is_written_by_head_office = True
    subject: str
    retire_sentence = (
        "Out of the range: no new documents. Sales that were made before still "
        "count when they arrive, and the history stays. You can restore it."
    )
    restore_sentence = "Back into the range."

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        """The catalogue keeps its own history, and it names every door's changes."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        row = self.find_or_404(request, object_id)
        address = reverse(
            "admin:catalog_productchange_changelist",
            query={"subject": self.subject, "subject_id": row.pk},
        )
        return HttpResponseRedirect(address)


@admin.register(Product)
class ProductAdmin(CatalogueAdmin):
    subject = ProductChange.Subject.PRODUCT
    form = ProductForm
    inlines = (BarcodeInline,)
    list_display = ("sku", "name", "category", "unit", "show_price", "show_state")
    list_display_links = ("sku", "name")
    list_select_related = ("category",)
    list_filter = (("category", PickFilter), ("unit", ChoicesDropdownFilter), RetiredFilter)
    search_fields = ("sku", "name")
    search_help_text = "Search by SKU, name or barcode."
    autocomplete_fields = ("category",)
    actions_list = ("import_products",)

    def has_import_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_add_permission(request) and self.has_change_permission(request)

    @action(
        description="Import from a file",
        url_path="import",
        permissions=["import"],
        icon="upload_file",
    )
    def import_products(self, request: HttpRequest) -> HttpResponse:
        return answer_import(self, request)

    @display(description="Price", ordering="price")
    def show_price(self, product: Product) -> str:
        return show_money(product.price)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("sku", "retired_at", "created_at") if obj else ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*PRODUCT_FIELDS, "retired_at", "created_at") if obj else PRODUCT_FIELDS

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Product], search_term: str
    ) -> tuple[QuerySet[Product], bool]:
        codes = Barcode.objects.filter(comparable=to_comparable_barcode(search_term.strip()))
        if search_term and codes.exists():
            return queryset.filter(Exists(codes.filter(product=OuterRef("pk")))), False
        found, duplicates = super().get_search_results(request, queryset, search_term)
        return found, bool(duplicates)

    def save_model(self, request: HttpRequest, obj: Product, form: Any, change: bool) -> None:
        """Nothing yet: a product and its barcodes are one change, made in save_related."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        (barcodes,) = formsets
        barcodes.save(commit=False)  # only tells Django's log what changed
        by = find_principal(request)
        if not change:
            product = editing.create_product(
                by=by, barcodes=barcodes.read_codes(), **form.cleaned_data
            )
            form.instance.pk, form.instance._state.adding = product.pk, False
            return
        editing.change_product(
            Product.objects.get(pk=form.instance.pk),
            by=by,
            barcodes=barcodes.read_codes() if barcodes.has_changed() else None,
            **{name: form.cleaned_data[name] for name in form.changed_data},
        )

    def retire_row(self, request: HttpRequest, row: Product) -> Product:
        return editing.retire_product(row, by=find_principal(request))

    def restore_row(self, request: HttpRequest, row: Product) -> Product:
        return editing.restore_product(row, by=find_principal(request))


class CategoryForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Category
        fields = ("name",)

    def clean_name(self) -> str:
        return str(taking(editing.clean_category_name, self.cleaned_data["name"]))


@admin.register(Category)
class CategoryAdmin(CatalogueAdmin):
    subject = ProductChange.Subject.CATEGORY
    form = CategoryForm
    list_display = ("name", "show_state")
    list_filter = (RetiredFilter,)
    search_fields = ("name",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("retired_at",) if obj else ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name", "retired_at") if obj else ("name",)

    def save_model(self, request: HttpRequest, obj: Category, form: Any, change: bool) -> None:
        by = find_principal(request)
        if not change:
            category = editing.create_category(by=by, name=form.cleaned_data["name"])
            obj.pk, obj._state.adding = category.pk, False
        elif "name" in form.changed_data:
            category = Category.objects.get(pk=obj.pk)
            editing.change_category(category, by=by, name=form.cleaned_data["name"])

    def retire_row(self, request: HttpRequest, row: Category) -> Category:
        return editing.retire_category(row, by=find_principal(request))

    def restore_row(self, request: HttpRequest, row: Category) -> Category:
        return editing.restore_category(row, by=find_principal(request))


@admin.register(ProductChange)
class ProductChangeAdmin(BackOfficeAdmin):
    """Who changed what in the catalogue and when: to read, never to touch."""

    paginator = PagesWithoutCount
    actions = None
    list_display = ("version", "key", "subject", "action", "show_what", "show_who", "changed_at")
    list_filter = (("subject", ChoicesDropdownFilter), ("action", ChoicesDropdownFilter))
    list_select_related = ("actor", "device")
    search_fields = ("=key",)
    search_help_text = "Search by the whole SKU or category name."
    sortable_by = ()

    fields = (
        "version", "subject", "key", "action", "show_who", "changed_at", "show_before",
        "show_after",
    )  # fmt: skip
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description="By")
    def show_who(self, change: ProductChange) -> str:
        return str(change.actor or (change.device and f"key {change.device}") or "a command")

    @display(description="What")
    def show_what(self, change: ProductChange) -> str:
        if change.before is None:
            return ""
        changed = [name for name, value in change.after.items() if change.before.get(name) != value]
        return ", ".join(name.replace("_", " ") for name in changed)

    @display(description="Before")
    def show_before(self, change: ProductChange) -> str:
        return _show_json(change.before)

    @display(description="After")
    def show_after(self, change: ProductChange) -> str:
        return _show_json(change.after)


def _show_json(facts: Any) -> str:
    text = json.dumps(facts, indent=2, ensure_ascii=False) if facts else "nothing"
    return format_html('<pre class="whitespace-pre-wrap">{}</pre>', text)
