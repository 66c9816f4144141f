import os
from pathlib import Path

from gateway.environment import Environment

ENVIRONMENT = Environment.read(os.environ)

# Never Django's debug mode: its error pages are HTML with tracebacks and settings.
DEBUG = False
SECRET_KEY = ENVIRONMENT.secret(ENVIRONMENT.secret_key)
ALLOWED_HOSTS = ENVIRONMENT.allowed_hosts
DATABASES = ENVIRONMENT.databases()

# The hop to the ingress
UPSTREAM_URL = ENVIRONMENT.upstream_url
UPSTREAM_CA = ENVIRONMENT.upstream_ca
SERVICE_TOKEN = ENVIRONMENT.secret(ENVIRONMENT.service_token)
DEADLINE_S = ENVIRONMENT.deadline_s

# What a body may hold. The multipart frame around an image is small: a boundary and one header.
IMAGE_LIMITS = ENVIRONMENT.image_limits
MAX_UPLOAD_BYTES = IMAGE_LIMITS.max_bytes + 16 * 1024
MAX_FORM_BYTES = 256 * 1024  # every other request: the admin's forms
# Above these Django would write a body to disk; patients' images never touch it.
FILE_UPLOAD_MAX_MEMORY_SIZE = max(MAX_UPLOAD_BYTES, MAX_FORM_BYTES)
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_FORM_BYTES
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000

INSTALLED_APPS = [
    "gateway",
    "gateway.keys",
    "gateway.usage",
    "gateway.web",
    "ninja",  # its templates and static files: /docs works without a CDN
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
# For the pages; /predict/ goes without (gateway.proxy.handler).
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "gateway.web.content_security.content_security_middleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "gateway.urls"
ASGI_APPLICATION = "gateway.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = False  # a redirect would drop the body of a POST
USE_TZ = True
TIME_ZONE = "UTC"

AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
# Browsers treat localhost as secure, so these hold on a laptop without TLS too.
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

STATIC_URL = "/static/"
STATIC_ROOT = Path(__file__).parent / "staticfiles"
# The packages' own files, listed once at start: nothing to collect, and no path of a request
# ever reaches the file system.
SERVESTATIC_USE_FINDERS = True
SERVESTATIC_AUTOREFRESH = False
SERVESTATIC_ALLOW_ALL_ORIGINS = False

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": ENVIRONMENT.log_level},
    "loggers": {
        # httpx logs each request with its URL, on top of our own record.
        "httpx": {"level": "WARNING"},
        "django": {"handlers": ["stderr"], "level": ENVIRONMENT.log_level, "propagate": False},
    },
}
