"""What tells an event's content from any other, so that the same id with other content is seen."""

import hashlib

_EMPTY_DIGEST = hashlib.blake2b(digest_size=16)  # copied: twice as quick as made anew


def digest_event(*parts: str | int | None) -> bytes:
    """16 bytes that tell an event's content from any other: BLAKE2b of its normalised parts."""
    text = "\x1f".join(["" if part is None else f"{part}" for part in parts])
    digest = _EMPTY_DIGEST.copy()
    digest.update(text.encode())
    return digest.digest()
