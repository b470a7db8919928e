"""The keys of personal fields, and what is done with them: seal, read, find again.

A key is 32 random bytes with a name; from each two others are derived, one that seals and one that
makes blind indexes. They come from FIELD_KEYS or FIELD_KEYS_FILE and never lie in a database: who
gets hold of a copy of that has names and telephone numbers of nobody. The first key writes, all of
them read. A desk, or a shop on one file, makes itself a file with one key.
"""

import base64
import binascii
import contextlib
import os
import re
import secrets
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from inventory_project.errors import DomainError

KEY_BYTES = 32
NONCE_BYTES = 12
INDEX_BYTES = 16
KEY_ID_PATTERN = r"[A-Za-z0-9_-]{1,32}"
LOCAL_KEYS_NAME = "field_keys"
# Its owner may all, his group may read, others nothing.
FORBIDDEN_MODE = 0o037
_LAYOUT = 1
_HOW_TO_MAKE_ONE = "Make one: echo k1:$(openssl rand -base64 32)"


class Unreadable(DomainError):
    """A sealed value cannot be read: its key is not here, or it is not what was written there."""

    # Nothing is wrong with the request; whoever set the keys up can make it work.
    status = 503
    code = "unreadable"
    title = "Cannot be read here"
    retry_after_s = 60


class KeyRing:
    """Keys by their ids, as pairs of derived ones; the first writes."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = dict(keys)
        self._sealing = {name: AESGCM(_derive(key, b"seal")) for name, key in keys.items()}
        self._indexing = {name: _derive(key, b"blind index") for name, key in keys.items()}
        self.writing_id = next(iter(keys))

    @property
    def key_ids(self) -> list[str]:
        return list(self._keys)

    def with_others(self, other: "KeyRing") -> "KeyRing":
        """These keys, and behind them those of another ring whose ids are not among them."""
        more = {name: key for name, key in other._keys.items() if name not in self._keys}
        return KeyRing(self._keys | more)

    def seal(self, text: str, place: bytes) -> bytes:
        """Encrypt `text` so that it can be read at this place only."""
        name = self.writing_id.encode()
        header = bytes([_LAYOUT, len(name)]) + name
        nonce = secrets.token_bytes(NONCE_BYTES)
        body = self._sealing[self.writing_id].encrypt(nonce, text.encode(), header + place)
        return header + nonce + body

    def unseal(self, sealed: bytes, place: bytes) -> str:
        """Read what was sealed for this place. Raises Unreadable; never answers anything else."""
        key_id = read_key_id(sealed)
        if key_id not in self._sealing:
            raise Unreadable(
                f"It was sealed with the key {key_id}, which is not here: add it to FIELD_KEYS."
            )
        start = 2 + len(key_id)
        header, nonce, body = sealed[:start], sealed[start:][:NONCE_BYTES], sealed[start:]
        try:
            text = self._sealing[key_id].decrypt(nonce, body[NONCE_BYTES:], header + place)
        except (InvalidTag, ValueError) as error:
            raise Unreadable(
                f"The key {key_id} here is not the one that sealed it, or it was not written there."
            ) from error
        return text.decode()

    def index(self, value: str, place: bytes) -> bytes:
        """What stands beside a sealed value so that it is found again; says nothing by itself."""
        return _make_index(self._indexing[self.writing_id], value, place)

    def indexes(self, value: str, place: bytes) -> list[bytes]:
        """What may stand there, by whichever key it was written."""
        return [_make_index(key, value, place) for key in self._indexing.values()]


def _derive(key: bytes, purpose: bytes) -> bytes:
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=b"kiryana " + purpose).derive(key)


def _make_index(key: bytes, value: str, place: bytes) -> bytes:
    digest = hmac.HMAC(key, hashes.SHA256())
    digest.update(place + b"\x1f" + value.encode())
    return digest.finalize()[:INDEX_BYTES]


def read_key_id(sealed: bytes) -> str:
    """Which key sealed this. Raises Unreadable for what was never sealed."""
    if len(sealed) > 2 and sealed[0] == _LAYOUT:
        name = sealed[2 : 2 + sealed[1]].decode("ascii", errors="replace")
        if re.fullmatch(KEY_ID_PATTERN, name) and len(name) == sealed[1]:
            return name
    raise Unreadable("It is no sealed value.")


# --- where keys come from -------------------------------------------------------------------


def get_keyring() -> KeyRing:
    """The keys of this process. Raises ImproperlyConfigured with what to do."""
    return _load_keyring(settings.FIELD_KEYS, settings.FIELD_KEYS_FILE, settings.LOCAL_DIR)


def find_key_place() -> str:
    """Where this process has its keys from, for a person."""
    if settings.FIELD_KEYS:
        return "FIELD_KEYS"
    return str(settings.FIELD_KEYS_FILE or settings.LOCAL_DIR / LOCAL_KEYS_NAME)


@cache
def _load_keyring(text: str, file: str, local: Path) -> KeyRing:
    if text and file:
        raise ImproperlyConfigured("Set FIELD_KEYS or FIELD_KEYS_FILE, not both.")
    if text:
        return read_keys(text, "FIELD_KEYS")
    if not file:
        _make_local_key(local / LOCAL_KEYS_NAME)
    return read_key_file(Path(file) if file else local / LOCAL_KEYS_NAME)


def read_key_file(path: Path) -> KeyRing:
    """The keys in a file, one `id:base64` a line. Raises ImproperlyConfigured."""
    try:
        mode, text = path.stat().st_mode & 0o777, path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"The key file {path} cannot be read: {error}.") from error
    if mode & FORBIDDEN_MODE:
        raise ImproperlyConfigured(
            f"The key file {path} has mode {mode:o}, so others can read it: chmod 600 {path}"
        )
    return read_keys(text, str(path))


def read_keys(text: str, where: str) -> KeyRing:
    """Keys written `id:base64`, apart by commas or lines. Raises ImproperlyConfigured, which
    never repeats what stands there."""
    found: dict[str, bytes] = {}
    for number, entry in enumerate(filter(None, re.split(r"[,\s]+", text)), start=1):
        key_id, _, encoded = entry.partition(":")
        problem = _find_wrong(key_id, encoded, found)
        if problem:
            raise ImproperlyConfigured(f"{where}: entry {number} {problem}. {_HOW_TO_MAKE_ONE}")
        found[key_id] = _decode(encoded)
    if not found:
        raise ImproperlyConfigured(f"{where} names no key. {_HOW_TO_MAKE_ONE}")
    return KeyRing(found)


def _find_wrong(key_id: str, encoded: str, found: Mapping[str, bytes]) -> str:
    if not re.fullmatch(KEY_ID_PATTERN, key_id):
        return "has no id of letters, digits, - and _ before its colon"
    if key_id in found:
        return f"has the id {key_id} a second time"
    if len(_decode(encoded)) != KEY_BYTES:
        return f"({key_id}) is not {KEY_BYTES} bytes in base64"
    return ""


def _decode(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _make_local_key(path: Path) -> None:
    """Make the file with one key, if there is none. It is on disk before it seals anything."""
    if path.exists():
        return
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 600
    key = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
    with os.fdopen(descriptor, "w") as file:
        file.write(f"local-{secrets.token_hex(4)}:{key}\n")
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):  # another process was first: its key is the one
        os.link(name, path)
    Path(name).unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
