from typing import Any

import django_filters

from catalog.models import Category, Product
from catalog.scanning import choose_scanned, find_scanned
from inventory_project.api import YesNoFilter
from inventory_project.errors import Invalid, InvalidValue, NotFound
from inventory_project.fields import clean_scanned_barcode, clean_text, to_comparable_barcode


def find_category(name: str) -> Category:
    """The category of this name. Raises NotFound."""
    try:
        category = Category.objects.filter(name=clean_text(name, characters_max=120)).first()
    except InvalidValue:
        category = None
    if category is None:
        raise NotFound("There is no such category.")
    return category


class CategoryFilter(django_filters.FilterSet):
    retired = YesNoFilter(
        field_name="retired_at", lookup_expr="isnull", exclude=True, label="Retired or not."
    )

    class Meta:
        model = Category
        fields: list[str] = []


class ProductFilter(django_filters.FilterSet):
    category = django_filters.CharFilter(method="of_category", label="Name of a category.")
    barcode = django_filters.CharFilter(
        method="scanned_as", label="A scanned barcode; 409 with the candidates if ambiguous."
    )
    retired = YesNoFilter(
        field_name="retired_at", lookup_expr="isnull", exclude=True, label="Retired or not."
    )

    class Meta:
        model = Product
        fields: list[str] = []

    def of_category(self, queryset: Any, name: str, category: str) -> Any:
        return queryset.filter(category=find_category(category))

    def scanned_as(self, queryset: Any, name: str, code: str) -> Any:
        try:
            scanned = ("", to_comparable_barcode(clean_scanned_barcode(code)))
        except InvalidValue as error:
            raise Invalid([("?barcode", error.code, error.detail)]) from error
        candidates = find_scanned([scanned])[scanned]
        if not candidates:
            return queryset.none()
        return queryset.filter(pk=choose_scanned(candidates, pointer="?barcode").product.pk)
