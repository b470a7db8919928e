"""The back office of the keys: issued, rotated and revoked, never edited."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone as clock
from django.utils.html import format_html
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminIntegerFieldWidget

from accounts.proofs import ask_again, is_proof_recent
from inventory_project.errors import DomainError
from inventory_project.fields import clean_text
from stores import registry
from stores.backoffice import (
    BackOfficeAdmin,
    PickFilter,
    RetiredFilter,
    find_principal,
    taking,
)
from stores.models import TILL_SCOPES, Scope, StoreKey
from stores.permissions import find_not_given
from stores.principals import Principal


class KeyForm(forms.ModelForm):  # type: ignore[type-arg]
    giver: Principal  # the page sets it

    may = forms.MultipleChoiceField(
        label="May do",
        choices=Scope.choices,
        initial=TILL_SCOPES,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="No more than its device needs; marked is what a till does. The rest is for keys "
        "of head office.",
    )

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

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        possible = registry.scopes_for(cleaned.get("store"))
        beyond = [scope for scope in cleaned.get("may", ()) if scope not in possible]
        if "store" in cleaned and beyond:
            sentence = f"Only a key of head office can have: {', '.join(beyond)}."
            self.add_error("may", ValidationError(sentence, code="not_a_scope"))
            return cleaned
        is_of_chain = cleaned.get("store") is None
        not_given = find_not_given(self.giver, cleaned.get("may", ()), of_chain=is_of_chain)
        if "store" in cleaned and not_given:
            self.add_error("may", ValidationError(_say_not_given(not_given), code="not_yours"))
        return cleaned


def _say_not_given(scopes: list[str]) -> str:
    return f"Your role may not do this itself, so a key of yours cannot: {', '.join(scopes)}."


class RotateForm(forms.Form):
    hours = forms.IntegerField(
        label="Hours until the old key ends",
        min_value=0,
        max_value=registry.OVERLAP_HOURS_MAX,
        initial=int(registry.OVERLAP.total_seconds() // 3600),
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="In this time the device has to be given the new key.",
    )


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


class StoreKeyAdmin(BackOfficeAdmin):
    """Keys are issued, rotated and revoked, never edited; the secret is shown once, when it is
    made."""

    asks_again = True
    audited_as = "key"
    form = KeyForm
    list_display = (
        "prefix", "name", "store", "show_scopes", "show_state", "last_used_at", "expires_at",
    )  # fmt: skip
    list_display_links = ("prefix", "name")
    list_filter = (WorkingFilter, ("store", PickFilter))
    list_select_related = ("store", "replaces", "replaced_by")
    search_fields = ("prefix", "name", "store__code", "store__name")
    search_help_text = "Search by the first part of the key, its name or the store."
    autocomplete_fields = ("store",)
    actions = None
    actions_row = ("rotate", "revoke")
    actions_detail = ("rotate", "revoke")
    readonly_fields = (
        "prefix", "name", "store", "show_scopes", "last_used_at", "created_at", "valid_from",
        "expires_at", "revoked_at", "show_replaces", "show_replaced_by",
    )  # fmt: skip

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.readonly_fields if obj else ("name", "store", "may", "expires_at")

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
        return find_principal(request).may("stores.change_storekey")

    def has_rotate_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # It ends one key and hands out another.
        may_add = find_principal(request).may("stores.add_storekey")
        return may_add and self.has_revoke_permission(request, obj)

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        form = super().get_form(request, *args, **kwargs)
        form.giver = find_principal(request)  # a class of this request only
        return form

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if field is not None and not find_principal(request).works_chain_wide:
            field.required = True
        return field

    @display(description="May do")
    def show_scopes(self, key: StoreKey) -> str:
        if key.scope_set == {*TILL_SCOPES}:
            return "What a till does"
        return "Everything" if key.scope_set == {*Scope} else ", ".join(key.scopes.split())

    @display(description="Follows")
    def show_replaces(self, key: StoreKey) -> str:
        return self._link(key.replaces)

    @display(description="Followed by")
    def show_replaced_by(self, key: StoreKey) -> str:
        return self._link(getattr(key, "replaced_by", None))

    def _link(self, key: StoreKey | None) -> str:
        if key is None:
            return ""
        link = '<a class="text-primary-600 dark:text-primary-500" href="{}">{}</a>'
        return format_html(link, self.go_to(key.pk), key)

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
        chosen = dict(form.cleaned_data)
        issued = registry.issue_key(scopes=chosen.pop("may"), **chosen)
        obj.pk, obj.prefix, obj._state.adding = issued.key.pk, issued.key.prefix, False
        # Lives as long as this request: not in the session, a message, a cookie or the log.
        obj.credential = issued.credential  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> Any:
        return self._show_once(request, obj, obj.credential)

    def _show_once(self, request: HttpRequest, key: StoreKey, credential: str) -> HttpResponse:
        page = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "The new key",
            "key": key,
            "credential": credential,
            "back": self.go_to_list(),
        }
        response = TemplateResponse(request, "admin/key_shown_once.html", page)
        response["Cache-Control"] = "no-store"
        response["Referrer-Policy"] = "no-referrer"
        return response

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        key = self.get_object(request, object_id)
        found = super().get_actions_detail(request, object_id)
        if key is None or key.revoked_at:
            return []
        is_followed = hasattr(key, "replaced_by")
        return [a for a in found if not (is_followed and a.action_name.endswith("_rotate"))]

    def _find_to_change(self, request: HttpRequest, object_id: str) -> StoreKey:
        """The key of an address. Who sees the whole chain need not work for all of it."""
        key: StoreKey = self.find_or_404(request, object_id)
        if not StoreKey.objects.writable_by(find_principal(request)).filter(pk=key.pk).exists():
            raise PermissionDenied
        return key

    @action(description="Rotate", permissions=["rotate"], icon="sync")
    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = self._find_to_change(request, object_id)
        not_given = find_not_given(
            find_principal(request), key.scope_set, of_chain=key.store_id is None
        )
        if not_given:
            self.message_user(request, _say_not_given(sorted(not_given)), messages.ERROR)
            return HttpResponseRedirect(self.go_to(key.pk))
        if not is_proof_recent(request):
            return ask_again(request)
        form = RotateForm(request.POST or None)
        if request.method != "POST" or not form.is_valid():
            return self.ask(
                request,
                title=f"Rotate {key}?",
                sentence="A new key is made that may do the same, and the old one ends by itself "
                "after some hours. The new key is shown once, on the next page.",
                form=form,
                button="Rotate",
                back=self.go_to(key.pk),
            )
        overlap = timedelta(hours=form.cleaned_data["hours"])
        try:
            issued = registry.rotate_key(key, overlap=overlap)
        except DomainError as error:
            self.message_user(request, error.detail, messages.ERROR)
            return HttpResponseRedirect(self.go_to(key.pk))
        self.log_change(request, key, f"Rotated; followed by {issued.key.prefix}.")
        return self._show_once(request, issued.key, issued.credential)

    @action(description="Revoke", permissions=["revoke"], icon="key_off")
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = self._find_to_change(request, object_id)
        back = self.go_to(key.pk)
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


def register(site: AdminSite) -> None:
    """Put the keys on this site."""
    site.register(StoreKey, StoreKeyAdmin)
