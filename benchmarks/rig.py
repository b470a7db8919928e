"""What every part stands on: servers, databases and processes. All of them end with the run."""

import functools
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg import sql

from benchmarks import chain
from benchmarks.findings import CannotMeasureError
from script import serve
from script.private_servers import APP_ROLE, DATABASE, OWNER_ROLE, PrivatePostgresql, PrivateValkey
from script.server_binaries import CHECKOUT
from script.server_process import end_with_parent, free_port, last_lines

TEMPLATE = "migrated"
SHARED_BUFFERS_MB_MAX = 4096
BUFFERS_SHARE = 6  # a sixth of the memory
STOP_SECONDS_MAX = 25.0


@dataclass(frozen=True)
class Scale:
    """How much is measured. Seconds are those of one measurement under load."""

    name: str
    stores: int
    products: int
    movements: int  # in the ledger before a part begins
    events: int  # in the inbox, for each drain
    rounds: int
    seconds: float
    growth: tuple[int, ...]  # movements in the ledgers that are compared
    peer_jobs: int
    about: str

    @property
    def each_round(self) -> range:
        """Round 0 warms everything up and is forgotten; a try-out does without."""
        return range(0 if self is not TINY else 1, self.rounds + 1)


FULL = Scale("full", 3_000, 1_000, 1_000_000, 60_000, 5, 6.0,
             (1_000_000, 10_000_000, 30_000_000), 20_000,
             "about an hour on two cores and 30 GB of disk for temporary files")  # fmt: skip
QUICK = Scale("quick", 1_000, 300, 100_000, 30_000, 3, 3.0, (100_000, 1_000_000), 10_000,
              "at most ten minutes on two cores and 3 GB of disk")  # fmt: skip
TINY = Scale("tiny", 12, 8, 240, 240, 1, 0.2, (240, 480), 40, "some seconds")


def tell(text: str) -> None:
    """Progress, for who waits; standard output is for the findings."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Database:
    """A database filled with the chain. `seller` is what the secrets of its keys begin with."""

    name: str
    app_url: str
    owner_url: str
    superuser_url: str
    seller: str

    def run(self, statement: str, *, superuser: bool = False) -> list[tuple[Any, ...]]:
        """Run a statement by itself; returns its rows."""
        url = self.superuser_url if superuser else self.app_url
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []


class Rig:
    """PostgreSQL and Valkey or Redis for one run, and what is started on them."""

    def __init__(self, scale: Scale, *, with_peer: bool = True) -> None:
        self.scale = scale
        self.with_peer = with_peer
        self.stack = ExitStack()
        self.folder = Path()
        self._databases: dict[str, Database] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, serve.stop_once)
        try:
            self._start()
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def _start(self) -> None:
        tell("Starting PostgreSQL and Valkey ...")
        temporary = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="kiryana-bench-"))
        self.folder = Path(temporary)
        self.postgresql = self.stack.enter_context(
            PrivatePostgresql(shared_buffers=_shared_buffers())
        )
        self.valkey = self.stack.enter_context(PrivateValkey())
        with psycopg.connect(self.postgresql.superuser_url, autocommit=True) as superuser:
            _choose_wal_compression(superuser)

    @property
    def redis_url(self) -> str:
        """The product's; the peer has the next number."""
        return self.valkey.url

    @property
    def peer_redis_url(self) -> str:
        return self.valkey.url.removesuffix("/0") + "/1"

    # --- databases ------------------------------------------------------------------------

    def database(self, name: str = "work", movements: int | None = None) -> Database:
        """The database of this name, made and filled when it is asked for first."""
        if name not in self._databases:
            self._databases[name] = self._make_database(
                name, self.scale.movements if movements is None else movements
            )
        return self._databases[name]

    def _make_database(self, name: str, movements: int) -> Database:
        scale = self.scale
        self._migrate_template()
        tell(f"Filling database {name}: {scale.stores:,} stores x {scale.products:,} products,"
             f" {movements:,} movements ...")  # fmt: skip
        self.make_empty_database(name, TEMPLATE)
        database = self._describe(name)
        with psycopg.connect(database.superuser_url, autocommit=True) as superuser:
            chain.fill(superuser, database.seller, scale.stores, scale.products, movements)
        return database

    def _describe(self, name: str) -> Database:
        servers = self.postgresql
        return Database(
            name,
            app_url=_with_name(servers.app_url, name),
            owner_url=_with_name(servers.owner_url, name),
            superuser_url=_with_name(servers.superuser_url, name),
            seller=secrets.token_hex(16),
        )

    @functools.cache  # noqa: B019 - a rig lives as long as its program
    def _migrate_template(self) -> None:
        """As the manual says: the owner migrates, and grants to the ordinary role."""
        self.make_empty_database(TEMPLATE)
        template = self._describe(TEMPLATE)
        owner = {
            "DATABASE_URL": template.owner_url,
            "APP_DATABASE_ROLE": APP_ROLE,
            "DATABASE_STATEMENT_TIMEOUT_MS": "0",
        }
        serve.manage(self._place(template), ["migrate", "--verbosity", "0"], owner)

    def make_empty_database(self, name: str, template: str = "template1") -> str:
        """Make it, with nothing in it but what the template has; returns its owner's address."""
        with psycopg.connect(self.postgresql.superuser_url, autocommit=True) as superuser:
            create = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}")
            names = (name, OWNER_ROLE, template)
            superuser.execute(create.format(*map(sql.Identifier, names)))
        return _with_name(self.postgresql.owner_url, name)

    def check_books(self, database: Database) -> int:
        """Prove that every level is the sum of its movements; returns how many there are.

        Raises SetUpError with what does not agree.
        """
        told = serve.manage(
            self._place(database), ["checkledger", "--json"], {"DATABASE_STATEMENT_TIMEOUT_MS": "0"}
        )
        return int(json.loads(told)["movements"])

    # --- processes ------------------------------------------------------------------------

    def start_product(self, database: Database, *names: str) -> "Product":
        """Start these processes as script/server does on PostgreSQL, and wait until ready."""
        return self.stack.enter_context(Product(self._place(database), names))

    def commands_of(self, database: Database) -> dict[str, list[str]]:
        """The product's processes by name."""
        return serve.commands_of(self._place(database))

    def start_inside(self, *databases: Database) -> "list[Inside]":
        """Start a process for each that answers from inside the product, see inside.py."""
        started = []
        for database in databases:
            started.append(Inside(serve.child_environment(self._place(database))))
            self.stack.callback(started[-1].stop)
        for process in started:
            process.do("wake")
        return started

    def start_program(
        self, command: list[str], environment: dict[str, str], cwd: Path, log: Path
    ) -> subprocess.Popen[str]:
        """Start a program that ends with us, spoken to by standard input and output."""
        with log.open("ab") as errors:
            process = subprocess.Popen(
                command, cwd=cwd, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=errors, text=True, start_new_session=True,
                preexec_fn=end_with_parent(signal.SIGTERM),
            )  # fmt: skip
        self.stack.callback(end_program, process)
        return process

    def _place(self, database: Database) -> serve.Place:
        local = self.folder / database.name
        local.mkdir(exist_ok=True)
        environment = {
            "LOCAL_DIR": str(local),
            "SECRET_KEY": database.seller * 3,
            "SHOP": "false",
            "DATABASE_URL": database.app_url,
            "REDIS_URL": self.redis_url,
            "LOG_LEVEL": "WARNING",
        }
        return serve.Place(local, "postgresql", free_port(), environment)


class Product:
    """Processes of the product; `port` is where the web process listens."""

    def __init__(self, place: serve.Place, names: Iterable[str]) -> None:
        self.place = place
        self.port = place.port
        self._names = set(names)
        self._stack = ExitStack()
        self.children: list[serve.Child] = []

    def __enter__(self) -> Self:
        logs = self.place.local / "log"
        logs.mkdir(exist_ok=True)
        try:
            for name, command in serve.commands_of(self.place).items():
                if name in self._names:
                    self._start(name, command, logs / f"{name}.log")
            with redirect_stdout(sys.stderr):
                serve.wait_until_ready(self.place, self.children)
        except BaseException:
            self._stack.close()
            raise
        return self

    def _start(self, name: str, command: list[str], log: Path) -> None:
        child = serve.Child(name, command, log, serve.start_process(self.place, command, log))
        self.children.append(child)
        self._stack.callback(serve.stop_child, child)

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def stop(self) -> None:
        """Stop the processes now; at the end of the run it would happen anyway."""
        self._stack.close()

    def port_of(self, name: str) -> int:
        """Where this process listens; its command says it."""
        command = serve.commands_of(self.place)[name]
        return int(command[command.index("--port") + 1])

    @property
    def pids(self) -> dict[str, int]:
        """Process numbers by name."""
        return {child.name: child.process.pid for child in self.children}


class Inside:
    """A process inside the product that does what it is told, one command after another."""

    def __init__(self, environment: dict[str, str]) -> None:
        code = "from benchmarks.inside import main; main()"
        with tempfile.NamedTemporaryFile(delete=False) as errors:
            self._errors = Path(errors.name)
            self._process = subprocess.Popen(
                [sys.executable, "manage.py", "shell", "--verbosity", "0", "-c", code],
                cwd=CHECKOUT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=errors, text=True, start_new_session=True,
                preexec_fn=end_with_parent(signal.SIGTERM),
            )  # fmt: skip

    def stop(self) -> None:
        """Stop it now; at the end of the run it would happen anyway."""
        end_program(self._process)
        self._errors.unlink(missing_ok=True)

    def ask(self, what: str, **details: Any) -> None:
        """Send a command; `answer` waits for what comes of it."""
        assert self._process.stdin is not None
        print(json.dumps({"do": what} | details), file=self._process.stdin, flush=True)

    def answer(self) -> Any:
        """What the last command came to. Raises CannotMeasureError."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise CannotMeasureError(
                f"A process inside the product ended:\n{last_lines(self._errors)}"
            )
        return json.loads(line)

    def do(self, what: str, **details: Any) -> Any:
        """Send a command and wait for its answer."""
        self.ask(what, **details)
        return self.answer()


def end_program(process: subprocess.Popen[str]) -> None:
    """Close its standard input, which it takes for the end; kill what is left of its group."""
    if process.stdin is not None:
        try:
            process.stdin.close()
        except BrokenPipeError:
            tell("A process of the benchmark had ended before it was told to.")
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        tell(f"Process {process.pid} did not stop and is killed.")
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:  # all of it is gone, as it should be
        return
    finally:
        if process.stdout is not None:
            process.stdout.close()
    process.wait()


def _with_name(url: str, name: str) -> str:
    return url.removesuffix(DATABASE) + name


def _shared_buffers() -> str:
    megabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return f"{max(128, min(SHARED_BUFFERS_MB_MAX, megabytes // BUFFERS_SHARE))}MB"


def _choose_wal_compression(superuser: psycopg.Connection[Any]) -> None:
    """lz4 where this PostgreSQL was built with it: it costs the least."""
    known = superuser.execute("SELECT enumvals FROM pg_settings WHERE name = 'wal_compression'")
    row = known.fetchone()
    if row is not None and "lz4" in (row[0] or []):
        for role in (APP_ROLE, OWNER_ROLE, "postgres"):
            alter = sql.SQL("ALTER ROLE {} SET wal_compression = 'lz4'")
            superuser.execute(alter.format(sql.Identifier(role)))
