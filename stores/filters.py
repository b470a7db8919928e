import django_filters

from stores.models import Store


class StoreFilter(django_filters.FilterSet):
    retired = django_filters.BooleanFilter(
        field_name="retired_at", lookup_expr="isnull", exclude=True, label="Retired or not."
    )

    class Meta:
        model = Store
        fields: list[str] = []
