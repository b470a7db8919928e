"""Set the product up on one machine and run it: web, worker and sweep, until Ctrl-C.

Run by script/server. `--postgres` uses PostgreSQL and Valkey/Redis; without it all is embedded.
`--shop` is one shop on one file: nothing of a chain, no worker, no broker.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

from script.private_servers import SERVER_VARIABLES, real_servers
from script.server_binaries import CHECKOUT, PrivateServerError
from script.server_process import (
    LOOPBACK,
    end_with_parent,
    last_lines,
    port_is_free,
    write_private,
)

PORT_DEFAULT = 8000
# A process reads one request's events at a time; on SQLite a second one only waits to write.
WEB_PROCESSES = {"sqlite": "1", "postgresql": "2"}
# A process; each serves one request at a time, and holds a connection to the database once it
# served anything but a sale. Sales that wait share a commit: with 32 as many tills wait at once.
WEB_THREADS = 32
WORKER_PROCESSES = {"sqlite": "1", "postgresql": "2"}  # SQLite has one writer at a time
DATABASE_FILES = {"sqlite": "kiryana.sqlite3", "shop": "shop.sqlite3"}
SHOP_SKU = "TEA-001"  # of the printed lines, in a shop that has no product yet
READY_SECONDS_MAX = 60.0
SUPERVISE_SECONDS = 0.2
RESTARTS_MAX = 5  # in the window; what ends more often will not come right by itself
RESTART_WINDOW_SECONDS = 60.0
STOP_SECONDS_MAX = 25.0  # the worker finishes what it holds
SET_UP_STATEMENT_MS = "0"  # no limit: a migration takes as long as it takes
SHARED_BUFFERS_MB_MAX = 1024


class SetUpError(Exception):
    """The product cannot be set up or run; the text is for a person."""


@dataclass
class Child:
    """One process of the product, in a process group of its own, with its log file."""

    name: str
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes]
    ended_at: list[float] = field(default_factory=list)

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self.process.poll() is not None


@dataclass
class Place:
    """Where this start of the product lives: its folder, its kind, its environment.

    `kind` is `sqlite` or `postgresql` for a chain, `shop` for one shop; `interface` is what the web
    process speaks, `wsgi` or `asgi`.
    """

    local: Path
    kind: str
    port: int
    interface: str = "wsgi"
    environment: dict[str, str] = field(default_factory=dict)
    owner_environment: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The address a browser takes."""
        return f"http://{LOOPBACK}:{self.port}"


def main(arguments: list[str] | None = None) -> int:
    """Run until a signal, or until a process keeps ending; return the exit code."""
    options = parse(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop_once)
    try:
        run(options)
    except KeyboardInterrupt:
        print("Stopped.")
        return 0
    except (SetUpError, PrivateServerError) as error:
        print(f"script/server: {error}", file=sys.stderr)
        return 1


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="script/server", description="Set the product up and run it.", allow_abbrev=False
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--postgres", action="store_true",
        help="on PostgreSQL and Valkey/Redis: of DATABASE_URL and REDIS_URL, else private ones",
    )  # fmt: skip
    kind.add_argument(
        "--shop", action="store_true",
        help="one shop on one SQLite file: web and sweep, no worker, no broker",
    )  # fmt: skip
    parser.add_argument(
        "--asgi", action="store_true",
        help="one web process that gathers sales in an event loop; see docs/adr/0016",
    )  # fmt: skip
    parser.add_argument("--port", type=int, default=PORT_DEFAULT, help=f"default {PORT_DEFAULT}")
    return parser.parse_args(arguments)


def stop_once(*_: object) -> NoReturn:
    """Turn the first signal into a KeyboardInterrupt, and ignore further ones while we tidy up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def run(options: argparse.Namespace) -> NoReturn:
    """Set up, start and supervise. Raises SetUpError, or KeyboardInterrupt when asked to stop."""
    if not (0 < options.port < 65536):
        raise SetUpError(f"{options.port} is not a port; --port takes 1 to 65535.")
    if not port_is_free(options.port):
        raise SetUpError(f"Port {options.port} is in use; choose another one with --port.")
    local = Path(os.environ.get("LOCAL_DIR") or CHECKOUT / ".local").absolute()
    local.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(only_one(local))
        kind = "postgresql" if options.postgres else "shop" if options.shop else "sqlite"
        place = Place(local, kind, options.port, "asgi" if options.asgi else "wsgi")
        set_environment(place, stack)
        set_up(place)
        children = start_children(place, stack)
        wait_until_ready(place, children)
        access = ensure_access(place)
        stack.callback((place.local / "server.json").unlink, missing_ok=True)
        write_server_file(place, access, children)
        print(welcome(place, access), flush=True)
        while True:
            if restart_ended(place, children):
                write_server_file(place, access, children)
            time.sleep(SUPERVISE_SECONDS)


@contextmanager
def only_one(local: Path) -> Iterator[None]:
    """Refuse a second start on the same folder: both would write the same files.

    inventory_project/running.py looks at the same lock, before a shop is replaced or moved.
    """
    with (local / "server.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SetUpError(f"It already runs on {local}; stop that one first.") from None
        yield


def set_environment(place: Place, stack: ExitStack) -> None:
    """Decide which servers are used and fill in the environment of every command and child."""
    place.environment = {
        "LOCAL_DIR": str(place.local),
        "SECRET_KEY": secret_key(place.local),
        "SHOP": str(place.kind == "shop").lower(),
    }
    if place.kind in DATABASE_FILES:
        place.environment["DATABASE_URL"] = f"sqlite:///{place.local / DATABASE_FILES[place.kind]}"
        return
    if urlsplit(os.environ.get("DATABASE_URL", "")).scheme not in ("", "postgres", "postgresql"):
        raise SetUpError("DATABASE_URL is not the address of a PostgreSQL database.")
    print("Starting PostgreSQL and Valkey ...", flush=True)
    servers = stack.enter_context(real_servers(place.local, shared_buffers=shared_buffers()))
    owner = servers.pop("DATABASE_OWNER_URL")
    place.environment |= servers
    place.owner_environment = {
        "DATABASE_URL": owner,
        "DATABASE_STATEMENT_TIMEOUT_MS": SET_UP_STATEMENT_MS,
    }
    if owner != servers["DATABASE_URL"]:
        place.owner_environment["APP_DATABASE_ROLE"] = (
            urlsplit(servers["DATABASE_URL"]).username or ""
        )


def secret_key(local: Path) -> str:
    """Return the key kept in the folder, made at the first start."""
    path = local / "secret_key"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(64))
    return path.read_text().strip()


def shared_buffers() -> str:
    """An eighth of the memory, at most 1 GB."""
    megabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return f"{max(64, min(SHARED_BUFFERS_MB_MAX, megabytes // 8))}MB"


def set_up(place: Place) -> None:
    """Bring the tables up to date; load the sample chain into an empty database of a chain."""
    (place.local / "server.json").unlink(missing_ok=True)  # it exists only while it is true
    print("Migrating the database ...", flush=True)
    manage(place, ["migrate", "--verbosity", "0"], place.owner_environment)
    if place.kind == "shop":
        return
    print("Loading the sample chain, if the database is empty ...", flush=True)
    manage(place, ["loadsample"], {"DATABASE_STATEMENT_TIMEOUT_MS": SET_UP_STATEMENT_MS})


def manage(place: Place, arguments: list[str], extra: dict[str, str], given: str = "") -> str:
    """Run a manage.py command on the place's database; return what it wrote. Raises SetUpError."""
    answer = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=CHECKOUT, env=child_environment(place) | extra,
        input=given, capture_output=True, text=True,
    )  # fmt: skip
    if answer.returncode != 0:
        raise SetUpError(
            f"manage.py {arguments[0]} failed:\n{answer.stderr.strip() or answer.stdout.strip()}"
        )
    return answer.stdout


def child_environment(place: Place) -> dict[str, str]:
    """Our own environment without other servers' addresses, and the place's own."""
    inherited = {name: value for name, value in os.environ.items() if name not in SERVER_VARIABLES}
    return inherited | {"PRODUCTION": "false"} | place.environment


def start_children(place: Place, stack: ExitStack) -> list[Child]:
    """Start worker, sweep and web; the stack stops them in the opposite order."""
    logs = place.local / "log"
    logs.mkdir(exist_ok=True)
    children = []
    for name, command in commands_of(place).items():
        log = logs / f"{name}.log"
        log.unlink(missing_ok=True)
        children.append(Child(name, command, log, start_process(place, command, log)))
        stack.callback(stop_child, children[-1])
    return children


def commands_of(place: Place) -> dict[str, list[str]]:
    """The product's processes by name, in the order in which they start."""
    python = sys.executable
    commands = {
        "sweep": [python, "manage.py", "sweep"],
        "web": [
            python, "-m", "granian", "--interface", place.interface,
            "--host", LOOPBACK, "--port", str(place.port),
            *size_of_web(place),
            f"inventory_project.{place.interface}:application",
        ],
    }  # fmt: skip
    if place.kind == "shop":
        return commands
    worker = [
        python, "-m", "celery", "-A", "inventory_project", "worker", "-Q", "inventory_events",
        "--pool", "prefork", "--concurrency", WORKER_PROCESSES[place.kind],
        "--loglevel", "INFO", "--without-gossip", "--without-mingle",
    ]  # fmt: skip
    return {"worker": worker} | commands


def size_of_web(place: Place) -> list[str]:
    """How many web processes and threads there are."""
    processes = ["--workers", WEB_PROCESSES.get(place.kind, "1")]
    if place.interface == "asgi":
        return processes
    return [*processes, "--blocking-threads", str(WEB_THREADS)]


def start_process(place: Place, command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start one process in a group of its own; it ends with us even when we are killed."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command, cwd=CHECKOUT, env=child_environment(place),
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True, preexec_fn=end_with_parent(signal.SIGTERM),
        )  # fmt: skip


def stop_child(child: Child) -> None:
    """Ask the process to end, wait, and end whatever is left of its group."""
    if not child.has_ended:
        child.process.terminate()
        try:
            child.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            print(
                f"{child.name} did not stop in {STOP_SECONDS_MAX:.0f} s and is killed.",
                file=sys.stderr,
            )
    try:
        os.killpg(child.process.pid, signal.SIGKILL)
    except ProcessLookupError:  # the whole group is gone, as it should be
        return
    child.process.wait()


def wait_until_ready(place: Place, children: list[Child]) -> None:
    """Wait until the web process says it is ready. Raises SetUpError."""
    print("Starting the product ...", flush=True)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never by way of a proxy
    deadline = time.monotonic() + READY_SECONDS_MAX
    problem = ""
    while time.monotonic() < deadline:
        raise_if_ended(children)
        try:
            opener.open(f"{place.url}/health/ready", timeout=5).close()
            return
        except OSError as error:  # not listening yet, or 503 with a reason
            problem = str(error)
        time.sleep(0.1)
    raise SetUpError(
        f"It was not ready within {READY_SECONDS_MAX:.0f} s ({problem}).{last_words(children)}"
    )


def raise_if_ended(children: list[Child]) -> None:
    """Raise SetUpError with the last log lines of a child that has ended."""
    ended = [child for child in children if child.has_ended]
    if ended:
        codes = ", ".join(
            f"{child.name} ended with code {child.process.returncode}" for child in ended
        )
        raise SetUpError(f"{codes}.{last_words(ended)}")


def restart_ended(place: Place, children: list[Child]) -> bool:
    """Start again every child that has ended; raises SetUpError when one ends too often."""
    ended = [child for child in children if child.has_ended]
    for child in ended:
        now = time.monotonic()
        child.ended_at = [at for at in child.ended_at if now - at < RESTART_WINDOW_SECONDS] + [now]
        if len(child.ended_at) > RESTARTS_MAX:
            raise_if_ended([child])
        print(
            f"script/server: {child.name} ended with code {child.process.returncode}"
            f" and is started again.{last_words([child])}",
            file=sys.stderr, flush=True,
        )  # fmt: skip
        stop_child(child)  # what is left of its group
        child.process = start_process(place, child.command, child.log)
    return bool(ended)


def last_words(children: list[Child]) -> str:
    """The end of each child's log."""
    return "".join(f"\n-- {child.log}\n{last_lines(child.log)}" for child in children)


def ensure_access(place: Place) -> dict[str, Any]:
    """Return administrator, keys, store and SKU; those of an earlier start stay while they work."""
    path = place.local / "credentials.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    code = "from script.first_access import main; main()"
    answer = manage(
        place,
        ["shell", "--verbosity", "0", "-c", code],
        {},
        json.dumps(known.get(place.kind, {})),
    )
    known[place.kind] = json.loads(answer)
    write_private(path, json.dumps(known, indent=1))
    return dict(known[place.kind])


def write_server_file(place: Place, access: dict[str, Any], children: list[Child]) -> None:
    """Write `server.json` (mode 600) for programs; it exists while the server runs."""
    facts = {"url": place.url} | {name: value for name, value in access.items() if name != "sku"}
    facts["pids"] = {child.name: child.process.pid for child in children}
    facts["env"] = place.environment
    write_private(place.local / "server.json", json.dumps(facts, indent=1))


def welcome(place: Place, access: dict[str, Any]) -> str:
    """What a person needs to begin."""
    lines = [
        "",
        f"Kiryana runs on {place.url} ({place.kind})",
        f"Back office    {place.url}/admin/   {access['admin_user']} / {access['admin_password']}",
        f"Store key      {access['store_key']}   (store {access['store']})"
        if access["store_key"]
        else "Store key      none: no store is open here",
        f"All of this is also in {place.local / 'server.json'}; Ctrl-C stops it.",
    ]
    if place.kind == "shop":
        url = shlex.quote(place.environment["DATABASE_URL"])
        lines.insert(-1, f"For manage.py  export SHOP=true DATABASE_URL={url}")
    if access["store_key"] and access["sku"]:
        lines += ["", "Sell one item, then look at the new level:"]
        lines += sell_and_look(place.url, access["store_key"], access["sku"])
    elif access["store_key"]:
        lines += ["", "Register an item, receive ten, sell one, then look at the level:"]
        lines += register_and_receive(place.url, access)
        lines += sell_and_look(place.url, access["store_key"], SHOP_SKU)
    return "\n".join(lines)


def sell_and_look(url: str, key: str, sku: str) -> list[str]:
    """A sale and the level after it, ready for a shell. The same sale sent twice counts once."""
    level = shlex.quote(f"{url}/api/stock/levels/?product={quote(sku, safe='')}")
    return [
        curl_post(f"{url}/api/orders/sales/", key, make_line(sku, 1)),
        f"curl -H {shlex.quote(f'Authorization: Api-Key {key}')} {level}",
    ]


def register_and_receive(url: str, access: dict[str, Any]) -> list[str]:
    """A product and ten of it, ready for a shell."""
    product = {"sku": SHOP_SKU, "name": "Black tea 250 g", "price": "480.00"}
    receipt = make_line(SHOP_SKU, 10) | {"kind": "receipt"}
    return [
        curl_post(f"{url}/api/catalog/products/", access["head_office_key"], product),
        curl_post(f"{url}/api/stock/movements/", access["store_key"], receipt),
    ]


def make_line(sku: str, quantity: int) -> dict[str, Any]:
    """A line of a sale or a receipt that happens now."""
    return {
        "event_id": str(uuid.uuid4()),
        "sku": sku,
        "quantity": quantity,
        "occurred_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def curl_post(address: str, key: str, body: dict[str, Any]) -> str:
    """One line for a shell that sends this."""
    header = shlex.quote(f"Authorization: Api-Key {key}")
    sent = shlex.quote(json.dumps(body))
    return f"curl -H {header} -H 'Content-Type: application/json' -d {sent} {address}"


if __name__ == "__main__":
    sys.exit(main())
