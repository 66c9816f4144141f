"""A gateway as a process of its own, a crowd of clients, and the books of both compared."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx
import psutil

from benchmarks.stub import TOKEN, Service, Spec
from benchmarks.stub import serving as stub_serving
from cluster.launcher.ports import choose_ports
from cluster.launcher.process_roles import role_of
from serve_app.paths import ROOT
from tests.integration.gateway.client import jpeg
from tests.waiting import until

IMAGE = jpeg(640, 480)


@dataclass
class GatewayProcess:
    """uvicorn on a port that stays the same however often it is killed and started again."""

    environment: dict[str, str]
    port: int = field(default_factory=lambda: choose_ports([None])[0])

    def __post_init__(self) -> None:
        self.manage("migrate", "-v0")
        self.key = self.manage("issue_key", "--name", "a crowd").strip()
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "gateway.manage", *arguments]
        done = subprocess.run(
            command, env=self.environment, cwd=ROOT, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        command = [sys.executable, "-m", "uvicorn", "gateway.asgi:application"]
        command += ["--http", "gateway.protocol:GatewayProtocol"]
        command += ["--port", str(self.port), "--no-access-log", "--log-level", "error"]
        self.process = subprocess.Popen(
            command, env=self.environment, cwd=ROOT, stderr=subprocess.DEVNULL
        )
        until(lambda: self._answers(), 60)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def environment(folder: Path, upstream: str, **changes: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "gateway.settings",
        "LESIONSERVE_SECRET_KEY": "k" * 50,
        "LESIONSERVE_SERVICE_TOKEN": "t" * 32,
        "LESIONSERVE_AUDIT_KEY": "a" * 32,
        "LESIONSERVE_HTTPS_ONLY": "false",
        "LESIONSERVE_UPSTREAM_URL": upstream,
        "LESIONSERVE_REQUESTS_PER_MINUTE": "1000000",
        "LESIONSERVE_ORGANISATION_REQUESTS_PER_MINUTE": "1000000",
        "DATABASE_URL": f"sqlite:///{folder}/gateway.sqlite3",
        **changes,
    }


@contextmanager
def running(environment: dict[str, str]) -> Iterator[GatewayProcess]:
    gateway = GatewayProcess(environment)
    try:
        yield gateway
    finally:
        gateway.stop()


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one request: its status and id, or neither where the connection was lost."""

    status: int | None
    request_id: str | None
    seconds: float


@contextmanager
def whole_stack(
    folder: Path, spec: Spec, **changes: str
) -> Iterator[tuple[Service, GatewayProcess]]:
    """A gateway before a graph on a real Ray Serve, whose model only takes time."""
    (replicas,) = spec.replicas
    with stub_serving(spec) as service:
        upstream = f"{service.url}/{replicas}"
        token = {"LESIONSERVE_SERVICE_TOKEN": TOKEN}
        with running(environment(folder, upstream, **token, **changes)) as gateway:
            yield service, gateway


class Crowd:
    """Closed-loop clients in threads, each with a connection of its own, until `stop`."""

    def __init__(
        self, gateway: GatewayProcess, clients: int, image: bytes = IMAGE, pause_s: float = 0
    ) -> None:
        self._url, self._key = gateway.url, gateway.key
        self._image = image
        self._pause_s = pause_s  # between an answer and the next request
        self._stopping = threading.Event()
        self._failures: list[AssertionError] = []
        self.outcomes: list[Outcome] = []
        self._threads = [threading.Thread(target=self._client) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def wait_for(self, status: int, count: int = 1) -> None:
        """Wait until so many more requests have ended with this status, however long it takes."""
        wanted = statuses(list(self.outcomes))[status] + count
        until(lambda: statuses(list(self.outcomes))[status] >= wanted, 300)

    def stop(self) -> list[Outcome]:
        self._stopping.set()
        for thread in self._threads:
            thread.join(120)
        if self._failures:
            raise self._failures[0]
        return self.outcomes

    def _client(self) -> None:
        try:
            self._ask_until_stopped()
        except AssertionError as error:
            self._failures.append(error)

    def _ask_until_stopped(self) -> None:
        with httpx.Client(headers={"X-API-Key": self._key}, timeout=60, trust_env=False) as client:
            while not self._stopping.is_set():
                outcome = self._ask(client)
                self.outcomes.append(outcome)
                # After a refusal as Retry-After asks, but sooner.
                self._stopping.wait(self._pause_s if outcome.status == 200 else 0.05)

    def _ask(self, client: httpx.Client) -> Outcome:
        started = time.perf_counter()
        try:
            response = client.post(f"{self._url}/predict/", files={"file": ("a.jpg", self._image)})
        except httpx.TransportError:
            return Outcome(None, None, time.perf_counter() - started)
        seconds = time.perf_counter() - started
        if response.status_code == 200:
            assert response.json()["detections"]
        else:
            assert response.headers["content-type"] == "application/problem+json", response.text
        return Outcome(response.status_code, response.headers["x-request-id"], seconds)


def statuses(outcomes: list[Outcome]) -> Counter[int | None]:
    return Counter(outcome.status for outcome in outcomes)


def compare_books(
    outcomes: list[Outcome], rows: list[tuple[str, str, int | None]], clients: int, losses: int
) -> dict[str, int]:
    """The clients' books and the gateway's `(request_id, state, status)` tell the same story.

    Every answer has one row, which says the same; a 200 that of a success. What the clients lost
    may have a row, at most one for each. `losses` is how often the connections were torn down, each
    time with at most one request of each client.
    """
    by_id = {request_id: (state, status) for request_id, state, status in rows}
    assert len(by_id) == len(rows), "a request has two rows"
    answered = [outcome for outcome in outcomes if outcome.request_id is not None]
    for outcome in answered:
        # A database that is away cannot hold the row of the refusal that says so: the log does.
        assert outcome.request_id in by_id or outcome.status == 503, (
            f"an answer without a row: {outcome}"
        )
        if outcome.request_id in by_id:
            state, status = by_id.pop(outcome.request_id)
            unrecorded = outcome.status == 503 and state == "unknown"
            assert status == outcome.status or unrecorded, (outcome, state, status)
            assert (state == "succeeded") == (outcome.status == 200), (outcome, state)
    lost = sum(outcome.request_id is None for outcome in outcomes)
    assert len(by_id) <= min(lost, clients * losses), f"rows that nobody asked for: {by_id}"
    assert not any(state == "received" for state, _ in by_id.values())
    return {"answers": len(answered), "lost": lost, "rows": len(rows), "rows of lost": len(by_id)}


def finish(gateway: GatewayProcess, folder: Path) -> list[tuple[str, str, int | None]]:
    """The gateway's books, once what a crash left open is closed; their seals hold."""
    # The sweeper waits for the deadline and two minutes more; here nobody is under way any more.
    with closing(sqlite3.connect(folder / "gateway.sqlite3")) as database, database:
        database.execute(
            "UPDATE usage_record SET received_at = '2020-01-01' WHERE state = 'received'"
        )
    gateway.manage("sweep_audit")
    gateway.manage("verify_audit")
    return _sqlite_rows(folder)


def _sqlite_rows(folder: Path) -> list[tuple[str, str, int | None]]:
    with closing(sqlite3.connect(folder / "gateway.sqlite3")) as database:
        rows = database.execute("SELECT request_id, state, status FROM usage_record").fetchall()
    # SQLite keeps a UUID without its dashes.
    return [(_dashed(request_id), state, status) for request_id, state, status in rows]


def _dashed(text: str) -> str:
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def processes_of(service: Service, role: str) -> list[psutil.Process]:
    """The processes of the graph that have this role."""
    processes = []
    for process in psutil.Process(service.pid).children(recursive=True):
        try:
            its_role = role_of(" ".join(process.cmdline()))
        except psutil.NoSuchProcess:
            continue
        if its_role is not None and its_role.name == role:
            processes.append(process)
    return processes


def resources(pid: int) -> tuple[float, int]:
    """Resident megabytes and open files of a process."""
    process = psutil.Process(pid)
    return process.memory_info().rss / 1e6, process.num_fds()
