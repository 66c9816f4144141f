"""Gateways as processes of their own, which probe themselves through TLS."""

import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from cluster.launcher.certificates import Certificates
from serve_app.paths import ROOT
from tests.integration.gateway.databases import Databases
from tests.integration.gateway.ingress import FakeIngress, Sent

MANAGE = [sys.executable, "-m", "gateway.manage"]


@dataclass
class Site:
    """Two gateways with one database, in front of one ingress; the first has the public address."""

    folder: Path
    certificates: Certificates
    environment: dict[str, str]
    servers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with closing(
            sqlite3.connect(self.environment["DATABASE_URL"].removeprefix("sqlite:///"), timeout=10)
        ) as database:
            return database.execute(query).fetchall()

    def wait_for(self, query: str, count: int) -> list[tuple[object, ...]]:
        """Return the rows of the query, once there are so many."""
        for _ in range(1200):
            if len(rows := self.rows(query)) >= count:
                return rows
            time.sleep(0.05)
        raise AssertionError((rows, (self.folder / "log").read_text()[-3000:]))

    def manage(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*MANAGE, *arguments], env=self.environment | changes, cwd=ROOT,
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    def start(self, listener: socket.socket) -> None:
        pem = str(self.certificates.gateway)
        with (self.folder / "log").open("ab") as log:
            server = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", "gateway.asgi:application",
                 "--http", "gateway.protocol:GatewayProtocol", "--lifespan", "on",
                 "--fd", str(listener.fileno()), "--ssl-certfile", pem, "--ssl-keyfile", pem],
                env=self.environment, cwd=ROOT, pass_fds=[listener.fileno()],
                stdout=log, stderr=log,
            )  # fmt: skip
        self.servers.append(server)
        self.ports.append(listener.getsockname()[1])

    def metrics(self, number: int) -> dict[str, float]:
        trust = ssl.create_default_context(cafile=self.certificates.ca)
        url = f"https://127.0.0.1:{self.ports[number]}/metrics"
        lines = httpx.get(url, verify=trust, trust_env=False, timeout=30).text.splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if "gateway_probe" in line)
        return {
            name.removeprefix("lesionserve_gateway_probe_"): float(value)
            for name, value in pairs
            if not name.startswith("#")
        }


@contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener


@pytest.fixture
def site(tmp_path: Path, of_sqlite: Databases, ingress: FakeIngress) -> Iterator[Site]:
    certificates = Certificates.issue(tmp_path / "tls", print)
    environment = {
        "PATH": os.environ["PATH"],
        "LESIONSERVE_SECRET_KEY": "k" * 50,
        "LESIONSERVE_SERVICE_TOKEN": "t" * 32,
        "LESIONSERVE_AUDIT_KEY": "a" * 32,
        "LESIONSERVE_UPSTREAM_URL": f"http://127.0.0.1:{ingress.port}",
        "DATABASE_URL": of_sqlite.empty().url,
    }
    site = Site(tmp_path, certificates, environment)
    issued = site.manage(
        *("issue_key", "--name", "probe", "--scope", "probe", "--organisation", "monitoring")
    )
    with listening() as public, listening() as other:
        environment["LESIONSERVE_PROBE_KEY"] = issued.stdout.strip()
        environment["LESIONSERVE_PROBE_URL"] = f"https://127.0.0.1:{public.getsockname()[1]}"
        environment["LESIONSERVE_PROBE_CA"] = str(certificates.ca)
        environment["LESIONSERVE_PROBE_EVERY_S"] = "1"
        try:
            site.start(public)
            site.start(other)
            yield site
        finally:
            for server in site.servers:
                server.kill()
                server.wait(30)


RUNS = 'SELECT result, error_code, detail, "case", at FROM monitor_proberun ORDER BY id'
RECORDS = "SELECT source, state, key_id FROM usage_record"


def test_two_gateways_send_one_probe_in_each_interval(site: Site):
    begun = time.time()
    runs = site.wait_for(RUNS, 6)
    elapsed = time.time() - begun
    assert {run[:2] for run in runs} == {("agreed", "")}, runs
    assert [run[3] for run in runs[:4]] == ["a.jpg", "b.jpg", "a.jpg", "b.jpg"]
    assert len(runs) <= elapsed + 2
    records = set(site.rows(RECORDS))
    assert {record[:2] for record in records} <= {("probe", "succeeded"), ("probe", "received")}
    for number in range(2):
        shown = site.metrics(number)
        assert shown["failures_in_a_row"] == 0
        assert abs(shown["last_success_timestamp_seconds"] - time.time()) < 30
    counted = [site.metrics(number)['runs_total{result="agreed"}'] for number in range(2)]
    assert sum(counted) >= 6, "each probe is counted by the gateway that sent it"

    # A gateway that is killed costs one probe at most.
    site.servers[1].kill()
    count = len(site.rows(RUNS))
    site.wait_for(RUNS, count + 3)

    # And one that is stopped ends cleanly.
    site.servers[0].send_signal(signal.SIGTERM)
    assert site.servers[0].wait(60) in (0, -signal.SIGTERM)
    log = (site.folder / "log").read_text()
    assert "Traceback" not in log, log
    assert site.manage("verify_audit").returncode == 0


def test_answer_of_changed_model_disagrees(site: Site, ingress: FakeIngress):
    site.wait_for(RUNS, 1)

    def answer(sent: Sent) -> tuple[int, bytes]:
        if sent.path != "/predict":
            ingress.answer = None
            try:
                return ingress.respond(sent)
            finally:
                ingress.answer = answer
        content = FakeIngress.predict(sent)
        content["detections"][0]["score"] = content["metrics"]["scores"][0] = 0.7
        return FakeIngress.json(content)

    ingress.answer = answer
    (run,) = site.wait_for(f"SELECT * FROM ({RUNS}) WHERE result = 'disagreed' LIMIT 1", 1)
    assert run[1] == "other_lesions"
    assert "HSIL with score 0.875 was not found again" in str(run[2])
    ingress.answer = None
    count = len(site.rows(RUNS))
    assert site.wait_for(RUNS, count + 2)[-1][0] == "agreed"


def test_command_probes_once_and_prints_verdict(site: Site, ingress: FakeIngress):
    site.wait_for(RUNS, 1)
    for server in site.servers[1:]:
        server.kill()
    done = site.manage("probe")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("agreed, case "), done.stdout
    assert "model dddddddddddd" in done.stdout
    request_id = done.stdout.split("request ")[1].strip()
    (row,) = site.rows(
        f"SELECT source FROM usage_record WHERE request_id = '{request_id.replace('-', '')}'"
    )
    assert row == ("probe",)

    revoked = site.environment["LESIONSERVE_PROBE_KEY"].split("_")[1]
    assert site.manage("revoke_key", revoked).returncode == 0
    done = site.manage("probe")
    assert done.returncode == 1
    assert done.stdout.startswith("failed, case "), done.stdout
    assert "unauthorized: A valid API key is required." in done.stdout

    away = site.manage("probe", LESIONSERVE_PROBE_URL="https://127.0.0.1:1")
    assert (away.returncode, "unreachable" in away.stdout) == (1, True)
    stranger = site.manage("probe", LESIONSERVE_PROBE_CA=str(site.certificates.gateway))
    assert stranger.returncode == 1
    assert "tls: " in stranger.stdout, stranger.stdout
    nothing = dict.fromkeys(("LESIONSERVE_PROBE_KEY",), "")
    assert "LESIONSERVE_PROBE_KEY" in site.manage("probe", **nothing).stderr
