"""The stack of the drill: `lesionserve up` on PostgreSQL, Redis and a small disk, two replicas."""

import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import redis
import yaml

from cluster.launcher.ports import choose_ports
from cluster.launcher.process_roles import role_of
from cluster.paths import DEMO_BUNDLE, LOCAL_PROFILE
from serve_app.paths import ROOT
from tests.e2e.up import Up
from tests.e2e.up import running as running_up
from tests.faults.drill.scaled import SCALE
from tests.integration.gateway.postgres import Postgres, running_postgres
from tests.unit.gateway.test_metrics import certificate
from tests.waiting import until

REPLICA = "a replica of LesionService"
REPLICAS = 2
# Above the page's limit of 512 MiB, so that little memory has to be filled.
DISK_MIB = 640
DEADLINE_S = 10.0
PROBE_EVERY_S = 60 // SCALE
_REDIS_WITHIN_S = 60
# A line of a replica's log, which is JSON.
_READY = re.compile(r'"Finished initializing replica\."[^\n]*?"process": (\d+)')


@dataclass
class Redis:
    """A Redis server that can be stopped and started again on its port."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command = ["redis-server", *options, "--dir", str(self.folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until(self._answers, _REDIS_WITHIN_S)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)
            self.process = None

    def _answers(self) -> bool:
        try:
            with redis.Redis(port=self.port, retry=None) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False


@dataclass
class DrillStack:
    """Everything that a fault may touch.

    disk: the gateway's working folder, on a file system of its own, or None where none could be
    mounted. bundle: a copy that may be damaged. certificate: of LESIONSERVE_CERTIFICATES.
    """

    up: Up
    postgres: Postgres
    redis: Redis
    bundle: Path
    certificate: Path
    disk: Path | None
    settings: dict[str, str]

    def replicas(self) -> list[psutil.Process]:
        """Return the replicas that are ready, oldest first."""
        log = "".join(path.read_text() for path in self._serve_logs.glob("replica_*.log"))
        ready = {int(pid) for pid in _READY.findall(log)}
        replicas = [p for p in self.processes_of(REPLICA) if p.pid in ready]
        return sorted(replicas, key=lambda process: process.create_time())

    def processes_of(self, role: str) -> list[psutil.Process]:
        titles = self.up.processes().items()
        return [p for p, title in titles if (r := role_of(title)) is not None and r.name == role]

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the gateway as an operator does."""
        environment = {**os.environ, **self.settings, "LESIONSERVE_UPSTREAM_URL": "https://[::1]"}
        command = [sys.executable, "-m", "gateway.manage", *arguments]
        return subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120
        )

    def probe_key_id(self) -> str:
        return self.postgres.run_sql("SELECT id FROM keys_apikey WHERE name = 'probe'").strip()

    @property
    def _serve_logs(self) -> Path:
        (path,) = self.up.temp.glob("ls-*/ray/session_latest/logs/serve")
        return path

    @property
    def prometheus_config(self) -> Path:
        """Return the configuration of the Prometheus that `up` has started."""
        (path,) = self.up.temp.glob("ls-*/monitoring/prometheus.yml")
        return path


def write_certificate(path: Path, days: int) -> None:
    path.write_bytes(certificate(datetime.now(UTC) + timedelta(days=days)))


@contextmanager
def drill_stack(folder: Path, binaries: Path) -> Iterator[DrillStack]:
    """Start the stack; `binaries` are PostgreSQL's programs."""
    bundle = Path(shutil.copytree(DEMO_BUNDLE, folder / "bundle"))
    expiring = folder / "certificate.pem"
    write_certificate(expiring, days=365)
    data = folder / "data"
    data.mkdir(mode=0o700)
    with (
        running_postgres(binaries) as postgres,
        running_redis(folder) as redis_server,
        small_disk(folder / "disk") as disk,
    ):
        settings = _settings(postgres.url)
        write_env(data / "gateway.env", settings)
        ports = [str(port) for port in choose_ports([None, None])]
        options = ["--prometheus-port", ports[0], "--alertmanager-port", ports[1]]
        options += ["--config", str(write_profile(folder)), "--bundle", str(bundle)]
        environment = {
            "LESIONSERVE_REDIS_URL": f"redis://127.0.0.1:{redis_server.port}",
            "LESIONSERVE_CERTIFICATES": f"clinic={expiring}",
            "LESIONSERVE_DEADLINE_S": str(DEADLINE_S),
            "LESIONSERVE_PROBE_EVERY_S": str(PROBE_EVERY_S),
            # Of 15: replicas would starve beside other work on the machine.
            "RAY_worker_niceness": "0",
            # Of 10 s; a replica repeats its gauges every 5.
            "RAY_metrics_report_interval_ms": "7000",
            # Everything comes from one address here, a revoked key twenty times as often.
            "LESIONSERVE_FAILURES_PER_MINUTE": "100000",
        }
        cwd = disk or folder
        with running_up(
            folder, "--tls", "--monitoring", *options, environment=environment, cwd=cwd
        ) as up:
            yield DrillStack(up, postgres, redis_server, bundle, expiring, disk, settings)


@contextmanager
def running_redis(folder: Path) -> Iterator[Redis]:
    server = Redis(choose_ports([None])[0], folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """Mount a small file system in memory there; None for users who may not."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def write_profile(folder: Path) -> Path:
    """Write a profile of two replicas whose weights are in PyTorch and checked every few seconds.

    With one replica, each one's replacement would be an outage of some seconds, which the scaled
    rules take for minutes.
    """
    profile = yaml.safe_load(LOCAL_PROFILE.read_text())
    args = profile["applications"][0]["args"]
    args["model"] |= {"engine": "portable", "threads": 1, "weights_every_s": 3.0}
    args["graph"]["ingress"] |= {"num_replicas": REPLICAS, "num_cpus": 0.5}
    path = folder / "profile.yaml"
    path.write_text(yaml.safe_dump(profile))
    return path


def write_env(path: Path, settings: dict[str, str]) -> None:
    path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    path.chmod(0o600)


def _settings(database_url: str) -> dict[str, str]:
    names = ("LESIONSERVE_SECRET_KEY", "LESIONSERVE_AUDIT_KEY", "LESIONSERVE_SERVICE_TOKEN")
    return {
        **{name: secrets.token_urlsafe(50) for name in names},
        "DATABASE_URL": database_url,
        "DJANGO_SETTINGS_MODULE": "gateway.settings",
    }
