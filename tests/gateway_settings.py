"""The gateway's settings as the tests run it: its own module, on a database of its own.

`DATABASE_URL` chooses the kind of database; the test database is made anew, and removed.
"""

import os
import tempfile
from pathlib import Path
from unittest.mock import patch

_ENVIRONMENT = {
    "LESIONSERVE_SECRET_KEY": "a secret key that is good enough for nothing but tests",
    "LESIONSERVE_SERVICE_TOKEN": "a service token for nothing but tests",
    "LESIONSERVE_AUDIT_KEY": "an audit key for nothing but tests",
    "LESIONSERVE_HTTPS_ONLY": "false",
    # The tests come from one address and fail a lot.
    "LESIONSERVE_FAILURES_PER_MINUTE": "100000",
    "LESIONSERVE_ALLOWED_HOSTS": "localhost,127.0.0.1",
    "DATABASE_URL": os.environ.get("DATABASE_URL", "sqlite:////nonexistent/database"),
}

# For the import alone: processes that tests start must not inherit any of it.
with patch.dict(os.environ, _ENVIRONMENT):
    from gateway.settings import *  # noqa: F403
    from gateway.settings import DATABASES

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A file: an SQLite database in memory knows neither WAL nor waiting for a lock.
    _folder = tempfile.TemporaryDirectory(prefix="lesionserve-tests-")
    DATABASES["default"]["TEST"] = {"NAME": str(Path(_folder.name) / "gateway.sqlite3")}
    DATABASES["default"]["OPTIONS"]["timeout"] = 2  # what the tests of a held lock wait for
