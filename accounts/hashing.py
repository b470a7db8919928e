"""How passwords are hashed: Argon2, within the memory of a small web process."""

import threading

from django.contrib.auth.hashers import Argon2PasswordHasher

# 30 passwords a second: nobody waits long, and no crowd of them takes the memory.
_turn = threading.Lock()


class BoundedArgon2PasswordHasher(Argon2PasswordHasher):
    """Argon2id with 46 MiB, one pass, one lane (OWASP's smallest, in its larger form), one at a
    time in a process.

    Django's own takes 100 MiB each time: sixteen tries at once, one a thread, took 1.6 GB. Below
    32 MiB glibc would keep the memory, once for each thread. Hashes made with other numbers still
    open, and are made anew at the next log-in.
    """

    time_cost = 1
    memory_cost = 47_104  # KiB
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        with _turn:
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with _turn:
            return super().verify(password, encoded)
