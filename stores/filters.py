from collections.abc import Callable
from typing import Any

import django_filters

from inventory_project.api import YesNoFilter
from inventory_project.errors import Invalid, InvalidValue
from stores import contacts
from stores.models import Store

# Whoever may not see a contact must not find out by asking, either.
CONTACT_PARAMETERS = ("phone", "email")
_CLEAN: dict[str, Callable[[object], str]] = {
    "phone": contacts.clean_phone,
    "email": contacts.clean_email,
}


class StoreFilter(django_filters.FilterSet):
    retired = YesNoFilter(
        field_name="retired_at", lookup_expr="isnull", exclude=True, label="Retired or not."
    )
    phone = django_filters.CharFilter(
        method="find_contact", label="Stores with exactly this telephone number (head office)."
    )
    email = django_filters.CharFilter(
        method="find_contact", label="Stores with exactly this e-mail address (head office)."
    )

    class Meta:
        model = Store
        fields: list[str] = []

    def find_contact(self, queryset: Any, name: str, value: str) -> Any:
        try:
            sought = _CLEAN[name](value)
        except InvalidValue as error:
            raise Invalid([(f"?{name}", error.code, error.detail)]) from error
        return queryset.filter(pk__in=contacts.find_stores(**{name: sought}))
