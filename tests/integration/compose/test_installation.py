"""The Compose installation for real, in podman: made by its image, started, used, removed.

All services but Grafana. Each network is a network of its own, so that what cannot be reached in
production cannot be reached here.
"""

import json
import re
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from cluster.launcher.ports import choose_ports
from pipeline.schemas import Prediction
from serve_app.paths import ROOT
from tests.integration.compose.installation import Installation, remove
from tests.integration.images.builds import VERSION, built
from tests.integration.images.engine import BOUNDS, podman, skip_unless_usable
from tests.unit.cluster.compose.project import HOST, docker_compose, read_project

pytestmark = pytest.mark.images
IMAGE = ROOT / "weights/example.jpg"
STARTS_WITHIN_S = 600  # the model, on two busy cores
AGAIN_WITHIN_S = 300


@dataclass
class Clinic:
    """A running installation, its folder, and an issued key."""

    running: Installation
    folder: Path
    port: int
    plain_port: int
    key: str

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def client(self) -> httpx.Client:
        """A client that trusts the folder's authority alone."""
        context = ssl.create_default_context(cafile=str(self.folder / "config/tls/ca.pem"))
        return httpx.Client(
            verify=context, headers={"Host": HOST, "X-API-Key": self.key}, timeout=60
        )

    def predict(self) -> httpx.Response:
        with self.client() as client, IMAGE.open("rb") as image:
            return client.post(
                f"{self.url}/predict/",
                files={"file": image},
                extensions={"sni_hostname": HOST},
            )

    def trail(self, kind: str) -> list[dict[str, object]]:
        """Return the rows of a trail: "request" or "event"."""
        lines = self.running.manage("export_audit").splitlines()
        rows = [json.loads(line) for line in lines if line.startswith("{")]
        return [row for row in rows if row["trail"] == kind]


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    skip_unless_usable()
    docker_compose()
    remove()  # what an interrupted run has left
    folder = tmp_path_factory.mktemp("clinic")
    gateway, _ = built("gateway"), built("serve-cpu")
    make_folder(gateway, folder)
    port, plain_port, prometheus, grafana = choose_ports([None] * 4)
    ports = {
        "LISTEN": "127.0.0.1",
        "HTTPS_PORT": port,
        "HTTP_PORT": plain_port,
        "PROMETHEUS_PORT": prometheus,
        "GRAFANA_PORT": grafana,
    }
    settings = (folder / ".env").read_text()
    for name, value in ports.items():
        settings, count = re.subn(
            rf"^LESIONSERVE_{name}=.*$", f"LESIONSERVE_{name}={value}", settings, flags=re.M
        )
        assert count == 1, name
    (folder / ".env").write_text(settings)
    begun = time.monotonic()
    try:
        running = Installation(read_project(folder))
        running.start()
        running.wait_for_all(STARTS_WITHIN_S)
        print(f"started, every health check good: {time.monotonic() - begun:.0f} s")
        key = running.manage("issue_key", "--name", "a test", "--expires-in", "1").splitlines()[0]
        yield Clinic(running, folder, port, plain_port, key)
    finally:
        remove()


def make_folder(image: str, folder: Path) -> None:
    """As docs/deploy/compose.md says: with the gateway's image, so that nothing is installed."""
    podman(
        *("run", "--rm", "--network", "none", "--user", "0:0", "--volume", f"{folder}:/clinic"),
        *("--no-healthcheck", *BOUNDS),
        *(image, "python", "-m", "cluster.compose", "/clinic", "--host", HOST),
    )


def reaches(clinic: Clinic, name: str, host: str, port: int) -> bool:
    """Return whether a container can open a connection. Every image of the test has Python."""
    code = f"import socket; socket.create_connection(({host!r}, {port}), timeout=3)"
    return clinic.running.attempt(name, "python3", "-c", code).returncode == 0


def test_image_predicts_through_nginx_with_issued_key(clinic):
    answer = clinic.predict()
    assert answer.status_code == 200, answer.text
    prediction = Prediction.model_validate_json(answer.content)
    assert len(prediction.detections) > 0


def test_prediction_has_a_record_with_address_of_client(clinic):
    answer = clinic.predict()
    (record,) = [
        row for row in clinic.trail("request") if row["request_id"] == answer.json()["request_id"]
    ]
    assert record["state"] == "succeeded"
    nginx = clinic.running.address("nginx", "front")
    assert record["address"] not in (None, nginx), "it is that of nginx's client"
    clinic.running.manage("verify_audit")


def test_wrong_key_is_refused_and_recorded(clinic):
    before = len(clinic.trail("request"))
    with clinic.client() as client:
        client.headers["X-API-Key"] = "ls_wrong"
        refused = client.post(f"{clinic.url}/predict/", extensions={"sni_hostname": HOST})
    assert refused.status_code == 401
    assert len(clinic.trail("request")) == before + 1


def test_plain_http_is_redirected(clinic):
    answer = httpx.get(f"http://127.0.0.1:{clinic.plain_port}/", headers={"Host": HOST})
    assert answer.status_code == 308
    assert answer.headers["location"] == f"https://{HOST}/"


def test_metrics_and_ingress_are_hidden_from_clients(clinic):
    with clinic.client() as client:
        for path in ("/metrics", "/golden", "/model"):
            answer = client.get(f"{clinic.url}{path}", extensions={"sni_hostname": HOST})
            assert answer.status_code == 404, path


@pytest.mark.parametrize(
    ("name", "other", "network", "port"),
    [
        ("nginx", "gateway", "front", 8080),
        ("gateway", "postgres", "data", 5432),
        ("gateway", "redis", "data", 6379),
        ("gateway", "ingress", "upstream", 8443),
        ("ingress", "serve", "serving", 8000),
        ("prometheus", "gateway", "gateway-metrics", 8080),
        ("prometheus", "serve", "serving-metrics", 8090),
        ("alertmanager", "nginx", "alerts", 9443),
    ],
)
def test_service_reaches_the_one_that_it_needs(clinic, name, other, network, port):
    assert reaches(clinic, name, other, port)
    assert reaches(clinic, name, clinic.running.address(other, network), port)


@pytest.mark.parametrize(
    ("name", "other", "network", "port"),
    [
        ("nginx", "serve", "serving", 8000),
        ("nginx", "serve", "serving", 6380),
        ("nginx", "ingress", "upstream", 8443),
        ("nginx", "postgres", "data", 5432),
        ("nginx", "redis", "data", 6379),
        ("gateway", "serve", "serving", 8000),
        ("gateway", "serve", "serving", 6380),
        ("gateway", "serve", "serving-metrics", 8090),
        ("gateway", "alertmanager", "monitoring", 9093),
        ("ingress", "postgres", "data", 5432),
        ("serve", "gateway", "upstream", 8080),
        ("serve", "postgres", "data", 5432),
        ("postgres", "serve", "serving", 8000),
    ],
)
def test_service_cannot_reach_another(clinic, name, other, network, port):
    assert not reaches(clinic, name, other, port), "by its name"
    assert not reaches(clinic, name, clinic.running.address(other, network), port), "by its address"


@pytest.mark.parametrize("name", ["gateway", "serve", "ingress", "postgres", "redis"])
def test_service_with_patients_data_has_no_way_out(clinic, name):
    routes = clinic.running.execute(name, "cat", "/proc/net/route").splitlines()[1:]
    assert routes
    assert not [route for route in routes if route.split()[1] == "00000000"], "a default route"


def test_ingress_refuses_whoever_has_no_client_certificate(clinic):
    code = (
        "import ssl, http.client; "
        "c = ssl.create_default_context(cafile='/etc/lesionserve/tls/ca.pem'); "
        "h = http.client.HTTPSConnection('ingress', 8443, context=c); "
        "h.request('GET', '/readyz'); print(h.getresponse().status)"
    )
    assert clinic.running.execute("gateway", "python", "-c", code) == "400"
    own = "c.load_cert_chain('/run/secrets/gateway.pem'); "
    with_certificate = code.replace("h = http", f"{own}h = http")
    assert clinic.running.execute("gateway", "python", "-c", with_certificate) == "200"


def test_no_secret_is_in_environment_or_command_line(clinic):
    """Of any process, and in what `podman inspect` shows."""
    values = [
        path.read_text().strip()
        for path in (clinic.folder / "secrets").iterdir()
        if not path.name.endswith((".pem", ".conf"))
    ]
    assert len(values) > 5
    read = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null || true"
    for name in clinic.running.services:
        container = clinic.running.container(name)
        shown = podman("inspect", container)
        if podman("inspect", "--format", "{{.State.Running}}", container) == "true":
            shown += clinic.running.execute(name, "sh", "-c", read)
        assert [value for value in values if value in shown] == [], name


def test_processes_have_no_rights_and_cannot_write_code(clinic):
    for name in ("nginx", "gateway", "ingress", "serve", "postgres", "redis", "prometheus"):
        status = clinic.running.execute(name, "cat", "/proc/1/status")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert fields["Uid"].split()[0] != "0", name
        assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0, name
        assert fields["NoNewPrivs"] == "1", name
        assert clinic.running.attempt(name, "touch", "/file").returncode != 0, name
        limits = clinic.running.execute(name, "cat", "/proc/1/limits")
        assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE), name


def test_prometheus_has_every_target(clinic):
    query = "http://127.0.0.1:9090/api/v1/query?query=up"
    up = {}
    for _ in range(60):
        answer = json.loads(clinic.running.execute("prometheus", "wget", "-q", "-O", "-", query))
        up = {
            result["metric"]["instance"]: result["value"][1] for result in answer["data"]["result"]
        }
        if up == dict.fromkeys(["gateway:8080", "serve:8090", "serve:44227"], "1"):
            return
        time.sleep(2)
    raise AssertionError(up)


def test_alert_reaches_the_trail(clinic):
    clinic.running.execute(
        "alertmanager",
        *("amtool", "--alertmanager.url=http://127.0.0.1:9093", "alert", "add"),
        *("LesionserveTest", "severity=page"),
    )
    for _ in range(60):
        if any(event["action"] == "alert.fired" for event in clinic.trail("event")):
            return
        time.sleep(2)
    raise AssertionError(clinic.running.logs("alertmanager"))


def test_backup_is_written(clinic):
    options = clinic.running.options("backup")
    shown = podman("run", "--rm", *(option for option in options if option != "--detach"))
    assert re.search(r"/backups/lesionserve-\S+: \d+ rows", shown)
    (backup,) = (clinic.folder / "backups").iterdir()
    assert (backup / "manifest.json").is_file()


def test_log_of_nginx_has_requests_without_query(clinic):
    with clinic.client() as client:
        client.get(f"{clinic.url}/healthz?key=hidden", extensions={"sni_hostname": HOST})
    log = clinic.running.logs("nginx")
    assert '"path":"/healthz"' in log
    assert "hidden" not in log


def test_new_version_rolls_in_while_images_are_answered(clinic):
    """The demo under another path, deployed in the running container."""
    models = clinic.folder / "models"
    subprocess.run(["cp", "-r", str(ROOT / "weights/demo"), str(models / "demo-2")], check=True)
    command = ("lesionserve", "deploy", "configs/serve/local.yaml", "--bundle", "/models/demo-2")
    container = clinic.running.container("serve")
    roll = subprocess.Popen(
        ["podman", "--runtime", "runc", "exec", container, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    statuses = []
    while roll.poll() is None:
        statuses.append(clinic.predict().status_code)
    output = roll.stdout.read() if roll.stdout else ""
    assert roll.returncode == 0, output
    assert "serves: " in output
    assert set(statuses) == {200}
    assert len(statuses) > 3


def test_serving_half_comes_back_with_its_model(clinic):
    """After the end of Ray's GCS, without anybody's help."""
    kill = (
        "import os, pathlib; "
        "[os.kill(int(p.name), 9) for p in pathlib.Path('/proc').glob('[0-9]*') "
        "if b'gcs_server' in (p / 'cmdline').read_bytes().split(b'\\0')[0]]"
    )
    clinic.running.execute("serve", "python", "-c", kill)
    until = time.monotonic() + AGAIN_WITHIN_S
    statuses = set()
    while time.monotonic() < until:
        statuses.add(clinic.predict().status_code)
        if statuses >= {503, 200} and clinic.running.is_healthy("serve"):
            break
        time.sleep(1)
    assert 200 in statuses
    assert clinic.predict().status_code == 200
    assert VERSION in podman("inspect", "--format", "{{.ImageName}}", "lesionserve-test_serve")


def test_books_balance(clinic):
    """Last: every request of this run has one record, and the trail is intact."""
    ids = [record["request_id"] for record in clinic.trail("request")]
    assert len(ids) == len(set(ids)) > 5
    clinic.running.manage("verify_audit")
