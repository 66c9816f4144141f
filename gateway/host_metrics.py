"""Metrics of the gateway's host: its certificates, its disk, and its version."""

import shutil
from importlib.metadata import version
from pathlib import Path

import structlog
from django.conf import settings
from prometheus_client import Gauge

from gateway.certificates import first_expiry
from gateway.metrics import last_known, set_unknown

logger = structlog.stdlib.get_logger(__name__)

_CERTIFICATE = last_known(
    "lesionserve_gateway_certificate_expires_timestamp_seconds",
    "When the certificate expires, in seconds since 1970; 0 where it cannot be read.",
    ["certificate"],
)
DISK_FREE = last_known(
    "lesionserve_gateway_disk_free_bytes", "Free bytes of the disk of the SQLite file."
)
DISK_SIZE = last_known("lesionserve_gateway_disk_size_bytes", "Bytes of the same disk.")
INFO = Gauge(
    "lesionserve_gateway_info", "1, with the version.", ["version"], multiprocess_mode="livemax"
)

_certificates = {name: _CERTIFICATE.labels(name) for name in settings.CERTIFICATES}
for gauge in (DISK_FREE, DISK_SIZE, *_certificates.values()):
    set_unknown(gauge)
INFO.labels(version("lesionserve")).set(1)


def refresh_host_metrics() -> None:
    """Read the metrics of the files; blocking, without the database."""
    usage = shutil.disk_usage(_folder())
    DISK_FREE.set(usage.free)
    DISK_SIZE.set(usage.total)
    for name, path in settings.CERTIFICATES.items():
        _certificates[name].set(_expiry(name, path))


def _expiry(name: str, path: Path) -> float:
    try:
        return first_expiry(path)
    except (OSError, ValueError):
        logger.exception("a certificate cannot be read", certificate=name)
        return 0.0


def _folder() -> Path:
    """Return the folder of the SQLite file, or the working folder for another database."""
    database = settings.DATABASES["default"]
    is_file = database["ENGINE"] == "django.db.backends.sqlite3"
    return Path(database["NAME"]).parent if is_file else Path.cwd()
