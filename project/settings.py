"""Django's and Ringmaster's settings, all from the environment or from ``.env`` beside manage.py.

A wrong value stops the start with a sentence that names the setting: see project/environment.py.
"""

from pathlib import Path

import environ

from project import environment
from project.navigation import SECTIONS, favicon

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
if (BASE_DIR / ".env").is_file():
    env.read_env(str(BASE_DIR / ".env"))

# Ringmaster

REDIS_URL = environment.redis_url("REDIS_URL", env.str("REDIS_URL", "redis://127.0.0.1:6379/0"))
LIMITS_REDIS_URL = environment.redis_url("LIMITS_REDIS_URL", env.str("LIMITS_REDIS_URL", REDIS_URL))
ARI_NODES = environment.ari_nodes(env.str("ARI_NODES", ""))
ARI_APP = environment.ari_app(env.str("ARI_APP", "ringmaster"))
CALLS_GATEWAY = environment.dotted_name(
    "CALLS_GATEWAY", env.str("CALLS_GATEWAY", "ari_bridge.gateway.AriGateway")
)
# Seconds after which a call is ended where its account says nothing else.
MAX_CALL_S = environment.integer(
    "MAX_CALL_S", env.str("MAX_CALL_S", "7200"), minimum=1, maximum=86_400
)
# Past calls that "What would this change?" in the admin looks at.
REPLAY_CALLS = environment.integer(
    "REPLAY_CALLS", env.str("REPLAY_CALLS", "1000"), minimum=1, maximum=20_000
)

# Django

DEBUG = environment.boolean("DEBUG", env.str("DEBUG", "false"))
SECRET_KEY = environment.secret_key(env.str("SECRET_KEY", ""), debug=DEBUG)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1"])

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "calls",
    "cdr",
    "ari_bridge",
    "project",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
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

DATABASES = {
    "default": environment.database(
        env.db_url("DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'ringmaster.sqlite3'}")
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
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
    SECURE_HSTS_SECONDS = 30 * 24 * 3600

# Logs: one line an entry, to stderr, where the process's supervisor collects them.

LOG_LEVEL = environment.log_level(env.str("LOG_LEVEL", "INFO"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "project.logs.OneLineFormatter",
            "format": "{asctime} {levelname} {name} {message}",
            "style": "{",
        }
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stderr",
            "formatter": "line",
        }
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # Django gives this logger a handler of its own; one line an entry is enough.
        "django": {"handlers": [], "level": LOG_LEVEL, "propagate": True},
        # Two lines for each nudge say nothing about a call and cost a fifth of the hot worker.
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
    },
}

# Celery. A task is a nudge: losing one loses nothing, as what must not be lost lives in Redis.

CELERY_BROKER_URL = environment.broker_url(
    "CELERY_BROKER_URL", env.str("CELERY_BROKER_URL", REDIS_URL)
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
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SIDEBAR": {"show_search": False, "navigation": SECTIONS},
}
