"""Puts the clock of a Python process wrong: with this folder on PYTHONPATH and CLOCK_DAYS set.

Python imports a module of this name when it starts. Only what Python asks the clock for is moved.
"""

import datetime as dt
import os

import time_machine

if days := os.environ.get("CLOCK_DAYS"):
    wrong = dt.datetime.now(dt.UTC) + dt.timedelta(days=float(days))
    time_machine.travel(wrong, tick=True).start()
