"""Configure the document's Django gateway, with the keys and audit rows that a clinic has to add.

SQLite as Django's users tune it: a write-ahead log without a flush for each row, connections that
stay open, and transactions that wait for the lock instead of failing.
"""

import os

ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "benchmarks.peers.gateway.urls"
SECRET_KEY = "of a benchmark on the loopback address"
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
INSTALLED_APPS = ["benchmarks.peers.gateway"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["BENCHMARK_DATABASE"],
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
        },
    }
}
