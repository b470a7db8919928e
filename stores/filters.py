import django_filters

from inventory_project.api import YesNoFilter
from stores.models import Store


class StoreFilter(django_filters.FilterSet):
    retired = YesNoFilter(
        field_name="retired_at", lookup_expr="isnull", exclude=True, label="Retired or not."
    )

    class Meta:
        model = Store
        fields: list[str] = []
