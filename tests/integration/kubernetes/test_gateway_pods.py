"""The gateway's pods without a cluster: their commands and settings, with mounts as folders."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from cluster.launcher.certificates import Authority
from cluster.launcher.ports import choose_ports
from serve_app.paths import ROOT
from tests.integration.kubernetes.gateway_rules import GATEWAY
from tests.integration.kubernetes.manifests import Manifest, Manifests, needs_kustomize, render
from tests.waiting import until

pytestmark = needs_kustomize

NAME = "lesionserve-gateway.lesionserve.svc"
POD_IP = "127.0.0.1"
_MOUNTS = re.compile(r"(?<![\w/.])/(etc/lesionserve|backup|audit|tmp)\b")


@dataclass(frozen=True)
class Host:
    """A folder that holds what the pods see as mounts, and the programs of their image."""

    folder: Path
    manifests: Manifests
    authority: Authority

    def start(self, container: Manifest, **changes: str) -> "subprocess.Popen[str]":
        """Start the command of a container with its settings, and with nothing else."""
        words = [self._moved(word) for word in container["command"]]
        environment = {
            name: self._moved(value) for name, value in self._environment(container).items()
        }
        programs = f"{Path(sys.executable).parent}:/usr/bin:/bin"
        return subprocess.Popen(
            [changes.get(word, word) for word in words],
            # The package is installed in the image; here it is the clone.
            env=environment | {"PATH": programs, "PYTHONPATH": str(ROOT)},
            cwd=self.folder / "tmp",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, owner: str) -> tuple[int, str]:
        """Run the main container of a pod to its end. Return its exit status and its output."""
        with self.start(self.manifests.pod(owner).spec["containers"][0]) as process:
            output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def _moved(self, text: str) -> str:
        return _MOUNTS.sub(lambda mount: f"{self.folder}{mount[0]}", text)

    def _environment(self, container: Manifest) -> dict[str, str]:
        values = dict(self.manifests.settings) if container.get("envFrom") else {}
        for variable in container.get("env", ()):
            if "value" in variable:
                values[variable["name"]] = variable["value"].replace("$(POD_IP)", POD_IP)
        return values


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """Return a host whose database is migrated."""
    host = new_host(tmp_path_factory.mktemp("host"))
    migrate(host)
    return host


@pytest.fixture(scope="module")
def gateway(host: Host) -> Iterator[httpx.Client]:
    with running_gateway(host) as client:
        yield client


def new_host(tmp_path: Path) -> Host:
    authority = Authority.kept_in(tmp_path / "authority")
    folder = tmp_path / "etc/lesionserve"
    for name in ("tls", "edge", "authority", "secrets"):
        (folder / name).mkdir(parents=True)
    for name in ("backup", "audit", "tmp"):
        (tmp_path / name).mkdir()
    pem = authority.issue(folder / "tls/tls.crt", [NAME])
    (folder / "tls/tls.key").symlink_to(pem)
    (folder / "edge/tls.crt").symlink_to(pem)
    (folder / "authority/ca.crt").symlink_to(authority.path)
    (folder / "verify-audit").symlink_to(ROOT / "cluster/systemd/verify-audit")
    secrets = {
        "LESIONSERVE_SECRET_KEY": "s" * 64,
        "LESIONSERVE_AUDIT_KEY": "a" * 64,
        "LESIONSERVE_SERVICE_TOKEN": "t" * 64,
        "DATABASE_URL": f"sqlite:///{tmp_path}/lesionserve.sqlite3",
        "LESIONSERVE_REDIS_URL": "redis://:secret@127.0.0.1:1/1",
    }
    for name, value in secrets.items():
        (folder / "secrets" / name).write_text(value + "\n")
    return Host(tmp_path, render("gpu"), authority)


@contextmanager
def running_gateway(host: Host) -> Iterator[httpx.Client]:
    """Run the gateway's container. Yield a client that trusts the authority of the cluster."""
    (port,) = choose_ports([None])
    container = host.manifests.pod(GATEWAY).spec["containers"][0]
    process = host.start(container, **{"--port=8080": f"--port={port}"})
    address = f"https://127.0.0.1:{port}"
    with process:
        try:
            with httpx.Client(base_url=address, verify=str(host.authority.path)) as client:
                until(lambda: process.poll() is not None or answers(client))
                assert process.poll() is None, process.stdout and process.stdout.read()
                yield client
        finally:
            process.terminate()
            process.communicate(timeout=60)


def migrate(host: Host) -> None:
    (job,) = host.manifests.of_kind("Job")
    status, output = host.run(f"Job/{job['metadata']['name']}")
    assert status == 0, output


def get(client: httpx.Client, path: str, name: str, **headers: str) -> httpx.Response:
    """Ask as the kubelet, Prometheus or the edge does: by the pod's address, under a name."""
    request = client.build_request("GET", path, headers={"Host": name, **headers})
    request.extensions["sni_hostname"] = NAME
    return client.send(request)


def answers(client: httpx.Client) -> bool:
    try:
        return get(client, "/healthz", POD_IP).status_code == 200
    except httpx.TransportError:
        return False


def test_gateway_answers_probes_and_hides_metrics_from_clients(gateway):
    port = gateway.base_url.port
    by_address = get(gateway, "/metrics", f"{POD_IP}:{port}")
    by_name = get(gateway, "/metrics", "lesionserve.example")
    ready = get(gateway, "/readyz", f"{POD_IP}:{port}")
    assert (by_address.status_code, by_name.status_code) == (200, 400)
    assert 'certificate="edge"' in by_address.text
    assert ready.status_code == 503  # there is no model here


def test_gateway_knows_its_public_name_alone(gateway):
    page = get(gateway, "/login/", "lesionserve.example")
    unknown = get(gateway, "/login/", "other.example")
    assert (page.status_code, unknown.status_code) == (200, 400)


def test_gateway_believes_only_pods_about_the_client(gateway):
    # This process is no pod of the range in FORWARDED_ALLOW_IPS. One that is believed would be
    # sent to HTTPS.
    forwarded = {"X-Forwarded-Proto": "http", "X-Forwarded-For": "203.0.113.9"}
    page = get(gateway, "/login/", "lesionserve.example", **forwarded)
    assert page.status_code == 200


def test_gateway_waits_until_database_is_migrated(tmp_path):
    host = new_host(tmp_path)
    (wait,) = host.manifests.pod(GATEWAY).spec["initContainers"]
    with host.start(wait) as process:
        try:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            assert any("the database is not migrated" in line for line in lines)
            migrate(host)
            process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("task", "output"),
    [
        ("backup", "audit key"),
        ("verify-audit", ""),
        ("prune-audit", ""),
        ("clear-sessions", ""),
    ],
)
def test_daily_task_runs_with_its_settings(host, task, output):
    status, text = host.run(f"CronJob/lesionserve-{task}")
    assert (status, output in text) == (0, True), text


def test_daily_tasks_leave_listing_and_backup(host):
    for task, folder, name in (("verify-audit", "audit", "verified-"), ("backup", "backup", "le")):
        if not list((host.folder / folder).iterdir()):
            host.run(f"CronJob/lesionserve-{task}")
        assert all(path.name.startswith(name) for path in (host.folder / folder).iterdir())


def test_pruning_runs_once_retention_is_set(host):
    container = host.manifests.pod("CronJob/lesionserve-prune-audit").spec["containers"][0]
    days = {"name": "LESIONSERVE_RETENTION_DAYS", "value": "365"}
    others = [one for one in container["env"] if one["name"] != days["name"]]

    with host.start(container | {"env": [*others, days]}) as process:
        output, _ = process.communicate(timeout=120)

    assert process.returncode == 0, output
    assert output
