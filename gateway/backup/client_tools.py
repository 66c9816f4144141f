"""Run PostgreSQL's client programs without a password in their arguments or on the disk."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from psycopg.pq import Conninfo

from gateway.backup.errors import BackupError
from pipeline.text import one_line

_SERVICE = "lesionserve"


@contextmanager
def running(program: str, *arguments: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run one of the programs on the gateway's database. Raise BackupError where it fails.

    It reads how to connect from a file in memory, which ends with its processes. It is killed where
    the block raises.
    """
    path = shutil.which(program)
    if path is None:
        raise BackupError(f"{program} is not installed (Debian: postgresql-client)")
    descriptor = _service_file()
    environment = {
        **os.environ,
        "PGSERVICEFILE": f"/proc/self/fd/{descriptor}",
        "PGSERVICE": _SERVICE,
    }
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                [path, *arguments],
                env=environment,
                pass_fds=[descriptor],
                stdin=subprocess.DEVNULL,
                stderr=errors,
                **options,
            )
        finally:
            os.close(descriptor)
        with process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            errors.seek(0)
            reason = one_line(errors.read(10_000).decode(errors="replace").strip())
            raise BackupError(f"{program} failed: {reason or process.returncode}")


def _service_file() -> int:
    """Return a descriptor of a connection service file (libpq) that has no name."""
    lines = [f"[{_SERVICE}]", *_service_lines(connection.get_connection_params())]
    descriptor = os.memfd_create("lesionserve-service", 0)
    with open(os.dup(descriptor), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return descriptor


def _service_lines(parameters: dict[str, Any]) -> Iterator[str]:
    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    for name, value in parameters.items():
        if name not in known or value is None:
            continue
        text = str(value)
        if text != text.strip() or not text.isprintable():
            raise BackupError(
                f"{name} in DATABASE_URL begins or ends with a space, or has a control character, "
                "which PostgreSQL's client programs cannot read"
            )
        yield f"{name}={text}"
