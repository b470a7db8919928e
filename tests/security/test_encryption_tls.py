"""Production speaks to PostgreSQL and Redis over TLS, or says by name that it need not."""

import datetime as dt
import errno
import ipaddress
import os
import socket
import ssl
import subprocess
import sys
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from inventory_project.transport import find_plain_database, find_plain_redis
from script.private_servers import private_valkey
from tests.databases import CHECKOUT
from tests.security.keys import draw_key

POSTGRESQL = "django.db.backends.postgresql"
AWAY = "postgresql://kiryana:hidden@db.example.org/kiryana"


def database(host, **options):
    return {"ENGINE": POSTGRESQL, "HOST": host, "OPTIONS": options}


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
@pytest.mark.parametrize("host", ["db", "10.0.0.5", "2001:db8::1", "127.0.0.1,db", "0.0.0.0"])
def test_mode_that_may_be_in_the_clear_is_refused_beyond_this_machine(host, mode):
    said = find_plain_database(database(host, sslmode=mode), {})
    assert f"sslmode={mode}" in said and "ALLOW_PLAIN_DATABASE=true" in said


@pytest.mark.parametrize(
    "host", ["", "localhost", "127.0.0.1", "127.8.8.8", "::1", "/run/pg", "@pg"]
)
def test_this_machine_needs_none(host):
    assert find_plain_database(database(host, sslmode="disable"), {}) == ""


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_encrypted_modes_are_taken(mode):
    assert find_plain_database(database("db", sslmode=mode), {}) == ""
    assert find_plain_database(database("db"), {"PGSSLMODE": mode}) == ""


def test_what_nobody_said_is_what_libpq_does():
    assert "sslmode=prefer" in find_plain_database(database("db"), {})
    assert "sslmode=allow" in find_plain_database(database("db"), {"PGSSLMODE": "allow"})
    assert "on 10.1.1.1" in find_plain_database(database("", hostaddr="10.1.1.1"), {})
    assert "on db" in find_plain_database(database(""), {"PGHOST": "db"})
    assert find_plain_database({"ENGINE": "django.db.backends.sqlite3"}, {}) == ""


def test_redis_in_the_clear_is_refused_beyond_this_machine():
    for url in ("redis://cache/0", "redis://:hidden@10.0.0.7:6379/0"):
        said = find_plain_redis(url)
        assert "rediss://" in said and "ALLOW_PLAIN_REDIS=true" in said and "hidden" not in said
    for url in ("", "redis://127.0.0.1/0", "redis://:x@localhost:6379/1", "redis://[::1]/0",
                "rediss://cache/0"):  # fmt: skip
        assert find_plain_redis(url) == ""


# --- the processes --------------------------------------------------------------------------


def start(tmp_path, *command, **variables):
    """(exit code, what was said) of a process of production."""
    environment = {
        "PATH": os.environ["PATH"], "LOCAL_DIR": str(tmp_path), "PRODUCTION": "true",
        "SECRET_KEY": "s" * 60, "ALLOWED_HOSTS": "stock.example.org", "FIELD_KEYS": draw_key("k1"),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, *(command or ("-c", "import inventory_project.settings"))],
        cwd=CHECKOUT, env=environment | variables, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.sqlite  # the settings are read before any database
class TestStart:
    def test_sslmode_disable_is_refused_with_what_to_do(self, tmp_path):
        url = f"{AWAY}?sslmode=disable"
        code, said = start(tmp_path, "manage.py", "sweep", DATABASE_URL=url)
        assert code != 0
        assert "speak to PostgreSQL on db.example.org with sslmode=disable" in said
        assert "add ?sslmode=verify-full&sslrootcert=… to DATABASE_URL" in said
        assert "hidden" not in said

    @pytest.mark.parametrize("query", ["", "?sslmode=prefer"])
    def test_so_is_what_may_be_plain(self, tmp_path, query):
        assert start(tmp_path, DATABASE_URL=AWAY + query)[0] == 1

    @pytest.mark.parametrize(
        ("url", "more"),
        [
            (f"{AWAY}?sslmode=require", {}), (AWAY, {"ALLOW_PLAIN_DATABASE": "true"}),
            ("postgresql://kiryana@127.0.0.1/kiryana", {}),
            (AWAY, {"PRODUCTION": "false"}),
        ],
    )  # fmt: skip
    def test_what_is_encrypted_or_allowed_by_name_starts(self, tmp_path, url, more):
        assert start(tmp_path, DATABASE_URL=url, **more) == (0, "")

    def test_plain_redis_is_refused_unless_allowed_by_name(self, tmp_path):
        code, said = start(tmp_path, REDIS_URL="redis://cache/0")
        assert code == 1 and "does not speak to Redis on cache in the clear" in said
        allowed = start(tmp_path, REDIS_URL="redis://cache/0", ALLOW_PLAIN_REDIS="true")
        assert allowed == (0, "")

    def test_production_needs_keys_of_personal_fields(self, tmp_path):
        code, said = start(tmp_path, FIELD_KEYS="")
        assert code == 1 and "PRODUCTION needs FIELD_KEYS or FIELD_KEYS_FILE" in said

    def test_keys_that_make_no_sense_end_every_process(self, tmp_path):
        code, said = start(tmp_path, "manage.py", "sweep", FIELD_KEYS="k1:AAAA")
        assert code == 1 and "FIELD_KEYS: entry 1 (k1) is not 32 bytes in base64" in said
        code, said = start(
            tmp_path, "manage.py", "check", FIELD_KEYS="", FIELD_KEYS_FILE="/nowhere"
        )
        assert code == 1 and "The key file /nowhere cannot be read" in said


# --- Redis over TLS -------------------------------------------------------------------------

ASK_REDIS = """
import django; django.setup()
from django.core.cache import caches
from inventory_project import windows
from inventory_project.celery import app
for alias in ("default", "doorbell", "log_in"):
    caches[alias].set("question", "answer", 5)
    assert caches[alias].get("question") == "answer", alias
standing = windows._ask_shared([windows.Ask(windows.Limit("test", 5, "me"))])
assert standing and standing[0].remaining == 4, standing
with app.connection_for_write() as connection:
    connection.ensure_connection(max_retries=1, timeout=5)
    queue = connection.SimpleQueue("over_tls")
    queue.put({"rang": True})
    message = queue.get(timeout=5)
    assert message.payload == {"rang": True}
    message.ack()
print("all of them")
"""


@pytest.mark.sqlite
def test_cache_limits_and_bell_speak_tls_to_redis(tmp_path):
    certificate = make_certificate(tmp_path)
    with private_valkey() as url, TlsInFront(certificate, url) as address:
        code, said = start(
            tmp_path, "-c", ASK_REDIS, REDIS_URL=f"{address}?ssl_ca_certs={certificate}",
            DJANGO_SETTINGS_MODULE="inventory_project.settings",
        )  # fmt: skip
        assert (code, said.splitlines()[-1]) == (0, "all of them"), said
        code, said = start(
            tmp_path, "-c", ASK_REDIS, REDIS_URL=address,
            DJANGO_SETTINGS_MODULE="inventory_project.settings",
        )  # fmt: skip
        assert code == 1 and "CERTIFICATE_VERIFY_FAILED" in said.replace(" ", "_").upper()


def make_certificate(folder):
    """A certificate of 127.0.0.1 and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([loopback]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = folder / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


class TlsInFront:
    """Ends TLS and hands the bytes on to a Redis that speaks none."""

    def __init__(self, certificate, url):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        before, _, rest = url.partition("@")
        self._password, (host, _, port) = before.partition("://")[2], rest.partition(":")
        self._behind = (host, int(port.partition("/")[0]))
        self._listener = socket.create_server(("127.0.0.1", 0))

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return f"rediss://{self._password}@127.0.0.1:{self._listener.getsockname()[1]}/0"

    def __exit__(self, *_):
        self._listener.close()

    def _serve(self):
        while True:
            try:
                raw, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._connect, args=(raw,), daemon=True).start()

    def _connect(self, raw):
        try:
            near = self._context.wrap_socket(raw, server_side=True)
        except (ssl.SSLError, OSError):  # who does not trust us
            raw.close()
            return
        far = socket.create_connection(self._behind)
        threading.Thread(target=_hand_on, args=(far, near), daemon=True).start()
        _hand_on(near, far)


HUNG_UP = {errno.EBADF, errno.ECONNRESET, errno.EPIPE}


def _hand_on(source, target):
    try:
        while data := source.recv(65_536):
            target.sendall(data)
    except OSError as error:
        # One end has hung up, or the thread of the other way has closed what this one reads.
        if error.errno not in HUNG_UP:
            raise
    finally:
        target.close()
