"""Django's and Ringmaster's settings, all from the environment or from ``.env`` beside manage.py.

A wrong value stops the start with a sentence that names the setting: see project/environment.py.
"""

import sys
from datetime import timedelta
from pathlib import Path

import django_stubs_ext
import environ
from csp.constants import NONCE, NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE

from project import environment, tls
from project.logs import strangers_without_traceback, unless_health
from project.navigation import SECTIONS, favicon, lists_script, style, times_script

# So that Django's generic classes may be named with their types: ModelForm[Route].
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
if (BASE_DIR / ".env").is_file():
    env.read_env(str(BASE_DIR / ".env"))

# Ringmaster

# Certificates of a private authority, trusted beside the system's by all connections with TLS.
TLS_CA_FILE = tls.ca_file(env.str("TLS_CA_FILE", ""))
_REDIS_URL = environment.redis_url("REDIS_URL", env.str("REDIS_URL", "redis://127.0.0.1:6379/0"))
REDIS_URL = tls.redis_url(_REDIS_URL, TLS_CA_FILE)
LIMITS_REDIS_URL = tls.redis_url(
    environment.redis_url("LIMITS_REDIS_URL", env.str("LIMITS_REDIS_URL", _REDIS_URL)), TLS_CA_FILE
)
ARI_NODES = environment.ari_nodes(env.str("ARI_NODES", ""), ca_file=TLS_CA_FILE)
ARI_APP = environment.ari_app(env.str("ARI_APP", "ringmaster"))
ARI_REST = environment.choice("ARI_REST", env.str("ARI_REST", "websocket"), ("websocket", "http"))
CALLS_GATEWAY = environment.dotted_name(
    "CALLS_GATEWAY", env.str("CALLS_GATEWAY", "ari_bridge.gateway.AriGateway")
)
# Seconds after which a call is ended where its account says nothing else.
MAX_CALL_S = environment.integer(
    "MAX_CALL_S", env.str("MAX_CALL_S", "7200"), minimum=1, maximum=86_400
)
# What a trunk's dial string may be: a careless one lets callers out by any door.
DIAL_TECHNOLOGIES = environment.technologies(env.str("DIAL_TECHNOLOGIES", "PJSIP"))
LOCAL_CONTEXTS = environment.local_contexts(env.str("LOCAL_CONTEXTS", ""))
# Through how many switches of ours a call may go; one that comes more often runs in a circle.
MAX_HOPS = environment.integer("MAX_HOPS", env.str("MAX_HOPS", "1"), minimum=1, maximum=20)
# What a new account may dial besides telephone numbers: emergency numbers around the world.
SHORT_CODES = environment.short_codes(
    env.str("SHORT_CODES", "000 10x 11x 15 17 18 19x 911 999 116xxx")
)
# Refusals a second of an account or a source that are looked at; then it is refused at the door.
REFUSALS_PER_S = environment.integer(
    "REFUSALS_PER_S", env.str("REFUSALS_PER_S", "5"), minimum=0, maximum=10_000
)
# What a new account may use, until somebody gives it more; 0 or nothing: no such limit.
NEW_ACCOUNT_MAX_CALLS = environment.integer(
    "NEW_ACCOUNT_MAX_CALLS", env.str("NEW_ACCOUNT_MAX_CALLS", "10"), minimum=0, maximum=100_000
)
NEW_ACCOUNT_MINUTES_A_DAY = environment.integer(
    "NEW_ACCOUNT_MINUTES_A_DAY",
    env.str("NEW_ACCOUNT_MINUTES_A_DAY", "600"),
    minimum=0,
    maximum=100_000_000,
)
NEW_ACCOUNT_PREFIXES = environment.allowed_prefixes(env.str("NEW_ACCOUNT_PREFIXES", "own"))
# Past calls that "What would this change?" in the admin looks at.
REPLAY_CALLS = environment.integer(
    "REPLAY_CALLS", env.str("REPLAY_CALLS", "1000"), minimum=1, maximum=20_000
)
# Days for which the traces of calls are kept, and those of calls that failed. 0 keeps none.
TRACE_DAYS = environment.integer("TRACE_DAYS", env.str("TRACE_DAYS", "7"), minimum=0, maximum=3650)
TRACE_FAILED_DAYS = environment.integer(
    "TRACE_FAILED_DAYS", env.str("TRACE_FAILED_DAYS", "30"), minimum=0, maximum=3650
)
# Whole months of call records that stay when `archive_cdrs` runs; 0: all, unless a month is named.
CDR_MONTHS = environment.integer("CDR_MONTHS", env.str("CDR_MONTHS", "0"), minimum=0, maximum=1200)
# Where archive_cdrs writes them.
ARCHIVE_FOLDER = env.str("ARCHIVE_FOLDER", str(BASE_DIR / "archive"))
# Days for which it is known which calls began, for the ledger. 0: for ever.
LEDGER_DAYS = environment.integer(
    "LEDGER_DAYS", env.str("LEDGER_DAYS", "100"), minimum=0, maximum=36_500
)
# Where large exports of call records are written by the records worker and read by the web process.
EXPORT_FOLDER = env.str("EXPORT_FOLDER", str(BASE_DIR / "exports"))

# Whose SIP run_sip_trace's messages are put into traces of, and where Asterisk sends them by HEP.
SIP_TRACE = environment.sip_trace(env.str("SIP_TRACE", "off"))
SIP_TRACE_BIND = environment.loopback_address(
    "SIP_TRACE_BIND", env.str("SIP_TRACE_BIND", "127.0.0.1:9060")
)

# Where calls go as traces by OpenTelemetry (OTLP over HTTP); empty: nowhere.
OTLP_TRACES_URL = environment.web_address("OTLP_TRACES_URL", env.str("OTLP_TRACES_URL", ""))

# Requests a second that one API token may make, twice as many at once. 0: no such limit.
API_REQUESTS_PER_S = environment.integer(
    "API_REQUESTS_PER_S", env.str("API_REQUESTS_PER_S", "20"), minimum=0, maximum=10_000
)

# Where run_metrics answers Prometheus, and what others than this machine must send for it.
METRICS_BIND = environment.address(
    "METRICS_BIND", env.str("METRICS_BIND", "127.0.0.1:8001"), example="127.0.0.1:8001"
)
METRICS_TOKEN = environment.token("METRICS_TOKEN", env.str("METRICS_TOKEN", ""))

# Webhooks: what may be told besides public hosts over https; the pauses before each further
# attempt, in seconds, two days by default; and the days for which deliveries are kept.
WEBHOOK_ALLOW_HTTP = environment.boolean(
    "WEBHOOK_ALLOW_HTTP", env.str("WEBHOOK_ALLOW_HTTP", "false")
)
WEBHOOK_ALLOW_PRIVATE = environment.networks(
    "WEBHOOK_ALLOW_PRIVATE", env.str("WEBHOOK_ALLOW_PRIVATE", "")
)
WEBHOOK_RETRY_S = environment.pauses(
    "WEBHOOK_RETRY_S",
    env.str("WEBHOOK_RETRY_S", "5,30,120,600,1800,3600,7200,14400,28800,50400,64800"),
)
WEBHOOK_DAYS = environment.integer(
    "WEBHOOK_DAYS", env.str("WEBHOOK_DAYS", "7"), minimum=3, maximum=3650
)

# Django

# Where the Procfile's web process serves, which health asks.
WEB_BIND = env.str("WEB_BIND", "127.0.0.1:8000")
DEBUG = environment.debug(
    env.str("DEBUG", "false"), bind=env.str("WEB_BIND", ""), command_line=sys.argv
)
SECRET_KEY = environment.secret_key(env.str("SECRET_KEY", ""), debug=DEBUG)
ALLOWED_HOSTS = environment.allowed_hosts(
    env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1"])
)

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    # Its pages are found by project/urls.py: they are half of what a process reads at its start,
    # and one that serves none is back the sooner after it died.
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "auditlog",
    "axes",
    "csp",
    "django_otp",
    "django_otp.plugins.otp_static",
    "django_otp.plugins.otp_totp",
    "calls",
    "cdr",
    "ari_bridge",
    "project",
]

MIDDLEWARE = [
    "project.access.address.ClientAddress",
    "calls.api.middleware.EveryErrorIsAProblem",
    "project.access.hygiene.Hygiene",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "project.access.second_factor.SecondFactor",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "project.zones.ViewerZone",
    "csp.middleware.CSPMiddleware",
    "project.access.audit.Audited",
    # Puts the page of a lock in place of the answer, so it comes last.
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # Before unfold's own, a few of which are replaced.
        "DIRS": [BASE_DIR / "project" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "project.version.in_pages",
            ],
        },
    },
]

DATABASES = {
    "default": environment.database(
        env.str("DATABASE_URL", "") or f"sqlite:///{BASE_DIR / 'ringmaster.sqlite3'}",
        ca_file=TLS_CA_FILE,
        pooled=environment.boolean("DATABASE_POOLED", env.str("DATABASE_POOLED", "false")),
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
FORMAT_MODULE_PATH = "project.formats"
USE_I18N = True

# WhiteNoise serves the admin's files straight from the packages, so that no collectstatic has to
# run before the first start. STATIC_ROOT is for those who let their web server do it.
STATIC_URL = "static/"
STATIC_ROOT = env.str("STATIC_ROOT", "") or None
WHITENOISE_USE_FINDERS = True

# Security. HTTPS=true is for an admin behind a proxy that speaks TLS, sets X-Forwarded-Proto and
# lets no client set it; without it, cookies must also travel over http, as on 127.0.0.1.

HTTPS = environment.boolean("HTTPS", env.str("HTTPS", "false"))
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
# Proxies in front of the admin: so many entries at the end of X-Forwarded-For are believed.
PROXIES = environment.integer(
    "PROXIES", env.str("PROXIES", "1" if HTTPS else "0"), minimum=0, maximum=9
)
SESSION_COOKIE_AGE = 3600 * environment.integer(
    "SESSION_HOURS", env.str("SESSION_HOURS", "10"), minimum=1, maximum=168
)
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
DEFAULT_EXCEPTION_REPORTER = "project.secrecy.DiscreetReporter"
DEFAULT_EXCEPTION_REPORTER_FILTER = "project.secrecy.DiscreetFilter"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^health/", r"^metrics$"]
    SECURE_HSTS_SECONDS = 30 * 24 * 3600
    # The browser's promise holds for this host alone: what else its domain serves is not known
    # here, so neither subdomains (security.W005) nor the preload list (W021) are promised for.
    SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

# Signing in. Wrong ones are counted for the name and for the address, each by itself: a password
# is not tried out from a thousand addresses, nor a thousand names from one. Tries during a lock do
# not make it longer, or a stranger could keep the staff out for good.

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AXES_LOCKOUT_PARAMETERS = ["username", "ip_address"]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_CALLABLE = "project.access.lock.locked_out"
AXES_ENABLE_ADMIN = False
# Where a sign-in leads whose address names no page of ours to go on to.
LOGIN_REDIRECT_URL = "admin:index"
AXES_VERBOSE = False
AXES_CLIENT_STR_CALLABLE = "project.access.lock.who"
# A lock in the log is of use with the name and the address only; passwords are never noted.
AXES_SENSITIVE_PARAMETERS: list[str] = []
TWO_FACTOR = environment.one_of(
    "TWO_FACTOR", env.str("TWO_FACTOR", "offered"), ("offered", "required")
)
OTP_TOTP_ISSUER = "Ringmaster"
OTP_TOTP_SYNC = True

# The audit log: calls/models/changes.py. Values keep their types, so that a change can be reverted.

AUDITLOG_LOGENTRY_MODEL = "calls.Change"
AUDITLOG_STORE_JSON_CHANGES = True

# What a page may load and run: files of ours, and no script written into the page. Alpine, which
# django-unfold is built on, compiles its attributes to functions and so needs 'unsafe-eval'; its
# charts and Alpine's own attributes need styles in the page.

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, UNSAFE_EVAL, NONCE],
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# Logs: one line an entry, to stderr, where the process's supervisor collects them.

LOG_LEVEL = environment.log_level(env.str("LOG_LEVEL", "INFO"))
LOG_FORMAT = environment.choice("LOG_FORMAT", env.str("LOG_FORMAT", "text"), ("text", "json"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"()": "project.logs.formatter", "form": LOG_FORMAT},
    },
    "filters": {
        "strangers_without_traceback": {
            "()": "django.utils.log.CallbackFilter",
            "callback": strangers_without_traceback,
        },
        "unless_health": {"()": "django.utils.log.CallbackFilter", "callback": unless_health},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stderr",
            "formatter": "line",
            # Anybody can bring these about, and fourteen lines each would bury what matters.
            "filters": ["strangers_without_traceback"],
        }
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # Django gives this logger a handler of its own; one line an entry is enough.
        "django": {"handlers": [], "level": LOG_LEVEL, "propagate": True},
        "django.request": {"filters": ["unless_health"]},
        "axes": {"level": "WARNING"},
        # Two lines for each nudge say nothing about a call and cost a fifth of the hot worker.
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
    },
}

# Celery. A task is a nudge: losing one loses nothing, as what must not be lost lives in Redis.

CELERY_BROKER_URL = tls.redis_url(
    environment.broker_url("CELERY_BROKER_URL", env.str("CELERY_BROKER_URL", _REDIS_URL)),
    TLS_CA_FILE,
)
# Celery looks for CELERY_BROKER_URL in the environment before it asks these settings, and would
# take it as it was written there; these two it takes from here.
CELERY_BROKER_READ_URL = CELERY_BROKER_WRITE_URL = CELERY_BROKER_URL
CELERY_BROKER_USE_SSL = tls.amqp_options(CELERY_BROKER_URL, TLS_CA_FILE)
# Told in the log at every start, by project/apps.py.
OPEN_DOORS = environment.unlocked_redis(
    {
        "REDIS_URL": REDIS_URL,
        "LIMITS_REDIS_URL": LIMITS_REDIS_URL,
        "CELERY_BROKER_URL": CELERY_BROKER_URL,
    }
)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
if CELERY_BROKER_URL.startswith("redis"):
    # Ack emulation costs two blocking round trips a task and saves none on kill -9.
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "ack_emulation": False,
        "priority_steps": [0],
        "socket_keepalive": True,
        "socket_connect_timeout": 2,
        "health_check_interval": 10,
    }
else:
    CELERY_BROKER_TRANSPORT_OPTIONS = {"confirm_publish": True}
    CELERY_TASK_DEFAULT_QUEUE_TYPE = "quorum"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_EVENT_SERIALIZER = "json"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "calls"
CELERY_WORKER_PREFETCH_MULTIPLIER = 4
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Else whoever reaches the broker could stop a worker, raise its log level or revoke tasks.
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 5.0
CELERY_ENABLE_UTC = True
CELERY_TIMEZONE = TIME_ZONE
# Tasks after which Celery closes the database connection: closing it around every task brings a
# worker from 3,000 tasks a second down to 180.
CELERY_DB_REUSE_MAX = 1_000_000

UNFOLD = {
    "SITE_TITLE": "Ringmaster",
    "SITE_HEADER": "Ringmaster",
    "SITE_SUBHEADER": "Call control for Asterisk",
    "SITE_SYMBOL": "call",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": favicon}],
    "DASHBOARD_CALLBACK": "calls.admin.dashboard.context",
    "STYLES": [style],
    "SCRIPTS": [times_script, lists_script],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SIDEBAR": {"show_search": False, "navigation": SECTIONS},
}
