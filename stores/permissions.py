"""What a principal may do at a door; which rows it sees is `visible_to`."""

from typing import Any

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from stores.principals import Principal


def principal_of(request: Request) -> Principal:
    """The principal behind an API request; only call behind IsAuthenticated."""
    assert isinstance(request.user, Principal)
    return request.user


class IsAuthenticated(BasePermission):
    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.user, Principal)


class IsStaff(BasePermission):
    """People signed in to the back office."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.user, Principal) and request.user.user is not None


class ReadsAllHeadOfficeWrites(IsAuthenticated):
    """Master data: every principal reads, head office changes."""

    message = "Only head office may change this."

    def has_permission(self, request: Request, view: Any) -> bool:
        if not super().has_permission(request, view):
            return False
        if request.method not in view.allowed_methods:
            return True  # the view answers 405: nobody may do what nobody can
        return request.method in SAFE_METHODS or principal_of(request).is_chain_wide
