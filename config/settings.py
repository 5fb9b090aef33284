"""Every setting of Prefloop. The README's table of settings is tested against this file."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from config import environment as env

BASE_DIR = Path(__file__).resolve().parent.parent

# Web and workers share this folder: database (when embedded), models, snapshots, runs, exports.
DATA_DIR = env.data_dir()
DATA_DIR.mkdir(mode=0o755, parents=True, exist_ok=True)

DEBUG = env.flag("PREFLOOP_DEBUG", default=False)
SECRET_KEY = env.text("SECRET_KEY") or env.generated_secret(DATA_DIR / "secret-key")
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS")

PUBLIC_URL = env.text("PUBLIC_URL")
_public = urlsplit(PUBLIC_URL)
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"] + (
    [_public.hostname] if _public.hostname else []
)
CSRF_TRUSTED_ORIGINS = [f"{_public.scheme}://{_public.netloc}"] if PUBLIC_URL else []

# What encrypts the keys of providers, newest first; else core/secret_keys.py makes one.
SECRET_ENCRYPTION_KEYS = env.words("PREFLOOP_SECRET_KEYS")
# Origins inside this network that people may send calls to (core/egress.py): http://localhost:8000
EGRESS_ORIGINS = env.words("PREFLOOP_EGRESS_ORIGINS")

# Where `make run` listens, and with how many web processes.
HOST = env.text("PREFLOOP_HOST", "127.0.0.1")
PORT = env.number("PREFLOOP_PORT", 8000)
WEB_PROCESSES = env.number("PREFLOOP_WEB_PROCESSES", 2)

# Models that the launch form offers: sub-folders of these, and these hub names.
MODEL_DIRS = [Path(word) for word in env.words("PREFLOOP_MODEL_DIRS")] + [DATA_DIR / "models"]
MODEL_HUB_NAMES = env.words("PREFLOOP_MODEL_HUB_NAMES")
# Devices that the launch form offers; "auto" takes a GPU when the worker has one.
TRAINING_DEVICES = env.words("PREFLOOP_TRAINING_DEVICES") or ["auto", "cpu", "cuda"]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "django_htmx",
    "axes",
    "csp",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "core",
    "annotation",
    "feedback",
    "training",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "core.sessions.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "core.middleware.ErrorMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
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


def _database(url: str) -> dict[str, object]:
    parts = urlsplit(url)
    options = dict(pair.split("=", 1) for pair in parts.query.split("&") if "=" in pair)
    # Requests repeat the same few statements: planned once a connection, they cost far less.
    prepared = {"server_side_binding": True, "prepare_threshold": 3}
    # Workers set 0: a pool does not survive the forks of Celery's processes.
    pool = {"min_size": 1, "max_size": env.number("PREFLOOP_DATABASE_POOL", 8), "timeout": 20}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        # A socket folder travels in ?host=/folder, as libpq has it.
        "HOST": unquote(options.pop("host", "") or parts.hostname or ""),
        "PORT": str(parts.port or options.pop("port", "")),
        "OPTIONS": {**options, **prepared, **({"pool": pool} if pool["max_size"] else {})},
        # A connection that died with the server is replaced instead of failing a request.
        "CONN_HEALTH_CHECKS": True,
    }


# Without it, manage.py starts the embedded server of the data directory and sets it.
DATABASE_URL = env.text("DATABASE_URL")
DATABASES = {"default": _database(DATABASE_URL or "postgresql:///prefloop")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "core.User"
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
# Wrong passwords are counted by account and device: core/sign_in_limits.py says why.
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
# Tries while locked out do not make it longer, so nobody can keep an account shut for ever.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_LOCKOUT_PARAMETERS = [["username", "user_agent"]]
AXES_USERNAME_CALLABLE = "core.sign_in_limits.counted_name"
AXES_CLIENT_IP_CALLABLE = "core.sign_in_limits.no_address"
AXES_SENSITIVE_PARAMETERS = ["username", "old_password", "new_password1", "new_password2"]
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
# The sign-in page asks axes itself, so no other request pays for its middleware; addresses are
# left out on purpose, and what it calls the user agent is a signed device that nobody can invent.
SILENCED_SYSTEM_CHECKS = ["axes.W002", "axes.W006"]
# A link for a new password serves once, within two days.
PASSWORD_RESET_TIMEOUT = 2 * 24 * 3600

LOGIN_URL = "core:sign-in"
LOGIN_REDIRECT_URL = "core:home"
LOGOUT_REDIRECT_URL = "core:home"

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_ENGINE = "core.sessions"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _public.scheme == "https"
# Browsers take a cookie named so only over TLS, from this host itself and for all of its paths.
_host = "__Host-" if SESSION_COOKIE_SECURE else ""
SESSION_COOKIE_NAME = f"{_host}sessionid"
CSRF_COOKIE_NAME = f"{_host}csrftoken"
DEVICE_COOKIE_NAME = f"{_host}device"
CSRF_COOKIE_HTTPONLY = True
SECURE_SSL_REDIRECT = False
SECURE_HSTS_SECONDS = 31_536_000 if _public.scheme == "https" else 0
_behind_proxy = env.flag("PREFLOOP_BEHIND_PROXY", default=False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _behind_proxy else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}
# Imports arrive as uploads; the importer streams them and has limits of its own.
DATA_UPLOAD_MAX_MEMORY_SIZE = 20 * 1024 * 1024
FILE_UPLOAD_PERMISSIONS = 0o600

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "static/"
# Static files are served straight from the apps, so that no collect step can be forgotten.
WHITENOISE_USE_FINDERS = True

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "core.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["core.permissions.Closed"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["core.api.parsers.JsonParser"],
    "DEFAULT_PAGINATION_CLASS": "core.pagination.Pages",
    "DEFAULT_SCHEMA_CLASS": "core.api.schema.Schema",
    "EXCEPTION_HANDLER": "core.api_errors.api_exception_handler",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Prefloop",
    "DESCRIPTION": "Collect preferences, measure agreement, freeze datasets, train, promote.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": ["core.api.schema.document_errors"],
    "TAGS": [
        {"name": "annotation", "description": "Who is asked what, and what they answered."},
        {"name": "feedback", "description": "Do they agree, what is accepted, what is frozen."},
        {"name": "training", "description": "From a snapshot to a model version, and back."},
        {"name": "core", "description": "Jobs and tokens."},
    ],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# Celery: the message is a wake-up hint, the job row is the truth.
CELERY_BROKER_URL = env.text("CELERY_BROKER_URL")
# Containers ask by this file's age whether a worker lives.
ALIVE_FILE = env.text("PREFLOOP_ALIVE_FILE")
SWEEP_SECONDS = env.number("PREFLOOP_SWEEP_SECONDS", 10)
JOB_LEASE_SECONDS = env.number("PREFLOOP_JOB_LEASE_SECONDS", 60)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    # One line a call to a judge would drown the rest.
    "loggers": {"httpx2": {"level": "WARNING"}},
    "root": {"handlers": ["stderr"], "level": env.text("PREFLOOP_LOG_LEVEL", "INFO")},
}
