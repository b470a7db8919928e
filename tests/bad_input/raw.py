"""A client that writes bytes, for requests that no library would send."""

import socket
from contextlib import suppress
from urllib.parse import urlsplit

ANSWER_SECONDS_MAX = 10.0


def connect(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((address.hostname, address.port), ANSWER_SECONDS_MAX)


def talk(url: str, head: str, body: bytes = b"") -> tuple[int, str]:
    """Send a request as it is; returns (status, answer), or (0, "") where it was only closed.

    `head` is the request line and the headers, a line each; Host and Connection are added.
    """
    lines = [*head.strip().splitlines(), "Connection: close"]
    if not any(line.lower().startswith("host:") for line in lines):
        lines.append(f"Host: {urlsplit(url).netloc}")
    request = "\r\n".join(line.strip() for line in lines).encode("latin-1") + b"\r\n\r\n" + body
    with connect(url) as line:
        # Refused while we were still writing: the answer may be there all the same.
        with suppress(OSError):
            line.sendall(request)
        return read_answer(line)


def read_answer(line: socket.socket) -> tuple[int, str]:
    received = b""
    # A reset is a close, though not a gentle one; a silence is none and fails the test.
    with suppress(ConnectionResetError):
        while chunk := line.recv(65_536):
            received += chunk
    if not received:
        return 0, ""
    return int(received.split(b" ", 2)[1]), received.decode("latin-1")


def is_refused(answer: tuple[int, str]) -> None:
    """Any 4xx, or a close without a word."""
    status, text = answer
    assert status == 0 or 400 <= status < 500, text
