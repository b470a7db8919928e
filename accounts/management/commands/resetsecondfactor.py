"""Let somebody in again who lost their phone and their recovery codes."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import people
from accounts.models import User


class Command(BaseCommand):
    help = (
        "Remove a person's second factor (app, recovery codes, security keys), untie their "
        "single sign-on and end their sessions. Make sure first that it is them who asks. At "
        "their next log-in they set up a new one if they need one."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is nobody called {options['username']}.")
        removed = people.forget_second_factor(user)
        if not removed:
            self.stdout.write(f"{user} had no second factor. Their sessions are ended.")
            return
        self.stdout.write(f"{user}: removed {', '.join(removed)}. Their sessions are ended.")
