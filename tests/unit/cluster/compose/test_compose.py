"""The Compose project as Docker reads it, and changes of it that must not pass."""

import copy
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from serve_app.paths import ROOT
from tests.unit.cluster.compose.consistency import faults
from tests.unit.cluster.compose.project import Project, made_folder, read_project


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_folder(tmp_path_factory.mktemp("clinic"))


@pytest.fixture(scope="module")
def project(folder: Path) -> Project:
    return read_project(folder)


@pytest.mark.parametrize(
    "files",
    [
        ["compose.yaml"],
        ["compose.yaml", "compose.gpu.yaml"],
        ["compose.yaml", "compose.probe.yaml"],
        ["compose.yaml", "compose.gpu.yaml", "compose.probe.yaml"],
    ],
    ids="+".join,
)
def test_project_fits_together(folder, files):
    if "compose.probe.yaml" in files:
        key = folder / "secrets/probe_key"
        key.touch()
        key.chmod(0o444)
    assert list(faults(read_project(folder, *files), folder)) == []


def test_gpu_file_gives_serve_alone_the_gpus(folder):
    services = read_project(folder, "compose.yaml", "compose.gpu.yaml")["services"]
    with_devices = {
        name: service["image"]
        for name, service in services.items()
        if "reservations" in service["deploy"]["resources"]
    }
    assert list(with_devices) == ["serve"]
    assert with_devices["serve"].startswith("lesionserve-serve-gpu:")


def test_database_has_the_version_that_gateway_backs_up(project):
    dockerfile = (ROOT / "cluster/images/gateway.Dockerfile").read_text()
    versions = set(re.findall(r"postgresql(?:-client-|/)(\d+)", dockerfile))
    server = project["services"]["postgres"]["image"].partition(":")[2].partition(".")[0]
    assert versions == {server}


def latest(project: Project) -> None:
    project["services"]["redis"]["image"] = "redis:latest"


def untagged(project: Project) -> None:
    project["services"]["nginx"]["image"] = "nginx"


def of_registry(project: Project) -> None:
    project["services"]["grafana"]["image"] = "registry.example/grafana/grafana:11.6.1"


def writable(project: Project) -> None:
    project["services"]["gateway"]["read_only"] = False


def capable(project: Project) -> None:
    project["services"]["nginx"]["cap_add"] = ["NET_BIND_SERVICE"]


def privileged(project: Project) -> None:
    project["services"]["serve"]["privileged"] = True


def setuid(project: Project) -> None:
    del project["services"]["postgres"]["security_opt"]


def as_root(project: Project) -> None:
    project["services"]["ingress"]["user"] = "0:0"


def of_image_user(project: Project) -> None:
    del project["services"]["prometheus"]["user"]


def dumping(project: Project) -> None:
    del project["services"]["serve"]["ulimits"]


def unbounded_memory(project: Project) -> None:
    del project["services"]["serve"]["deploy"]["resources"]["limits"]["memory"]


def unbounded_processes(project: Project) -> None:
    del project["services"]["gateway"]["deploy"]["resources"]["limits"]["pids"]


def swapping(project: Project) -> None:
    project["services"]["gateway"]["memswap_limit"] = "-1"


def unchecked(project: Project) -> None:
    project["services"]["ingress"]["healthcheck"] = {"disable": True}


def down_after_reboot(project: Project) -> None:
    project["services"]["serve"]["restart"] = "on-failure"


def endless_log(project: Project) -> None:
    project["services"]["gateway"]["logging"] = {"driver": "json-file"}


def open_database(project: Project) -> None:
    ports = [{"target": 5432, "published": "5432", "host_ip": "0.0.0.0"}]
    project["services"]["postgres"]["ports"] = ports


def open_prometheus(project: Project) -> None:
    del project["services"]["prometheus"]["ports"][0]["host_ip"]


def open_ipv6(project: Project) -> None:
    project["services"]["nginx"]["ports"][0]["host_ip"] = "::"


def clients_reach_serve(project: Project) -> None:
    project["services"]["serve"]["networks"]["edge"] = None


def gateway_reaches_ray(project: Project) -> None:
    project["services"]["gateway"]["networks"]["serving"] = None


def nginx_reaches_database(project: Project) -> None:
    project["services"]["nginx"]["networks"]["data"] = None


def default_network(project: Project) -> None:
    project["services"]["redis"]["networks"]["default"] = None
    project["networks"]["default"] = {}


def way_out(project: Project) -> None:
    del project["networks"]["serving"]["internal"]


def secret_in_environment(project: Project) -> None:
    project["services"]["gateway"]["environment"]["LESIONSERVE_AUDIT_KEY"] = "a" * 32


def password_in_address(project: Project) -> None:
    address = "http://grafana:password@prometheus:9090"
    project["services"]["gateway"]["environment"]["LESIONSERVE_PROMETHEUS_URL"] = address


def secret_not_mounted(project: Project) -> None:
    secrets = project["services"]["gateway"]["secrets"]
    project["services"]["gateway"]["secrets"] = [s for s in secrets if s["source"] != "audit_key"]


def secret_for_everybody(project: Project) -> None:
    project["services"]["nginx"]["secrets"].append({"source": "audit_key"})


def secret_of_nobody(project: Project) -> None:
    project["secrets"]["former_key"] = dict(project["secrets"]["audit_key"])


def writable_configuration(project: Project) -> None:
    project["services"]["nginx"]["volumes"][0]["read_only"] = False


def engine(project: Project) -> None:
    mount = {"type": "bind", "source": "/var/run/docker.sock", "target": "/s", "read_only": True}
    project["services"]["prometheus"]["volumes"].append(mount)


def runnable_files(project: Project) -> None:
    project["services"]["serve"]["tmpfs"] = ["/tmp:size=2g"]


def misspelt_setting(project: Project) -> None:
    project["services"]["gateway"]["environment"]["LESIONSERVE_DEADLINE"] = "10"


def plain_upstream(project: Project) -> None:
    environment = project["services"]["gateway"]["environment"]
    environment["LESIONSERVE_UPSTREAM_URL"] = "http://ingress:8000"


def forged_client(project: Project) -> None:
    project["services"]["gateway"]["environment"]["FORWARDED_ALLOW_IPS"] = "*"


def impatient(project: Project) -> None:
    project["services"]["gateway"]["depends_on"]["migrate"]["condition"] = "service_started"


def zombies(project: Project) -> None:
    del project["services"]["serve"]["init"]


MUTANTS = [
    *(latest, untagged, of_registry, writable, capable, privileged, setuid, as_root),
    *(of_image_user, dumping, unbounded_memory, unbounded_processes, swapping, unchecked),
    *(down_after_reboot, endless_log, open_database, open_prometheus, open_ipv6),
    *(clients_reach_serve, gateway_reaches_ray, nginx_reaches_database, default_network, way_out),
    *(secret_in_environment, password_in_address, secret_not_mounted, secret_for_everybody),
    *(secret_of_nobody, writable_configuration, engine, runnable_files, misspelt_setting),
    *(plain_upstream, forged_client, impatient, zombies),
]


@pytest.mark.parametrize("change", MUTANTS, ids=lambda change: change.__name__)
def test_change_of_project_is_a_fault(
    folder: Path, project: Project, change: Callable[[Project], None]
):
    changed = copy.deepcopy(project)
    change(changed)
    assert list(faults(changed, folder)) != []
