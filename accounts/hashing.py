"""How passwords are hashed: Argon2, within the memory of a small web process."""

import threading

from django.contrib.auth.hashers import Argon2PasswordHasher

_AT_A_TIME_MAX = 2
_turns = threading.BoundedSemaphore(_AT_A_TIME_MAX)


class BoundedArgon2PasswordHasher(Argon2PasswordHasher):
    """Argon2id with 19 MiB, two passes, one lane: the least that OWASP recommends.

    Django's own takes 100 MiB each time: sixteen tries at once, one a thread, would take 1.6 GB.
    Hashes made with other numbers still open, and are made anew at the next log-in.
    """

    time_cost = 2
    memory_cost = 19_456  # KiB
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        with _turns:
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with _turns:
            return super().verify(password, encoded)
