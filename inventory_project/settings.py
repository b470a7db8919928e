"""All settings, one file; every value that differs between machines comes from the environment.
Those of the log-in are a file of their own, log_in_settings.py.

Without any environment this is the embedded product: SQLite, no broker, no Redis, everything
under LOCAL_DIR. `DATABASE_URL` and `REDIS_URL` make it the one for a chain. `PRODUCTION=true`
refuses to start on what is only good for a desk.
"""

import os
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured
from django.urls import reverse_lazy

from inventory_project.back_office_settings import *  # noqa: F403
from inventory_project.log_in_settings import *  # noqa: F403
from inventory_project.log_in_settings import LOG_IN_APPS
from inventory_project.transport import find_plain_database, find_plain_redis

env = environ.Env()

BASE_DIR = Path(__file__).resolve().parent.parent
LOCAL_DIR = Path(env.str("LOCAL_DIR", default=str(BASE_DIR / ".local")))
LOCAL_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)

# --- who we are to the outside -------------------------------------------------------------
PRODUCTION = env.bool("PRODUCTION", default=False)
DEBUG = False
_DESK_SECRET_KEY = "only-good-for-a-desk-" + "x" * 50
SECRET_KEY = env.str("SECRET_KEY", default="" if PRODUCTION else _DESK_SECRET_KEY)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[] if PRODUCTION else ["127.0.0.1", "localhost"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
if PRODUCTION and not (SECRET_KEY and ALLOWED_HOSTS):
    raise ImproperlyConfigured("PRODUCTION needs SECRET_KEY and ALLOWED_HOSTS in the environment.")
# Keys of personal fields, see keyring.py: `id:base64,id:base64`, the first one writes; or a file of
# such lines. Without either a desk makes itself LOCAL_DIR/field_keys.
FIELD_KEYS = env.str("FIELD_KEYS", default="")
FIELD_KEYS_FILE = env.str("FIELD_KEYS_FILE", default="")
if PRODUCTION and not (FIELD_KEYS or FIELD_KEYS_FILE):
    raise ImproperlyConfigured(
        "PRODUCTION needs FIELD_KEYS or FIELD_KEYS_FILE in the environment, the keys of personal "
        "fields: see docs/operate/security.md."
    )
SECURE_SSL_REDIRECT = PRODUCTION
SESSION_COOKIE_SECURE = PRODUCTION
CSRF_COOKIE_SECURE = PRODUCTION
SECURE_HSTS_SECONDS = 31_536_000 if PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = PRODUCTION
SECURE_HSTS_PRELOAD = PRODUCTION
# A gateway that ends TLS says so in this header; trusted only when the operator names it. So is
# X-Forwarded-For then, whose last address must be one that the gateway itself has written.
BEHIND_TLS_GATEWAY = env.bool("BEHIND_TLS_GATEWAY", default=False)
if BEHIND_TLS_GATEWAY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# Probes come from inside, without TLS. A device that follows a redirect would GET what it wanted
# to POST, and take the list's 200 for an answer: inventory_project.api refuses it instead.
# Only people's pages are led to https.
SECURE_REDIRECT_EXEMPT = [r"^(?!admin(/|$)|static/)"]

# --- the house ------------------------------------------------------------------------------
INSTALLED_APPS = [
    "inventory_project",
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_ratelimit",
    *LOG_IN_APPS,
    "accounts",
    "stores",
    "catalog",
    "stock",
    "orders",
]
MIDDLEWARE = [
    "inventory_project.origin.NameRequests",  # first, so that every answer has its id
    "inventory_project.headers.TellBrowsers",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "inventory_project.api.RefuseBeforeReading",
    "accounts.access.NoteRefusals",  # behind what refuses without asking who it is
    "inventory_project.limits.TellLimits",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "inventory_project.api.RefuseLargeForms",  # before the next one, which reads the form
    "django.middleware.csrf.CsrfViewMiddleware",
    "accounts.middleware.StaffAuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "inventory_project.urls"
WSGI_APPLICATION = "inventory_project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = [
    "accounts.hashing.BoundedArgon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = LOCAL_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)
# A desk serves files where they lie; production collects them once (`manage.py collectstatic`).
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_AUTOREFRESH = False
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# --- the database ---------------------------------------------------------------------------
# One shop on one machine has neither worker nor broker: no bell rings, the sweep applies.
SHOP = env.bool("SHOP", default=False)
SHOP_FILE = LOCAL_DIR / "shop.sqlite3"
_file = SHOP_FILE if SHOP else LOCAL_DIR / "kiryana.sqlite3"
# What replaces a database or moves into one does not take the desk's because nobody said which.
IS_DATABASE_NAMED = env.str("DATABASE_URL", default="") != ""
DATABASES: dict[str, dict[str, Any]] = {
    "default": env.db("DATABASE_URL", default=f"sqlite:///{_file}")
}
# The ordinary role the product runs as, when migrations run as the owner (PostgreSQL).
APP_DATABASE_ROLE = env.str("APP_DATABASE_ROLE", default="")
_database = DATABASES["default"]
_options = _database.setdefault("OPTIONS", {})
if _database["ENGINE"] == "django.db.backends.sqlite3":
    # FULL: in WAL mode anything less may lose the last commits at a power cut, and a 202 would
    # have lied. IMMEDIATE: a transaction that begins by reading cannot fail at its first write.
    _options["transaction_mode"] = "IMMEDIATE"
    _options["timeout"] = 20
    # recursive_triggers: without it INSERT OR REPLACE deletes the row in its way unseen by the
    # trigger that keeps append-only tables.
    _options["init_command"] = (
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY; "
        "PRAGMA cache_size=-16384; PRAGMA recursive_triggers=ON;"
    )
    # Opening the file and its pragmas anew is a third of a small request.
    _database["CONN_MAX_AGE"] = None
else:
    _database["CONN_MAX_AGE"] = 600
    _database["CONN_HEALTH_CHECKS"] = True
    # A frozen process must not hold a store's lane; a lost server must not hold a till.
    _options.setdefault("connect_timeout", 3)
    # What every request asks is prepared once a session, if inventory_project/rows.py says so; the
    # number keeps psycopg from preparing anything else. A pooler that hands a session on after each
    # transaction has to know of prepared statements, else false.
    _session = {
        "statement_timeout": env.int("DATABASE_STATEMENT_TIMEOUT_MS", default=5_000),
        "lock_timeout": env.int("DATABASE_LOCK_TIMEOUT_MS", default=2_000),
        "idle_in_transaction_session_timeout": env.int("DATABASE_IDLE_TIMEOUT_MS", default=10_000),
    }
    if env.bool("DATABASE_PREPARES", default=True):
        _options.setdefault("prepare_threshold", 1_000_000)
        # Else PostgreSQL hopes for a better plan for just these values, and plans each time.
        _session["plan_cache_mode"] = "force_generic_plan"
    _options.setdefault(
        "options", " ".join(f"-c {name}={value}" for name, value in _session.items())
    )
_plain = find_plain_database(_database, os.environ)
if PRODUCTION and _plain and not env.bool("ALLOW_PLAIN_DATABASE", default=False):
    raise ImproperlyConfigured(_plain)

# --- the seals over audit and ledger ---------------------------------------------------------
# Only who seals or checks needs the key, see seal_keys.py: the sweep, not the web servers.
AUDIT_SEAL_KEY = env.str("AUDIT_SEAL_KEY", default="")
AUDIT_SEAL_KEY_FILE = env.str("AUDIT_SEAL_KEY_FILE", default="")
# Where the heads of the seals are told; in earnest on a disk that the database's is not.
AUDIT_HEADS_FILE = Path(env.str("AUDIT_HEADS_FILE", default=str(LOCAL_DIR / "seal-heads.jsonl")))
# A change of these is noted in the audit. No secret among them.
AUDITED_SETTINGS = (
    "PRODUCTION", "SHOP", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "CORS_ALLOWED_ORIGINS",
    "BEHIND_TLS_GATEWAY", "NEGATIVE_STOCK_OF_SALES", "NEGATIVE_STOCK_OF_REMOVALS",
    "STORE_TIMEZONE", "STORE_CURRENCY", "LIMITS_A_MINUTE", "LIMIT_LOG_IN", "ADMISSION_PLACES",
    "SALES_APPLY_EVENTS_MAX", "SALES_APPLY_STORES_MAX", "AUDIT_HEADS_FILE",
    "SECOND_FACTOR_OF", "SECURITY_KEYS", "SESSION_IDLE_MIN", "SESSION_MIN_MAX",
    "ASK_AGAIN_AFTER_MIN", "OIDC_SERVER_URL", "OIDC_NAME", "OIDC_HAS_SECOND_FACTOR",
)  # fmt: skip

# --- Redis, or nothing ----------------------------------------------------------------------
REDIS_URL = env.str("REDIS_URL", default="")
REDIS_TIMEOUT_S = 1
if REDIS_URL and not REDIS_URL.startswith(("redis://", "rediss://")):
    raise ImproperlyConfigured("REDIS_URL begins with redis:// or rediss://, also for Valkey.")
_plain = find_plain_redis(REDIS_URL)
if PRODUCTION and _plain and not env.bool("ALLOW_PLAIN_REDIS", default=False):
    raise ImproperlyConfigured(_plain)
CACHES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    # The bell's "already rung" mark has to be seen by web and worker alike: Redis, or a folder.
    "doorbell": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": str(LOCAL_DIR / "doorbell"),
    },
    # Tries to log in, see log_in.py.
    "log_in": {
        "BACKEND": "inventory_project.log_in.CountingFileCache",
        "LOCATION": str(LOCAL_DIR / "log_in"),
        "OPTIONS": {"MAX_ENTRIES": 10_000},
    },
}
if REDIS_URL:
    for _alias in CACHES:
        CACHES[_alias] = {
            "BACKEND": "inventory_project.redis_cache.LastingRedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": _alias,
            "VERSION": 2,  # what version 1 wrote is not read: it was pickled
            "OPTIONS": {
                "socket_timeout": REDIS_TIMEOUT_S,
                "socket_connect_timeout": REDIS_TIMEOUT_S,
            },
        }

RATELIMIT_USE_CACHE = "log_in"
# "Not officially supported": both of ours count atomically, tests/test_log_in_limit.py shows it.
SILENCED_SYSTEM_CHECKS = ["django_ratelimit.W001"]

# --- Celery: a doorbell, never a store of anything --------------------------------------------
INVENTORY_EVENTS_QUEUE = "inventory_events"
CELERY_TASK_DEFAULT_QUEUE = INVENTORY_EVENTS_QUEUE
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]  # never pickle: who can write into the broker could run code
CELERY_TASK_IGNORE_RESULT = True  # nobody asks, and results are what leaks
# Acknowledged when done, and given back when the process that had it is gone: an early or a lonely
# late acknowledgement loses the message with a killed process. The price, a poisonous message that
# comes again for ever, cannot be: it carries nothing, and tries are counted in the inbox.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1  # what a dying worker has taken and not begun is one message
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# A drain is short and may be done twice; ended in the middle it would have been for nothing.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
# Processes are made anew before what they leak is felt.
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 300_000  # KiB
CELERY_WORKER_MAX_TASKS_PER_CHILD = 1_000
# Four drains' worth: only what hangs is killed. No soft limit: its exception would come in the
# middle of a batch and be taken for the fault of an event.
CELERY_TASK_TIME_LIMIT = 30
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 20  # SIGQUIT: what runs may end, what waits is given back
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # the worker waits for its broker; the sweep applies
CELERY_TASK_PUBLISH_RETRY = False  # a till does not wait for the bell; the sweep rings again
if REDIS_URL:
    CELERY_BROKER_URL = REDIS_URL
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
        # A message whose worker froze goes to another one after this; longer than any task may
        # run, else it would be given away while it is being worked on.
        "visibility_timeout": env.int("BROKER_VISIBILITY_TIMEOUT_S", default=120),
        # Looked for each 5 s. By default it takes about 100 s, whatever the timeout says.
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        # Without these a Redis that is there and silent holds whoever asks it, for ever.
        "socket_timeout": 5,
        "socket_connect_timeout": REDIS_TIMEOUT_S,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "max_retries": 1,
    }
else:
    for _folder in ("queue", "control"):
        (LOCAL_DIR / "broker" / _folder).mkdir(parents=True, exist_ok=True)
    CELERY_BROKER_URL = "filesystem://"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(LOCAL_DIR / "broker" / "queue"),
        "data_folder_out": str(LOCAL_DIR / "broker" / "queue"),
        "control_folder": str(LOCAL_DIR / "broker" / "control"),
        "polling_interval": 0.05,
    }

# --- the chain ------------------------------------------------------------------------------
# The words of stores.models.NegativeStock, which cannot be imported before the settings are read.
NEGATIVE_STOCK_WORDS = ("allow_and_flag", "refuse", "allow")


def _read_negative_stock(variable: str, default: str) -> str:
    value: str = env.str(variable, default=default)
    if value not in NEGATIVE_STOCK_WORDS:
        raise ImproperlyConfigured(f"{variable} takes one of: {', '.join(NEGATIVE_STOCK_WORDS)}.")
    return value


def _read_count(variable: str, default: int) -> int:
    text: str = env.str(variable, default=str(default))
    if not (text.isascii() and text.isdecimal() and int(text) >= 1):
        raise ImproperlyConfigured(f"{variable} takes a whole number of at least 1.")
    return int(text)


# Where a balance would fall below zero: what has left the shop is recorded and flagged, what a
# person takes out by hand is refused. A store or a product may say otherwise.
NEGATIVE_STOCK_OF_SALES = _read_negative_stock("NEGATIVE_STOCK_OF_SALES", "allow_and_flag")
NEGATIVE_STOCK_OF_REMOVALS = _read_negative_stock("NEGATIVE_STOCK_OF_REMOVALS", "refuse")
STORE_TIMEZONE = env.str("STORE_TIMEZONE", default="Asia/Karachi")
STORE_CURRENCY = env.str("STORE_CURRENCY", default="PKR")
# Where each service's addresses begin is in urls.py; how a batch is cut is in orders/sales.py.
# On SQLite a batch holds the one write lock, and tills wait for it.
SALES_APPLY_EVENTS_MAX = _read_count(
    "SALES_APPLY_EVENTS_MAX",
    default=1_000 if _database["ENGINE"] == "django.db.backends.sqlite3" else 5_000,
)
SALES_APPLY_STORES_MAX = _read_count("SALES_APPLY_STORES_MAX", default=256)

# --- the API --------------------------------------------------------------------------------
BATCH_EVENTS_MAX = 1_000
# Web pages that may use the addresses of earlier versions, such as https://till.example.org.
CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
REQUEST_BYTES_MAX = 1_048_576
DATA_UPLOAD_MAX_MEMORY_SIZE = 20 * REQUEST_BYTES_MAX  # of LARGE_FORMS; others are as the API's
LARGE_FORMS = ("/admin/catalog/product/import/",)
FILE_UPLOAD_MAX_MEMORY_SIZE = REQUEST_BYTES_MAX
# Units that one caller may take in any 60 seconds, see limits.py. A request is 1 unit; a batch is 1
# for each 50 events begun: a till's key may tell 30,000 sales a minute, in batches.
LIMITS_A_MINUTE = {
    "device": _read_count("LIMIT_DEVICE", default=600),
    "head_office": _read_count("LIMIT_HEAD_OFFICE", default=60_000),
    "staff": _read_count("LIMIT_STAFF", default=600),  # a person's browser at the API
    "earlier": _read_count("LIMIT_EARLIER", default=100),  # requests at the earlier endpoints
    "anonymous": _read_count("LIMIT_ANONYMOUS", default=60),  # by address; also for refused keys
}
LIMIT_EVENTS_A_UNIT = 50
# Requests that one web process over ASGI has inside at a time, see admission.py.
ADMISSION_PLACES = _read_count("ADMISSION_PLACES", default=64)
LIMIT_LOG_IN = _read_count("LIMIT_LOG_IN", default=5)  # of one account from one address
# How often a web process writes which keys were used, see stores/key_use.py.
KEY_USE_WRITE_S = _read_count("KEY_USE_WRITE_S", default=60)
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "stores.authentication.ApiKeyAuthentication",
        "stores.authentication.StaffSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["stores.permissions.MeetsNeed"],
    "DEFAULT_RENDERER_CLASSES": ["inventory_project.bodies.JSONRenderer"],
    "DEFAULT_THROTTLE_CLASSES": ["inventory_project.limits.CredentialThrottle"],
    "DEFAULT_PARSER_CLASSES": ["inventory_project.bodies.StrictJSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["inventory_project.api.StrictFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "inventory_project.paging.KeysetPagination",
    "DEFAULT_SCHEMA_CLASS": "inventory_project.schema.ProblemAutoSchema",
    "DEFAULT_METADATA_CLASS": None,
    "EXCEPTION_HANDLER": "inventory_project.api.answer_problem",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Kiryana",
    "DESCRIPTION": "What every shop of a chain has on its shelves.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": [
        "stores.permissions.IsStaff" if PRODUCTION else "rest_framework.permissions.AllowAny"
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "StockReasonEnum": "stock.models.Reason",
        "ParkReasonEnum": "orders.models.ParkReason",
    },
}


LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        # One line a refused request is the gateway's business; five hundreds are ours.
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
    },
}
