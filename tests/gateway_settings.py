"""The settings of the gateway for the tests: its own module, with a test database.

`DATABASE_URL` selects the database server; the test database is created anew, and removed.
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
    # All tests come from one address, and many requests fail on purpose.
    "LESIONSERVE_FAILURES_PER_MINUTE": "100000",
    "LESIONSERVE_ALLOWED_HOSTS": "localhost,127.0.0.1",
    "DATABASE_URL": os.environ.get("DATABASE_URL", "sqlite:////nonexistent/database"),
}

# Set the variables for the import only: processes that tests start must not inherit them.
with patch.dict(os.environ, _ENVIRONMENT):
    from gateway.settings import *  # noqa: F403
    from gateway.settings import DATABASES

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Use a file: an SQLite database in memory has neither WAL nor waiting for a lock.
    _folder = tempfile.TemporaryDirectory(prefix="lesionserve-tests-")
    DATABASES["default"]["TEST"] = {"NAME": str(Path(_folder.name) / "gateway.sqlite3")}
    DATABASES["default"]["OPTIONS"]["timeout"] = 2  # seconds that tests wait for a held lock
    # Each test empties the database; no power fails meanwhile.
    DATABASES["default"]["OPTIONS"]["init_command"] += "; PRAGMA synchronous=OFF"

# A password takes a moment by the real one, and hundreds of tests sign in.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
