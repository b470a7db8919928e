"""Security keys (WebAuthn) as a second factor, where SECURITY_KEYS is on: allauth's views, in the
look of the back office. A key is never the only thing asked for: the password comes first."""

from typing import Any

from allauth.mfa.adapter import get_adapter
from allauth.mfa.webauthn.views import (
    AddWebAuthnView,
    ListWebAuthnView,
    ReauthenticateWebAuthnView,
    RemoveWebAuthnView,
)
from django.core.exceptions import PermissionDenied
from django.db import transaction
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts.views import FreshlyProvenPage, SignedInPage, code_tries
from inventory_project.log_in import GuardedTries, Tries


class KeyListView(SignedInPage, ListWebAuthnView):
    template_name = "accounts/key_list.html"
    title = "Security keys"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = super().get_context_data(**kwargs)
        may_remove = get_adapter().can_delete_authenticator
        keys = [(key, may_remove(key)) for key in page["authenticators"]]
        return page | {"keys": keys}


class AddKeyView(FreshlyProvenPage, AddWebAuthnView):
    template_name = "accounts/key_add.html"
    title = "Add a security key"

    def get_form(self, form_class: Any = None) -> Any:
        form = super().get_form(form_class)
        form.fields["name"].widget = UnfoldAdminTextInputWidget()
        return form


class RemoveKeyView(FreshlyProvenPage, RemoveWebAuthnView):
    template_name = "accounts/key_remove.html"
    title = "Remove the security key"

    @transaction.atomic  # with its entry in the audit
    def form_valid(self, form: Any) -> Any:
        if not get_adapter().can_delete_authenticator(self.get_object()):
            raise PermissionDenied
        return super().form_valid(form)


class KeyAgainView(GuardedTries, SignedInPage, ReauthenticateWebAuthnView):
    template_name = "accounts/key_again.html"
    title = "Is it still you?"

    def find_tries(self) -> Tries:
        return code_tries(self.request, self.request.user)
