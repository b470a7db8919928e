"""A laboratory: the product's real processes and servers, started again when they end.

PostgreSQL and Redis are reached through proxies that can misbehave. Where the machine lets us mount
a small file system, PostgreSQL's data lies on it, so that it can be filled up.
"""

import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import redis

from script import serve
from script.private_servers import PrivatePostgresql, PrivateValkey
from script.server_process import LOOPBACK, free_port
from tests.faults.proxy import Proxy

CHECKOUT = Path(__file__).resolve().parent.parent.parent
CLOCK_FOLDER = Path(__file__).resolve().parent / "clock"
CAST = "tests.faults.setup_inside"
SUPERVISE_S = 0.05
READY_S_MAX = 60
DISK_MB = 640
PR_SET_PDEATHSIG = 1
LIMITS = {
    f"LIMIT_{name}": "100000000"
    for name in ("DEVICE", "HEAD_OFFICE", "STAFF", "EARLIER", "ANONYMOUS", "LOG_IN")
}
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class SmallPostgresql(PrivatePostgresql):
    """Its data in a folder of ours, and so little WAL that a small disk holds it."""

    def __init__(self, directory: Path, folder: Path | None) -> None:
        super().__init__(directory, shared_buffers="128MB")
        self._given = folder

    def _choose_folder(self) -> None:
        if self._given is not None and "folder" not in self.facts:
            folder = self._given / "postgresql"
            folder.mkdir(mode=0o700)
            if self._account:
                os.chown(folder, self._account.pw_uid, self._account.pw_gid)
            self.facts["folder"] = str(folder)
            return
        super()._choose_folder()

    def _command(self) -> list[str | Path]:
        # restart_after_crash off: a crash that mends itself would not be seen.
        small = ["--max_wal_size=96MB", "--min_wal_size=32MB", "--restart_after_crash=off"]
        return [*super()._command(), *small]


@dataclass
class Role:
    """One process of the product and what is known of it."""

    name: str
    command: list[str]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    wanted: bool = True
    starts: int = 0
    ends: list[tuple[float, int]] = field(default_factory=list)  # when, with which code

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid


class Lab:
    """Servers, proxies and processes; `kind` is `postgresql` or `sqlite`."""

    def __init__(
        self, kind: str, folder: Path, checkout: Path = CHECKOUT, cast: str = CAST
    ) -> None:
        self.kind, self.folder, self.checkout, self.cast = kind, folder, checkout, cast
        self.place = serve.Place(folder / "local", kind, free_port())
        self.roles: dict[str, Role] = {}
        self.facts: dict[str, Any] = {}
        self.disk: Path | None = None
        self.postgresql: SmallPostgresql | None = None
        self.valkey: PrivateValkey | None = None
        self.to_postgresql: Proxy | None = None
        self.to_redis: Proxy | None = None
        self.database_url = ""  # around the proxy, for those who look
        self._closing = threading.Event()
        self._lock = threading.RLock()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)

    # --- setting up ---

    def open(self) -> None:
        """Start servers, migrate, make the chain, start the processes, wait until ready."""
        self.place.local.mkdir(parents=True)
        (self.folder / "log").mkdir()
        self.place.environment = {"LOCAL_DIR": str(self.place.local), "SECRET_KEY": "x" * 64}
        self.place.environment |= LIMITS | {"LOG_LEVEL": "INFO"}
        owner: dict[str, str] = {}
        if self.kind == "postgresql":
            owner = self._open_servers()
        else:
            path = self.place.local / "kiryana.sqlite3"
            self.database_url = f"sqlite:///{path}"
            self.place.environment["DATABASE_URL"] = self.database_url
        self.manage("migrate", "--verbosity", "0", **owner)
        code = f"from {self.cast} import main; main()"
        told = self.manage("shell", "--verbosity", "0", "-c", code)
        self.facts = json.loads(told.splitlines()[-1])
        for name, command in serve.commands_of(self.place).items():
            self.roles[name] = Role(name, command, self.folder / "log" / f"{name}.log")
        self._supervisor.start()
        self.wait_until_ready()

    def _open_servers(self) -> dict[str, str]:
        self.disk = _mount_small_disk(self.folder / "disk")
        self.postgresql = SmallPostgresql(self.folder / "postgresql", self.disk)
        self.postgresql.start()
        self.valkey = PrivateValkey(self.folder / "valkey")
        self.valkey.start()
        self.to_postgresql = Proxy(self.postgresql.port)
        self.to_redis = Proxy(self.valkey.port)
        self.database_url = self.postgresql.app_url
        self.place.environment |= {
            "DATABASE_URL": _at_port(self.postgresql.app_url, self.to_postgresql.port),
            "REDIS_URL": _at_port(self.valkey.url, self.to_redis.port),
            # Short of the defaults, so that a round shows in seconds what takes minutes.
            "BROKER_VISIBILITY_TIMEOUT_S": "12",
            "DATABASE_IDLE_TIMEOUT_MS": "5000",
        }
        role = urlsplit(self.postgresql.app_url).username or ""
        return {"DATABASE_URL": self.postgresql.owner_url, "APP_DATABASE_ROLE": role}

    def manage(self, *arguments: str, **extra: str) -> str:
        answer = subprocess.run(
            [sys.executable, "manage.py", *arguments], cwd=self.checkout,
            env=self._environment() | extra, capture_output=True, text=True,
        )  # fmt: skip
        if answer.returncode != 0:
            raise RuntimeError(f"manage.py {arguments[0]}: {answer.stderr[-2000:]}")
        return answer.stdout

    def _environment(self) -> dict[str, str]:
        environment = serve.child_environment(self.place)
        return {name: value for name, value in environment.items() if name != "FAILPOINT"}

    def close(self) -> None:
        """End everything that was started."""
        self._closing.set()
        with self._lock:
            for role in self.roles.values():
                role.wanted = False
                _kill_group(role.process)
        for proxy in (self.to_postgresql, self.to_redis):
            if proxy is not None:
                proxy.close()
        for server in (self.postgresql, self.valkey):
            if server is not None:
                server.stop()
        if self.disk is not None:
            subprocess.run(["umount", "--lazy", str(self.disk)], check=False)

    # --- processes ---

    def _supervise(self) -> None:
        while not self._closing.wait(SUPERVISE_S):
            with self._lock:
                for role in self.roles.values():
                    if role.wanted and not self._closing.is_set():
                        self._keep_running(role)

    def _keep_running(self, role: Role) -> None:
        if role.process is not None:
            if role.process.poll() is None:
                return
            role.ends.append((time.time(), role.process.returncode))
            _kill_group(role.process)
        role.starts += 1
        with role.log.open("ab") as log:
            role.process = subprocess.Popen(
                role.command, cwd=self.checkout, env=self._environment() | role.environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True, preexec_fn=_end_with_us,
            )  # fmt: skip

    def restart(self, name: str, command: list[str] | None = None, **environment: str) -> None:
        """Kill a process; it starts at once with this environment (and command), and stays so."""
        with self._lock:
            role = self.roles[name]
            role.environment = environment
            role.command = command or serve.commands_of(self.place)[name]
            _kill_group(role.process)
            self._keep_running(role)

    def children(self, name: str) -> list[int]:
        """The processes that this one has forked; resource trackers are none of ours."""
        pid = self.roles[name].pid
        try:
            listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:  # it has ended itself
            return []
        return [int(pid) for pid in listed if b"resource_tracker" not in _command_line(pid)]

    def signal_all(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.roles[name].pid, number)

    def wait_until_ready(self, seconds: float = READY_S_MAX) -> bool:
        """Wait until the web process says that it is ready."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if serve_opener().open(f"{self.place.url}/health/ready", timeout=5).status == 200:
                    return True
            time.sleep(0.05)
        return False

    def log_of(self, name: str) -> str:
        """What this process has written so far."""
        path = self.roles[name].log
        return path.read_text(errors="replace") if path.exists() else ""

    def postgresql_log(self) -> str:
        """What PostgreSQL has written since its last start."""
        assert self.postgresql is not None
        return self.postgresql.log.read_text(errors="replace")

    def redis(self) -> "redis.Redis[Any]":
        """A client that goes around the proxy."""
        assert self.valkey is not None
        return redis.Redis.from_url(self.valkey.url, socket_timeout=5)


def serve_opener() -> Any:
    """Opens addresses of the loopback, never by way of a proxy of the machine."""
    return serve.urllib.request.build_opener(serve.urllib.request.ProxyHandler({}))


@contextlib.contextmanager
def laboratory(kind: str, checkout: Path = CHECKOUT, cast: str = CAST) -> Iterator[Lab]:
    """A laboratory for the length of the block; nothing of it is left.

    `cast` is the module that fills it, inside Django, and prints what it made as JSON.
    """
    folder = Path(tempfile.mkdtemp(prefix="kiryana-lab-"))
    folder.chmod(0o711)  # PostgreSQL's account has to pass through
    lab = Lab(kind, folder, checkout, cast)
    try:
        lab.open()
        yield lab
    finally:
        lab.close()
        if keep := os.environ.get("FAULTS_KEEP"):
            shutil.copytree(folder, keep, dirs_exist_ok=True, ignore=shutil.ignore_patterns("disk"))
        shutil.rmtree(folder, ignore_errors=True)


def _mount_small_disk(folder: Path) -> Path | None:
    """A file system of DISK_MB in memory; None where we may not mount."""
    folder.mkdir(mode=0o711)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=0711", "tmpfs", str(folder)],
        capture_output=True, check=False,
    )  # fmt: skip
    return folder if done.returncode == 0 else None


def _at_port(url: str, port: int) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=re.sub(r":\d+$", f":{port}", parts.netloc)))


def _command_line(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # gone meanwhile
        return b"resource_tracker"


def _kill_group(process: subprocess.Popen[bytes] | None) -> None:
    if process is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _end_with_us() -> None:
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))


__all__ = ["CLOCK_FOLDER", "LOOPBACK", "Lab", "laboratory"]
