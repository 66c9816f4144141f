"""Whether readiness knows that a record can be written, in a process of its own."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.paths import ROOT
from tests.integration.gateway.databases import Database, Databases

# Says for each step of `{steps}` whether readiness is refused, and whether a record is.
SCRIPT = """
import asyncio, logging, os, resource, signal, sqlite3, sys
import django
django.setup()
logging.disable()
from django.db import Error, connection
from gateway.database import DatabaseUnavailable, close_connections, in_database
from gateway.predict.readiness import require_writable
from gateway.audit.models import Record

FILE = connection.settings_dict["NAME"]

def works(what):
    try:
        asyncio.run(what)
    except DatabaseUnavailable:
        return False
    return True

def record():
    import uuid
    Record.objects.close(Record(request_id=uuid.uuid4(), state="rejected"))

def say(step):
    print(step, works(require_writable()), works(in_database(record)), flush=True)

def limit_files(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

say("at first")
{steps}
"""
FULL = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit_files(os.path.getsize(FILE + "-wal"))
while works(in_database(record)):
    pass
say("full")
limit_files(resource.RLIM_INFINITY)
say("with room again")
"""
READ_ONLY = """
close_connections()
os.chmod(FILE, 0o444)
if os.geteuid() == 0:
    os.setuid(65534)  # root may write whatever the mode says
say("read-only")
"""
DAMAGED = """
close_connections()
with open(FILE, "r+b") as file:
    file.write(b"no database " * 1000)
say("damaged")
"""
GONE = """
os.rename(FILE, FILE + ".away")
say("gone")
os.rename(FILE + ".away", FILE)
say("back")
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that another user may enter."""
    made = Path(tempfile.mkdtemp(prefix="lesionserve-tests-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.mark.parametrize(
    ("steps", "lines"),
    [
        (FULL, ["full False False", "with room again True True"]),
        (READ_ONLY, ["read-only False False"]),
        (DAMAGED, ["damaged False False"]),
        (GONE, ["gone False False", "back True True"]),
    ],
    ids=["full", "read-only", "damaged", "gone"],
)
def test_gateway_is_ready_only_while_it_can_write_records(
    of_sqlite: Databases, folder: Path, steps: str, lines: list[str]
):
    made = of_sqlite.empty().url.removeprefix("sqlite:///")
    path = shutil.copy(made, folder)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("{steps}", steps)],
        env=Database(f"sqlite:///{path}").environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.splitlines() == ["at first True True", *lines], done.stderr
