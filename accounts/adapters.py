"""What allauth asks its surroundings, answered for this house."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.http import HttpRequest

from accounts.proofs import (
    FACTORS,
    is_proof_recent,
    is_second_factor_asked_of,
)
from inventory_project.limits import read_address

UNKNOWN_ADDRESS = "::"


class AccountAdapter(DefaultAccountAdapter):
    """People are made by head office; they log in by a name and what proves it."""

    def get_login_stages(self) -> list[str]:
        return [
            "allauth.mfa.stages.AuthenticateStage",
            "accounts.stages.SetUpStage",
            "accounts.stages.StillCountsStage",
        ]

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        return not is_proof_recent(context.request)

    def get_client_ip(self, request: HttpRequest) -> str:
        # Of IPv6 the network, as for the limits.
        address = read_address(request.META).partition("/")[0]
        return UNKNOWN_ADDRESS if address == "unknown" else address

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """None of allauth's messages: the pages say what happened."""


class SecondFactorAdapter(DefaultMFAAdapter):
    def get_totp_label(self, user: Any) -> str:
        return str(user.get_username())

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        """Not the last one of a person who needs one: the next password alone would set up
        another. They set up a new one in its place."""
        others = Authenticator.objects.filter(user=authenticator.user, type__in=FACTORS)
        is_last = not others.exclude(pk=authenticator.pk).exists()
        return not (is_last and is_second_factor_asked_of(authenticator.user))
