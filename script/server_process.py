"""One private server process: its folder, lock, log, port and passwords; start, kill and stop."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TextIO

from script.server_binaries import PrivateServerError

LOOPBACK = "127.0.0.1"
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 30.0
POLL_SECONDS = 0.05
LOG_LINES_SHOWN = 15
PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
# What a killed predecessor leaves for a moment; its last processes are still going.
LEFTOVER_SIGNS = ("pre-existing shared memory block", "postmaster.pid")


def free_port() -> int:
    """Return a TCP port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    """Say whether a server could listen on this port of the loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def write_private(path: Path, text: str) -> None:
    """Replace a file by `text` at once, readable by its owner only."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w") as file:  # mkstemp makes it mode 600
        file.write(text)
    Path(name).replace(path)


def last_lines(log: Path, count: int = LOG_LINES_SHOWN) -> str:
    """Return the last lines of a log file ('' when there is none)."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:])


def end_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """Return what a child runs before its program so that it gets this signal when we are killed.

    None where that is not possible: the kernel watches the thread that started the child, and
    only the main thread lives as long as we do.
    """
    if _LIBC is None or threading.current_thread() is not threading.main_thread():
        return None
    prctl = _LIBC.prctl
    return lambda: prctl(PR_SET_PDEATHSIG, int(number))


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until the condition holds, at most so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


class PrivateServer:
    """One server process with its folder, log, port and passwords."""

    name = "server"
    stop_signal: signal.Signals = signal.SIGTERM

    def __init__(self, directory: Path | None = None) -> None:
        """Prepare; `directory` keeps data and facts between starts, None throws them away."""
        self._temporary = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix=f"kiryana-{self.name}-"))
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log = self.directory / f"{self.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.facts: dict[str, Any] = {}
        self._lock: TextIO | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The TCP port on the loopback; the same after a restart."""
        return int(self.facts["port"])

    def start(self) -> None:
        """Start the server and wait until it answers; raises PrivateServerError."""
        self._take_lock()
        if self.process is None:  # a restart comes back at the same address
            self._read_facts()
        self._prepare()
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._started(deadline):
            time.sleep(10 * POLL_SECONDS)
        self._after_start()

    def stop(self) -> None:
        """Stop the server, wait for its end, and remove data that was only temporary."""
        self._end_process(self.stop_signal)
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        if self._temporary:
            self._remove_data()
            shutil.rmtree(self.directory, ignore_errors=True)

    def kill(self) -> None:
        """Kill the server with -9, as a power cut would; `start()` brings it back with its data."""
        self._end_process(signal.SIGKILL)

    def _prepare(self) -> None:
        raise NotImplementedError

    def _end_orphan(self) -> None:
        """Stop a server that a killed launcher left on our data: we hold the lock."""
        raise NotImplementedError

    def _command(self) -> list[str | Path]:
        raise NotImplementedError

    def _answers(self) -> bool:
        raise NotImplementedError

    def _after_start(self) -> None:
        """Whatever is to be set up in the running server."""

    def _remove_data(self) -> None:
        """Whatever lies outside of the directory."""

    def _popen_options(self) -> dict[str, Any]:
        return {}

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        lock = (self.directory / f"{self.name}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise PrivateServerError(
                f"The private {self.name} server of {self.directory} is in use by another process."
            ) from None
        self._lock = lock

    def _read_facts(self) -> None:
        memory = self.directory / f"{self.name}.json"
        if memory.exists():
            self.facts = json.loads(memory.read_text())
            self._end_orphan()
        if "port" not in self.facts or not port_is_free(self.port):
            self.facts["port"] = free_port()

    def _save_facts(self) -> None:
        write_private(self.directory / f"{self.name}.json", json.dumps(self.facts, indent=1))

    def _password(self, name: str) -> str:
        return str(self.facts.setdefault(name, secrets.token_urlsafe(24)))

    def _started(self, deadline: float) -> bool:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is ours to pass on, in our order
                preexec_fn=end_with_parent(self.stop_signal),
                **self._popen_options(),
            )
        while self.process.poll() is None and time.monotonic() < deadline:
            if self._answers():
                return True
            time.sleep(POLL_SECONDS)
        return self._retry_or_raise(deadline)

    def _retry_or_raise(self, deadline: float) -> bool:
        shown = last_lines(self.log)
        ended = self.process is not None and self.process.poll() is not None
        if ended and time.monotonic() < deadline and any(sign in shown for sign in LEFTOVER_SIGNS):
            return False
        self._end_process(signal.SIGKILL)
        raise PrivateServerError(
            f"The private {self.name} server did not start; its last lines:\n{shown}"
        )

    def _end_process(self, first_signal: signal.Signals) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(first_signal)
        try:
            self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
