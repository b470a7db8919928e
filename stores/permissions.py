"""What a principal may do at a door; which rows it has is `visible_to` and `writable_by`.

A view says in `needs` what each of its methods (each of its actions, where it has them) asks for:
of a person a permission of accounts/roles.py, of a key a scope. What nobody declared, nobody gets.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from stores.models import Scope
from stores.principals import Principal


class Need(NamedTuple):
    """What one method asks for. Empty: of everybody whom we know."""

    permission: str = ""
    scope: str = ""
    # Master data, which is of no store: also that the caller works for the whole chain.
    of_chain: bool = False
    # And who reads the whole chain is enough.
    reads_chain: bool = False


Needs = Mapping[str, Need]
ANYBODY = Need()


class PermissionMissing(PermissionDenied):
    default_code = "permission_missing"


class ScopeMissing(PermissionDenied):
    default_code = "scope_missing"


def principal_of(request: Request) -> Principal:
    """The principal behind an API request; only call behind IsAuthenticated."""
    assert isinstance(request.user, Principal)
    return request.user


def need_scope(principal: Principal, scope: str) -> None:
    """Refuse a key without this scope; people have none and pass. Raises ScopeMissing."""
    if principal.key is not None and scope not in principal.key.scope_set:
        raise ScopeMissing(f"This key lacks the scope {scope}. Ask for a key that has it.")


def refuse_unless_met(principal: Principal, need: Need) -> None:
    """Raises ScopeMissing, PermissionMissing, and PermissionDenied for what only head office
    does."""
    # First what no scope or role of a store would mend.
    if need.of_chain and not principal.works_chain_wide:
        raise PermissionDenied("Only head office may change this.")
    if need.reads_chain and not principal.reads_chain_wide:
        raise PermissionDenied("Only head office may look at this.")
    if need.scope:
        need_scope(principal, need.scope)
    if need.permission and principal.key is None and not principal.may(need.permission):
        raise PermissionMissing(
            f"Your role lacks the permission {need.permission}. Ask head office for it."
        )


class IsAuthenticated(BasePermission):
    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.user, Principal)


class MeetsNeed(IsAuthenticated):
    """The caller may do what the view's `needs` say of this method."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not super().has_permission(request, view):
            return False
        if request.method == "OPTIONS" or request.method not in view.allowed_methods:
            return True  # the view answers 405: nobody may do what nobody can
        refuse_unless_met(principal_of(request), self.find_need(request, view))
        return True

    def find_need(self, request: Request, view: Any) -> Need:
        """What this request asks for. Raises KeyError where the view does not say."""
        method = "GET" if request.method == "HEAD" else request.method
        needs: Needs = view.needs
        return needs[getattr(view, "action", None) or str(method)]


class IsStaff(BasePermission):
    """People signed in to the back office."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.user, Principal) and request.user.user is not None


READ_STORES = Need("stores.view_store", Scope.STORES_READ)
ADD_STORE = Need("stores.add_store", Scope.STORES_WRITE, of_chain=True)
CHANGE_STORE = Need("stores.change_store", Scope.STORES_WRITE, of_chain=True)

# What a person must have to give a key more than a till has: a key is a way to do it oneself.
# A till's scopes are what "issue keys" means.
_TO_GIVE = {
    Scope.SALES_DECIDE: ("orders.decide_parkedevent",),
    Scope.CATALOG_WRITE: (
        "catalog.add_product", "catalog.change_product",
        "catalog.add_category", "catalog.change_category",
    ),
    Scope.STORES_WRITE: ("stores.add_store", "stores.change_store", "stores.change_storecontact"),
    Scope.METRICS_READ: ("orders.view_saleevent",),
}  # fmt: skip
# With it a key of head office is told whom to call about a store.
_TO_GIVE_OF_CHAIN = dict.fromkeys(
    (Scope.STORES_READ, Scope.STORES_WRITE), ("stores.view_storecontact",)
)


def find_not_given(principal: Principal, scopes: Iterable[str], *, of_chain: bool) -> list[str]:
    """Those of these scopes that the person may not give to a key, `of_chain` for one of head
    office, because they may not do it themselves."""
    return [
        scope
        for scope in map(Scope, scopes)
        if not all(
            principal.may(permission)
            for permission in (
                *_TO_GIVE.get(scope, ()),
                *(_TO_GIVE_OF_CHAIN.get(scope, ()) if of_chain else ()),
            )
        )
    ]
