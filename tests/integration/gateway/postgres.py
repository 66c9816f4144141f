"""A PostgreSQL server that is started for tests."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Postgres:
    binaries: Path
    data: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql://lesionserve@127.0.0.1:{self.port}/postgres"

    def run(self, program: str, *arguments: str) -> None:
        # PostgreSQL refuses to run as root.
        user = {"user": "postgres", "group": "postgres", "extra_groups": []}
        command = [str(self.binaries / program), "-D", str(self.data), *arguments]
        subprocess.run(
            command,
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
            timeout=60,
            **(user if os.geteuid() == 0 else {}),
        )

    def run_sql(self, statement: str) -> str:
        """The rows, a line each, their columns with | between."""
        command = [str(self.binaries / "psql"), "-At", "-c", statement, self.url]
        return subprocess.check_output(command, text=True, timeout=60)

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.data} -c fsync=off"
        self.run("pg_ctl", "-w", "-l", str(self.data / "log"), "-o", options, "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-w", "-m", "fast", "stop")


def binaries() -> Path | None:
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))  # Debian's place
    program = str(installed[-1]) if installed else shutil.which("initdb")
    return Path(program).parent if program else None


@contextmanager
def running_postgres(folder: Path) -> Iterator[Postgres]:
    """A new server of the programs in the folder, with no data but its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = Path(tempfile.mkdtemp(prefix="lesionserve-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(data, "postgres", "postgres")
    server = Postgres(folder, data, port)
    try:
        server.run("initdb", "-U", "lesionserve", "-A", "trust", "-E", "UTF8", "--no-sync")
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(data)
