"""`manage.py sweep`: sees to it that no sale waits, whatever became of its doorbell."""

import logging
import signal
import time
from typing import Any, NoReturn

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error, connection

from accounts.settings_log import note_settings
from inventory_project.durability import refuse_at_start
from inventory_project.seal_keys import read_keys
from orders.sweeping import Sealing, Swept, Turn, sweep_once

logger = logging.getLogger(__name__)

ROUND_S = 1.0
SHOP_ROUND_S = 0.1  # nobody else applies there
FREE_S = 1.0  # thousands of parked sales are looked through each time


class Command(BaseCommand):
    help = (
        "Looks each second, in a shop more often, for sales that wait: rings again, retries, "
        "applies them if need be."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="one round, then end")

    def handle(self, *args: Any, **options: Any) -> None:
        turn = Turn()
        if options["once"]:
            self._sweep_one_round(turn)
            return
        refuse_at_start()
        try:
            sealing = Sealing(read_keys())
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _end)
        try:
            _sweep_for_ever(turn, sealing)
        finally:
            connection.close()

    def _sweep_one_round(self, turn: Turn) -> None:
        if not turn.take():
            self.stdout.write("Another sweeper is at work.")
            return
        try:
            swept = sweep_once()
        finally:
            turn.give_back()
        self.stdout.write(
            f"{swept.freed} freed, {swept.applied} applied, "
            f"the bell was {'rung' if swept.rang else 'left alone'}."
        )


def _end(*_: object) -> NoReturn:
    # At once, in the middle of a transaction even: it is rolled back and the inbox has the rows.
    raise SystemExit(0)


def _sweep_for_ever(turn: Turn, sealing: Sealing) -> NoReturn:
    state = ""
    last: Swept | None = None
    round_s = SHOP_ROUND_S if settings.SHOP else ROUND_S
    freed_at = -FREE_S
    while True:
        began = time.monotonic()
        try:
            mine = turn.take()
            if mine and state != "sweeping":
                note_settings()
            frees = began - freed_at >= FREE_S
            last = sweep_once(last, frees=frees) if mine else None
            freed_at = began if frees else freed_at
            if mine:
                # Behind the sales, which wait for nothing else.
                sealing.take_turn(began)
            state = _say(state, "sweeping" if mine else "waiting")
        except Error as error:
            # The next round makes a new connection, and with it takes its turn anew.
            connection.close()
            state, last = _say(state, "database away", error), None
        time.sleep(max(0.0, began + round_s - time.monotonic()))


def _say(before: str, now: str, error: Error | None = None) -> str:
    """Tell of a change of state, once."""
    if now == before:
        return now
    if error is not None:
        logger.warning("The database does not answer, the sweep waits for it: %s", error)
    elif now == "waiting":
        logger.info("Another sweeper is at work, this one waits.")
    else:
        logger.info("Sweeping.")
    return now
