"""Connections that leave this machine are encrypted in production, or somebody says by name that
they need not be. Read by settings.py, so it knows nothing of Django."""

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

ENCRYPTED_MODES = ("require", "verify-ca", "verify-full")
# What libpq does if nobody says anything: TLS if the server offers it, in the clear if not.
_LIBPQ_DEFAULT = "prefer"


def find_plain_database(database: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    """Why this database may be spoken to in the clear, with what to do; empty where it is not."""
    if database["ENGINE"] != "django.db.backends.postgresql":
        return ""
    options = database.get("OPTIONS", {})
    hosts = [
        *(database.get("HOST") or environment.get("PGHOST", "")).split(","),
        *(options.get("hostaddr") or environment.get("PGHOSTADDR", "")).split(","),
    ]
    away = [host for host in hosts if not _is_this_machine(host)]
    mode = options.get("sslmode") or environment.get("PGSSLMODE") or _LIBPQ_DEFAULT
    if not away or mode in ENCRYPTED_MODES:
        return ""
    return (
        f"PRODUCTION does not speak to PostgreSQL on {away[0]} with sslmode={mode}, which may be "
        "in the clear: add ?sslmode=verify-full&sslrootcert=… to DATABASE_URL (require at least), "
        "or set ALLOW_PLAIN_DATABASE=true if nobody else can listen on that network."
    )


def find_plain_redis(url: str) -> str:
    """Why this Redis is spoken to in the clear, with what to do; empty where it is not."""
    address = urlsplit(url)
    if address.scheme != "redis" or _is_this_machine(address.hostname or ""):
        return ""
    return (
        f"PRODUCTION does not speak to Redis on {address.hostname} in the clear: write rediss:// "
        "in REDIS_URL, or set ALLOW_PLAIN_REDIS=true if nobody else can listen on that network."
    )


def _is_this_machine(host: str) -> bool:
    """Nothing, a socket's folder, an abstract socket, localhost or a loopback address."""
    if host in ("", "localhost") or host.startswith(("/", "@")):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
