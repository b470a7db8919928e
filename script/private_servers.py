"""Private PostgreSQL and Valkey/Redis servers: loopback only, random passwords, nothing to install.

    with private_postgresql() as pg, private_valkey() as redis_url:
        pg.owner_url, pg.app_url, pg.superuser_url

Without a directory the data is thrown away at the end. With one, the same data, port and passwords
serve the next start. Fault tests use `kill()` and `start()`: the address stays the same.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import redis
from psycopg import sql
from redis.backoff import NoBackoff
from redis.retry import Retry

from script.server_binaries import (
    PrivateServerError,
    copy_wheel_for,
    find_postgresql,
    find_valkey,
    postgresql_major,
)
from script.server_process import (
    LOOPBACK,
    STOP_SECONDS_MAX,
    PrivateServer,
    wait_until,
    write_private,
)

DATABASE = "kiryana"
SUPERUSER = "postgres"
OWNER_ROLE = "kiryana_owner"
APP_ROLE = "kiryana_app"
SERVER_VARIABLES = ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL")


class PrivatePostgresql(PrivateServer):
    """A PostgreSQL server with the database `kiryana`, its owner and an ordinary role."""

    name = "postgresql"
    stop_signal = signal.SIGINT  # "fast": closes connections, then a clean shutdown

    def __init__(
        self,
        directory: Path | None = None,
        *,
        shared_buffers: str = "256MB",
        wheel_only: bool = False,
    ) -> None:
        """Prepare; `wheel_only` passes over the installed servers, to test the wheel's."""
        super().__init__(directory)
        self._shared_buffers = shared_buffers
        self._wheel_only = wheel_only
        self._account = _unprivileged_account() if os.geteuid() == 0 else None
        self._programs = Path()

    @property
    def superuser_url(self) -> str:
        """For set-up and faults only; the product never gets it."""
        return self._url(SUPERUSER, "superuser_password")

    @property
    def owner_url(self) -> str:
        """For migrations; the owner may create databases, so that tests can make theirs."""
        return self._url(OWNER_ROLE, "owner_password")

    @property
    def app_url(self) -> str:
        """For the product: an ordinary role that owns nothing."""
        return self._url(APP_ROLE, "app_password")

    @property
    def data(self) -> Path:
        """The folder that holds the server's data."""
        return Path(self.facts["folder"]) / "data"

    def _url(self, role: str, password: str) -> str:
        return f"postgresql://{role}:{self.facts[password]}@{LOOPBACK}:{self.port}/{DATABASE}"

    def _prepare(self) -> None:
        self._choose_folder()
        for name in ("superuser_password", "owner_password", "app_password"):
            self._password(name)
        made_by = self.data / "PG_VERSION"
        major = int(made_by.read_text()) if made_by.exists() else None
        self._programs = self._reachable(find_postgresql(major, wheel_only=self._wheel_only))
        if major is None:
            self._make_data()
        self._save_facts()

    def _choose_folder(self) -> None:
        """Keep the recorded folder, or make one.

        Root's server belongs to another account, which may not be able to enter our folders.
        """
        if "folder" in self.facts and Path(self.facts["folder"]).is_dir():
            return
        folder = self.directory / self.name
        if self._account:
            folder = Path(tempfile.mkdtemp(prefix="kiryana-postgresql-", dir=_open_temp_folder()))
            os.chown(folder, self._account.pw_uid, self._account.pw_gid)
        folder.mkdir(mode=0o700, exist_ok=True)
        self.facts["folder"] = str(folder)

    def _reachable(self, programs: Path) -> Path:
        """Return `programs`, or a copy of the wheel's where the account may not enter."""
        if self._account is None or _others_may_enter(programs):
            return programs
        wheel = find_postgresql(postgresql_major(programs), wheel_only=True)
        return copy_wheel_for(wheel, Path(self.facts["folder"]) / "programs")

    def _make_data(self) -> None:
        """Run initdb; a folder that an interrupted initdb left half made is made anew."""
        shutil.rmtree(self.data, ignore_errors=True)
        password_file = self.data.parent / "password"
        write_private(password_file, self.facts["superuser_password"])
        if self._account:
            os.chown(password_file, self._account.pw_uid, self._account.pw_gid)
        locale = "C.UTF-8" if sys.platform == "linux" else "en_US.UTF-8"
        made = subprocess.run(
            [self._programs / "initdb", "-D", self.data, "-U", SUPERUSER, "--auth=scram-sha-256",
             f"--pwfile={password_file}", "--encoding=UTF8", f"--locale={locale}"],
            capture_output=True, text=True, **self._popen_options(),
        )  # fmt: skip
        password_file.unlink()
        if made.returncode != 0:
            shutil.rmtree(self.data, ignore_errors=True)
            raise PrivateServerError(f"initdb failed:\n{made.stderr.strip()}")

    def _end_orphan(self) -> None:
        pid_file = self.data / "postmaster.pid"
        if not pid_file.exists():
            return
        pid = int(pid_file.read_text().split(maxsplit=1)[0])
        if not _runs_on(pid, self.data):  # a stale file; the server itself removes it
            return
        os.kill(pid, self.stop_signal)
        wait_until(lambda: not _runs_on(pid, self.data), STOP_SECONDS_MAX)

    def _command(self) -> list[str | Path]:
        settings = {
            "listen_addresses": LOOPBACK,
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 200,
            "shared_buffers": self._shared_buffers,
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "wal_compression": "on",
            "max_wal_size": "4GB",
            "checkpoint_timeout": "15min",
            "autovacuum": "on",
            "logging_collector": "off",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [self._programs / "postgres", "-D", self.data, *options]

    def _popen_options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"cwd": self.facts["folder"]}
        if self._account:
            options |= {
                "user": self._account.pw_uid,
                "group": self._account.pw_gid,
                "extra_groups": [],
            }
            options["env"] = os.environ | {"HOME": self.facts["folder"]}
        return options

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._admin_url(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _admin_url(self, database: str = SUPERUSER) -> str:
        return self.superuser_url.removesuffix(DATABASE) + database

    def _after_start(self) -> None:
        with psycopg.connect(self._admin_url(), autocommit=True) as connection:
            self._ensure_role(connection, OWNER_ROLE, "owner_password", "CREATEDB")
            self._ensure_role(connection, APP_ROLE, "app_password", "NOCREATEDB")
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
            if known.fetchone() is None:
                create = sql.SQL("CREATE DATABASE {} OWNER {}")
                connection.execute(
                    create.format(sql.Identifier(DATABASE), sql.Identifier(OWNER_ROLE))
                )

    def _ensure_role(
        self, connection: psycopg.Connection[Any], role: str, password: str, createdb: str
    ) -> None:
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
        statement = sql.SQL("{} ROLE {} LOGIN NOSUPERUSER NOCREATEROLE {} PASSWORD {}").format(
            sql.SQL("ALTER" if known else "CREATE"),
            sql.Identifier(role),
            sql.SQL(createdb),
            sql.Literal(self.facts[password]),
        )
        connection.execute(statement)

    def _remove_data(self) -> None:
        if "folder" in self.facts:
            shutil.rmtree(self.facts["folder"], ignore_errors=True)


class PrivateValkey(PrivateServer):
    """A Valkey or Redis server as a broker wants it: nothing evicted, on disk every second."""

    name = "valkey"

    def __init__(self, directory: Path | None = None, *, wheel_only: bool = False) -> None:
        """Prepare; `wheel_only` passes over the installed servers, to test the wheel's."""
        super().__init__(directory)
        self._wheel_only = wheel_only
        self._program = Path()

    @property
    def url(self) -> str:
        """The address with the password; database 0."""
        return f"redis://:{self.facts['password']}@{LOOPBACK}:{self.port}/0"

    def _prepare(self) -> None:
        self._program = find_valkey(wheel_only=self._wheel_only)
        self._password("password")
        data = self.directory / self.name
        data.mkdir(mode=0o700, exist_ok=True)
        settings = {
            "bind": LOOPBACK,
            "port": self.port,
            "requirepass": self.facts["password"],
            "dir": f'"{data}"',
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        # In a file: everybody on the machine can read a command line.
        lines = [f"{name} {value}\n" for name, value in settings.items()]
        write_private(self.directory / "valkey.conf", "".join(lines))
        self._save_facts()

    def _end_orphan(self) -> None:
        if not self._answers():  # only a server of ours takes this password
            return
        client = redis.Redis.from_url(self.url)
        client.shutdown()
        wait_until(lambda: not self._answers(), STOP_SECONDS_MAX)

    def _command(self) -> list[str | Path]:
        return [self._program, self.directory / "valkey.conf"]

    def _answers(self) -> bool:
        once = Retry(NoBackoff(), 0)  # we ask again ourselves, and sooner
        client = redis.Redis.from_url(
            self.url, socket_connect_timeout=2, socket_timeout=2, retry=once
        )
        try:
            return bool(client.ping())
        except redis.RedisError:  # not listening yet, or still loading
            return False
        finally:
            client.close()


@contextmanager
def private_postgresql(
    directory: Path | None = None, **options: Any
) -> Iterator[PrivatePostgresql]:
    """Run a PostgreSQL server for the length of the block; see PrivatePostgresql."""
    with PrivatePostgresql(directory, **options) as server:
        yield server


@contextmanager
def private_valkey(directory: Path | None = None, **options: Any) -> Iterator[str]:
    """Run a Valkey or Redis server for the length of the block; yields its address."""
    with PrivateValkey(directory, **options) as server:
        yield server.url


@contextmanager
def real_servers(directory: Path | None, **options: Any) -> Iterator[dict[str, str]]:
    """Run or find PostgreSQL and Valkey/Redis for the length of the block.

    Yields the environment that points the product at them: DATABASE_URL and REDIS_URL are
    taken from our own environment where given (with DATABASE_OWNER_URL, for migrations), else
    private servers are started.
    """
    with ExitStack() as stack:
        addresses = {name: os.environ[name] for name in SERVER_VARIABLES if os.environ.get(name)}
        if "DATABASE_URL" not in addresses:
            server = stack.enter_context(PrivatePostgresql(directory, **options))
            addresses |= {"DATABASE_URL": server.app_url, "DATABASE_OWNER_URL": server.owner_url}
        addresses.setdefault("DATABASE_OWNER_URL", addresses["DATABASE_URL"])
        if "REDIS_URL" not in addresses:
            addresses["REDIS_URL"] = stack.enter_context(private_valkey(directory))
        yield addresses


def _unprivileged_account() -> pwd.struct_passwd:
    """Return the account that root's server runs as: PostgreSQL refuses to be root."""
    known = {account.pw_name: account for account in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in known:
            return known[name]
    raise PrivateServerError(
        "PostgreSQL refuses to run as root, and there is no account 'postgres' or 'nobody'."
    )


def _others_may_enter(folder: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents))


def _open_temp_folder() -> Path:
    candidates = [tempfile.gettempdir(), "/tmp", "/var/tmp"]  # noqa: S108 - random inside # nosec B108
    for folder in map(Path, candidates):
        if folder.is_dir() and _others_may_enter(folder):
            return folder
    raise PrivateServerError(
        "There is no temporary folder that every account may enter, such as /tmp."
    )


def _runs_on(pid: int, data: Path) -> bool:
    """Say whether process `pid` is a server on this data, not a stranger with the same number."""
    if Path("/proc/self").exists():  # a small Linux has no `ps`
        command = Path(f"/proc/{pid}/cmdline")
        return command.exists() and str(data) in command.read_bytes().decode(errors="replace")
    answer = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True)
    return str(data) in answer.stdout
