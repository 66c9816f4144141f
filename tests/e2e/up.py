"""A running `lesionserve up`, and how the tests wait for it."""

import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import httpx
import psutil

from cluster.launcher.process_roles import role_of
from cluster.launcher.ready_file import Ready
from serve_app.paths import ROOT
from tests.waiting import until

COMMAND = Path(sys.executable).with_name("lesionserve")
IMAGE = (ROOT / "weights/example.jpg").read_bytes()
START_WITHIN_S, STOP_WITHIN_S = 300, 60
PROXIES = dict.fromkeys(
    ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "grpc_proxy"), "http://127.0.0.1:9"
) | {"ALL_PROXY": "socks5://127.0.0.1:9", "NO_PROXY": "hospital.example"}


class Up:
    """A running `lesionserve up`, with everything it writes."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        environment: Mapping[str, str] = MappingProxyType({}),
        cwd: Path | None = None,
    ) -> None:
        # Short, as a path for sockets has to be, or it would be left for /tmp.
        self.temp = Path(tempfile.mkdtemp(prefix="up-", dir="/tmp"))
        self._output = folder / "output"
        self.ready_file = folder / "ready.json"
        arguments = ["--data", folder / "data", "--ready-file", self.ready_file, *options]
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [COMMAND, "up", *arguments],
                # Whatever it keeps for itself lies below, and is seen by the tests.
                # No proxy is asked for anything on this machine.
                env={**os.environ, **PROXIES, "TMPDIR": str(self.temp), "COLUMNS": "200"}
                | dict(environment),
                cwd=cwd,
                stdout=output,
                stderr=output,
                # Where the tests run in the background, SIGINT is ignored, and that is inherited.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def until_ready(self) -> None:
        until(lambda: self.ready_file.exists() or self.process.poll() is not None, START_WITHIN_S)
        assert self.process.poll() is None, self.output
        ready = Ready.model_validate_json(self.ready_file.read_bytes())
        assert ready.pid == self.process.pid
        self.ca, self.key, self.url = ready.ca, ready.key, ready.url

    def post(self, image: bytes = IMAGE, key: str | None = None, query: str = "") -> httpx.Response:
        return httpx.post(
            f"{self.url}/predict/{query}",
            files={"file": ("a.jpg", image)},
            headers={"X-API-Key": key or self.key},
            timeout=60,
            verify=ssl.create_default_context(cafile=self.ca),
        )

    def processes(self) -> dict[psutil.Process, str]:
        """Every process that comes from it, with its command line."""
        processes = {}
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                processes[process] = " ".join(process.cmdline())
            except psutil.NoSuchProcess:
                continue
        return processes

    def listening(self) -> dict[tuple[str, int], str]:
        """Every address that one of its processes listens on, with that one's command line."""
        addresses = {}
        for process, title in self.processes().items():
            for connection in process.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN:
                    ip, port = connection.laddr
                    addresses[ip.removeprefix("::ffff:"), port] = title
        return addresses

    def process_of(self, name: str) -> psutil.Process:
        for process, title in self.processes().items():
            role = role_of(title)
            if role is not None and role.name == name:
                return process
        raise AssertionError(f"there is no {name}")


def is_gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def running(
    folder: Path,
    *options: str,
    environment: Mapping[str, str] = MappingProxyType({}),
    cwd: Path | None = None,
) -> Iterator[Up]:
    up = Up(folder, *options, environment=environment, cwd=cwd)
    try:
        up.until_ready()
        yield up
    finally:
        up.process.terminate()
        up.process.wait(STOP_WITHIN_S)
        shutil.rmtree(up.temp)


def manage(data: Path, command: str) -> subprocess.CompletedProcess:
    """One of the gateway's commands, as docs/operations.md has it."""
    line = f"set -a; . {data}/gateway.env; set +a; {sys.executable} -m gateway.manage {command}"
    return subprocess.run(["sh", "-c", line], cwd=ROOT, capture_output=True, text=True)
