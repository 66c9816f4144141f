import os
from datetime import timedelta
from pathlib import Path

from csp.constants import NONE, SELF

from gateway.environment import Environment
from gateway.errors import LOCKOUT_S
from gateway.logs import configure
from gateway.static_address import keep_for_good, static_address
from pipeline.http.multipart import FRAME_BYTES

ENVIRONMENT = Environment.read(os.environ)

# Debug mode of Django stays off: its error pages are HTML with tracebacks and settings.
DEBUG = False
SECRET_KEY = ENVIRONMENT.secret(ENVIRONMENT.secret_key)
ALLOWED_HOSTS = ENVIRONMENT.allowed_hosts
METRICS_HOSTS = ENVIRONMENT.metrics_hosts
DATABASES = ENVIRONMENT.databases()
DATABASE_IS_GIVEN = ENVIRONMENT.is_database_given

# The connection to the ingress
UPSTREAM_URL = ENVIRONMENT.upstream_url
UPSTREAM_CA = ENVIRONMENT.upstream_ca
UPSTREAM_CERTIFICATE = ENVIRONMENT.upstream_certificate
CERTIFICATES = ENVIRONMENT.certificates()  # whose expiry is among the metrics
SERVICE_TOKEN = ENVIRONMENT.secret(ENVIRONMENT.service_token)
DEADLINE_S = ENVIRONMENT.deadline_s

# The limits of one client, and of all together
RATES = ENVIRONMENT.rates
REDIS_URL = ENVIRONMENT.redis_url
MAX_IN_FLIGHT = ENVIRONMENT.max_in_flight
IDEMPOTENCY_S = ENVIRONMENT.idempotency_s

# The probe that this gateway sends itself; None without a key
PROBE = ENVIRONMENT.probe

# The token of Alertmanager's webhook; None where no alerts are taken
ALERTS_TOKEN = ENVIRONMENT.alerts
PROMETHEUS_URL = ENVIRONMENT.prometheus_url

# The key that every visitor of a public demo uses; None for every other gateway
PUBLIC_DEMO_KEY = ENVIRONMENT.public_demo_key

# The audit trail: the key of its seals, and how long it is kept (None: for ever)
AUDIT_KEY = ENVIRONMENT.secret(ENVIRONMENT.audit_key)
RETENTION_DAYS = ENVIRONMENT.retention_days

# The watch of the model: how long the numbers of an image are kept, and the chance of a false alarm
# for an organisation in a year
OBSERVATION_DAYS = ENVIRONMENT.observation_days
WATCH_ALPHA = ENVIRONMENT.watch_alpha

# How people sign in besides their password. OPENID is None without single sign-on.
SECOND_FACTOR = ENVIRONMENT.second_factor
REQUIRE_SECOND_FACTOR = ENVIRONMENT.require_second_factor  # roles
PASSWORDS = ENVIRONMENT.passwords
OPENID = ENVIRONMENT.openid

# The limits of a body
IMAGE_LIMITS = ENVIRONMENT.image_limits
MAX_UPLOAD_BYTES = IMAGE_LIMITS.max_bytes + FRAME_BYTES
MAX_FORM_BYTES = 256 * 1024  # all other requests: the admin's forms
# Above these sizes Django would write a body to disk; patients' images stay in memory.
FILE_UPLOAD_MAX_MEMORY_SIZE = max(MAX_UPLOAD_BYTES, MAX_FORM_BYTES)
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_FORM_BYTES
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000

INSTALLED_APPS = [
    "gateway",
    "gateway.people",
    "gateway.audit",
    "gateway.access",
    "gateway.usage",
    "gateway.predict",
    "gateway.monitor",
    "gateway.reviews",
    "gateway.web",
    "gateway.signin",
    "gateway.backup",
    "axes",
    "ninja",  # its templates and static files: /docs works without a CDN
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
# For the pages only; /predict/ has its own endpoint (gateway.predict.endpoint).
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "gateway.people.current.current_request_middleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # locks accounts after wrong passwords
    "gateway.people.backends.PeopleBackend",
]
AXES_FAILURE_LIMIT = 5
AXES_LOCKOUT_PARAMETERS = "gateway.people.lockout.lockout_parameters"
AXES_USERNAME_CALLABLE = "gateway.people.lockout.typed_name"
AXES_CLIENT_IP_CALLABLE = "gateway.addresses.address_of_request"
AXES_COOLOFF_TIME = timedelta(seconds=LOCKOUT_S)
AXES_RESET_ON_SUCCESS = True
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "code", "credential"]
AXES_DISABLE_ACCESS_LOG = True  # the audit trail records it instead
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"
CSRF_FAILURE_VIEW = "gateway.web.views.forged"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
# A public demo has no accounts, so nobody can sign in, administrate or operate it.
ROOT_URLCONF = "gateway.urls" if PUBLIC_DEMO_KEY is None else "gateway.public_demo_urls"
ASGI_APPLICATION = "gateway.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = False  # a redirect would drop the body of a POST
# The languages of the pages. The cookie holds the choice of a person, or of nobody yet.
LANGUAGE_CODE = "en"
LANGUAGES = [
    ("en", "English"),
    ("es", "Español"),
    ("fr", "Français"),
    ("pt", "Português"),
    ("sw", "Kiswahili"),
]
LANGUAGE_COOKIE_AGE = 365 * 24 * 60 * 60
LANGUAGE_COOKIE_SECURE = True
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Strict"
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
# Browsers treat localhost as secure, so these work on a laptop without TLS.
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
SESSION_ENGINE = "gateway.people.sessions"
SESSION_COOKIE_AGE = 8 * 60 * 60  # a working day
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_SAMESITE = "Strict"
CSRF_COOKIE_SAMESITE = "Strict"
# The pages redirect to HTTPS. /predict/ refuses plain HTTP: a redirect would come after the image
# was sent in the clear. The monitoring routes answer plain HTTP; they do not reach Django.
HTTPS_ONLY = ENVIRONMENT.https_only
SECURE_SSL_REDIRECT = HTTPS_ONLY
SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # no HSTS for subdomains: a hospital's other hosts are not ours
    "security.W021",  # nor for the preload list of browsers
]
SECURE_REFERRER_POLICY = "same-origin"
# The origins that may show the clinician's page, and no other one, in a frame (gateway.frames).
FRAME_ANCESTORS = ENVIRONMENT.frame_ancestors
X_FRAME_OPTIONS = "DENY"
# Scripts and styles of our own only, and none inline: a class label that is a script stays text.
# `data:` and `blob:` are the pictures on the clinician's page.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

STATIC_URL = static_address(Path(__file__).parent)
STATIC_ROOT = Path(__file__).parent / "staticfiles"
# The packages' own files, listed once at start: there is no collectstatic step, and no path of a
# request reaches the file system.
SERVESTATIC_USE_FINDERS = True
SERVESTATIC_AUTOREFRESH = False
SERVESTATIC_ALLOW_ALL_ORIGINS = False
SERVESTATIC_ADD_HEADERS_FUNCTION = keep_for_good

# Traces: where their spans are sent (None: there are none), and the share of requests to /predict/
OTLP_ENDPOINT = ENVIRONMENT.otlp_endpoint
TRACE_SHARE = ENVIRONMENT.trace_share

LOGGING = configure(ENVIRONMENT.log_level, ENVIRONMENT.log_share)
