"""Prometheus and Alertmanager beside the stack, as Debian packages them."""

import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cluster.errors import StackError
from cluster.files import write_secret
from cluster.launcher.monitoring_config import alertmanager_config, prometheus_config
from cluster.launcher.ports import StackPorts
from cluster.launcher.process_group import ProcessGroup
from cluster.launcher.process_roles import ALERTMANAGER, PROMETHEUS, Role
from cluster.launcher.stack_process import StackProcess, answers
from cluster.launcher.workspace import Workspace

if TYPE_CHECKING:
    import httpx

# By program, the Debian package that brings it. Others call Alertmanager's program by its own name.
_PACKAGES = {"prometheus": "prometheus", "prometheus-alertmanager": "prometheus-alertmanager"}
_OTHER_NAMES = {"prometheus-alertmanager": "alertmanager"}

_KEEP_DAYS = 30
_KEEP_BYTES = "2GB"
_MEMORY = "512MiB"  # a soft limit of Go's garbage collector


def require_monitoring_programs() -> None:
    """Raise StackError (exit status 2) with the Debian package of each program that is missing."""
    missing = [package for name, package in _PACKAGES.items() if _program(name) is None]
    if missing:
        packages = " ".join(missing)
        raise StackError(
            f"--monitoring needs programs that are not installed here; Debian's packages bring "
            f"them: apt-get install {packages}",
            exit_status=2,
        )


class MonitoringProcess(StackProcess):
    """One of the two, on a port of the loopback address, with a data folder of its own."""

    def __init__(
        self,
        group: ProcessGroup,
        workspace: Workspace,
        role: Role,
        program: str,
        port: int,
        options: list[str],
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        executable = _program(program)
        assert executable is not None, "required before the start"
        command = [executable, *options, f"--web.listen-address=127.0.0.1:{port}"]
        log = workspace.log_of(program)
        environment = workspace.child_environment(GOMEMLIMIT=_MEMORY)
        child = group.start(command, environment, log.path, workspace.lock_descriptors)
        super().__init__(role, child, log)

    def is_ready(self, client: "httpx.Client") -> bool:
        return answers(client, f"{self.url}/-/ready")


class PrometheusProcess(MonitoringProcess):
    """Prometheus, which collects the metrics of this stack and evaluates the alert rules."""

    def __init__(
        self, group: ProcessGroup, workspace: Workspace, port: int, config: dict[str, Any]
    ) -> None:
        path = _write(workspace, "prometheus.yml", config)
        options = [
            f"--config.file={path}",
            f"--storage.tsdb.path={_data(workspace, 'prometheus')}",
            f"--storage.tsdb.retention.time={_KEEP_DAYS}d",
            f"--storage.tsdb.retention.size={_KEEP_BYTES}",
        ]
        super().__init__(group, workspace, PROMETHEUS, "prometheus", port, options)


class AlertmanagerProcess(MonitoringProcess):
    """Alertmanager, which groups the alerts and sends them to the gateway."""

    def __init__(
        self, group: ProcessGroup, workspace: Workspace, port: int, config: dict[str, Any]
    ) -> None:
        path = _write(workspace, "alertmanager.yml", config)
        options = [
            f"--config.file={path}",
            f"--storage.path={_data(workspace, 'alertmanager')}",
            "--cluster.listen-address=",  # no peers; by default it listens on every interface
        ]
        super().__init__(group, workspace, ALERTMANAGER, "prometheus-alertmanager", port, options)


class Monitoring:
    """Both, once they are started."""

    def __init__(
        self,
        group: ProcessGroup,
        workspace: Workspace,
        ports: StackPorts,
        gateway_url: str,
        token: str,
    ) -> None:
        """Start both. `token` is what the gateway accepts from Alertmanager."""
        assert ports.prometheus is not None, "chosen with --monitoring"
        assert ports.alertmanager is not None, "chosen with --monitoring"
        token_file = _folder(workspace) / "alerts.token"
        write_secret(token_file, token.encode())
        alerts = alertmanager_config(gateway_url, workspace.ca, token_file)
        self.alertmanager = AlertmanagerProcess(group, workspace, ports.alertmanager, alerts)
        ray_ports = [ports.ray_metrics, ports.metrics]
        metrics = prometheus_config(gateway_url, workspace.ca, ray_ports, ports.alertmanager)
        self.prometheus = PrometheusProcess(group, workspace, ports.prometheus, metrics)

    @property
    def processes(self) -> list[MonitoringProcess]:
        return [self.prometheus, self.alertmanager]

    def is_ready(self, client: "httpx.Client") -> bool:
        return all(process.is_ready(client) for process in self.processes)


def new_alerts_token() -> str:
    """Return a token for Alertmanager's calls to the gateway, for one start."""
    return secrets.token_urlsafe(32)


def _program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(_OTHER_NAMES.get(name, name))


def _folder(workspace: Workspace) -> Path:
    """Return the folder of what is written anew at each start."""
    folder = workspace.temp / "monitoring"
    folder.mkdir(exist_ok=True)
    return folder


def _data(workspace: Workspace, name: str) -> Path:
    folder = workspace.data / "monitoring" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write(workspace: Workspace, name: str, config: dict[str, Any]) -> Path:
    path = _folder(workspace) / name
    write_secret(path, yaml.safe_dump(config, sort_keys=False).encode())
    return path
