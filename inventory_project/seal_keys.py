"""The keys that seals are made with: from the environment or a file, never in the database.

Written `name:64 hex digits`, several with spaces, commas or lines between. The first one seals;
the others are kept, so that what they sealed can be checked. A desk makes its own.
"""

import os
import re
import secrets
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

DESK_KEY_FILE = "audit-seal.key"
KEY_BYTES = 32
_KEY = re.compile(r"([A-Za-z0-9._-]{1,16}):([0-9a-f]{64})")


def read_keys() -> dict[str, bytes]:
    """The keys by name, the one to seal with first. Raises ImproperlyConfigured."""
    text = settings.AUDIT_SEAL_KEY or _read_file()
    keys: dict[str, bytes] = {}
    for word in re.split(r"[\s,]+", text.strip()):
        found = _KEY.fullmatch(word)
        if found is None or found[1] in keys:
            raise ImproperlyConfigured(
                "AUDIT_SEAL_KEY is one or more name:64-hex-digits, each name once, the newest "
                "first. Make one with: python manage.py sealaudit --new-key NAME"
            )
        keys[found[1]] = bytes.fromhex(found[2])
    return keys


def make_key(name: str) -> str:
    """A new key as AUDIT_SEAL_KEY takes it. Raises ImproperlyConfigured."""
    key = f"{name}:{secrets.token_hex(KEY_BYTES)}"
    if not _KEY.fullmatch(key):
        raise ImproperlyConfigured("A key's name is 1 to 16 of A-Z, a-z, 0-9, dot, dash and _.")
    return key


def _read_file() -> str:
    if settings.AUDIT_SEAL_KEY_FILE:
        try:
            return Path(settings.AUDIT_SEAL_KEY_FILE).read_text(encoding="utf-8")
        except OSError as error:
            raise ImproperlyConfigured(f"AUDIT_SEAL_KEY_FILE cannot be read: {error}") from error
    if settings.PRODUCTION:
        raise ImproperlyConfigured(
            "PRODUCTION needs AUDIT_SEAL_KEY or AUDIT_SEAL_KEY_FILE where the sweep runs: without "
            "it nobody could tell an honest audit from a forged one."
        )
    return _read_desk_key(settings.LOCAL_DIR / DESK_KEY_FILE)


def _read_desk_key(path: Path) -> str:
    """Made once, whole or not at all: several may want it in the same moment."""
    if not path.exists():
        draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{make_key('desk')}\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return path.read_text(encoding="utf-8")
        finally:
            draft.unlink()
    return path.read_text(encoding="utf-8")
