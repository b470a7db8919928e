"""A TCP proxy that misbehaves on demand: between the product and PostgreSQL or Redis."""

import contextlib
import random
import socket
import struct
import threading
import time

from script.server_process import LOOPBACK

CHUNK_BYTES = 65_536
SLOW_BYTES_A_S = 10_000
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Proxy:
    """Forwards connections to `port`. `mode` says how:

    `through`; `hole`: nothing is forwarded and nothing closed; `late`: half a second later; `slow`:
    10 kB a second; `refuse`: new connections are reset; `cut_commit`: a connection is reset when
    what commits has gone to the server and before its reply comes.
    """

    def __init__(self, port: int) -> None:
        self.target = port
        self.mode = "through"
        self.cuts = 0
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._listener = socket.create_server((LOOPBACK, 0), backlog=256)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop and cut everything."""
        self._listener.close()
        self.cut()

    def cut(self, chance: random.Random | None = None) -> int:
        """Reset all connections, or about half of them; returns how many."""
        chosen = [pair for pair in list(self._pairs) if chance is None or chance.random() < 0.5]
        for pair in chosen:
            self._reset(pair)
        return len(chosen)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            if self.mode == "refuse":
                _reset(client)
                continue
            try:
                server = socket.create_connection((LOOPBACK, self.target), timeout=5)
            except OSError:
                _reset(client)
                continue
            for end in (client, server):
                end.settimeout(None)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = (client, server)
            self._pairs.add(pair)
            for source, sink, is_up in ((client, server, True), (server, client, False)):
                threading.Thread(
                    target=self._pump, args=(pair, source, sink, is_up), daemon=True
                ).start()

    def _pump(
        self,
        pair: tuple[socket.socket, socket.socket],
        source: socket.socket,
        sink: socket.socket,
        is_up: bool,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                self._hold(len(data))
                sink.sendall(data)
                if is_up and self.mode == "cut_commit" and _commits(data):
                    self._cut_after_commit(pair)
        self._reset(pair)

    def _hold(self, count: int) -> None:
        while self.mode == "hole":
            time.sleep(0.05)
        if self.mode == "late":
            time.sleep(0.5)
        if self.mode == "slow":
            time.sleep(min(5.0, count / SLOW_BYTES_A_S))

    def _cut_after_commit(self, pair: tuple[socket.socket, socket.socket]) -> None:
        """The client goes first, so that the reply cannot pass; the server finishes its COMMIT."""
        self.cuts += 1
        _reset(pair[0])
        time.sleep(0.2)
        raise OSError

    def _reset(self, pair: tuple[socket.socket, socket.socket]) -> None:
        self._pairs.discard(pair)
        for end in pair:
            _reset(end)


def _commits(data: bytes) -> bool:
    """COMMIT, or the one statement that accepts sales and is a transaction of its own."""
    return b"COMMIT" in data or b'"sale",' in data


def _reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        end.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        end.close()
