import secrets
import sys

from cluster.errors import StackError
from cluster.launcher.driver_log import DriverLog
from cluster.launcher.options import StackOptions
from cluster.launcher.ports import StackPorts
from cluster.launcher.process_group import ProcessGroup
from cluster.launcher.process_roles import DRIVER
from cluster.launcher.public_demo import OBJECT_STORE_BYTES
from cluster.launcher.stack_process import StackProcess
from cluster.launcher.workspace import Workspace
from serve_app.driver_state import DriverState


class ServeProcess(StackProcess):
    """The Ray Serve driver, with the Ray that it starts."""

    log: DriverLog

    def __init__(
        self, group: ProcessGroup, workspace: Workspace, options: StackOptions, ports: StackPorts
    ) -> None:
        self.dashboard_token = secrets.token_hex(32)
        self.dashboard_url = (
            None if ports.dashboard is None else f"http://127.0.0.1:{ports.dashboard}"
        )
        self.metrics_url = f"http://127.0.0.1:{ports.ray_metrics}/metrics"
        environment = workspace.child_environment(
            LESIONSERVE_SERVICE_TOKENS=workspace.gateway_settings["LESIONSERVE_SERVICE_TOKEN"],
            # With this token Ray does not make or read one in the home directory.
            RAY_AUTH_MODE="token",
            RAY_AUTH_TOKEN=self.dashboard_token,
        )
        log = workspace.serve_log
        command = _command(workspace, options, ports)
        child = group.start(command, environment, log.path, workspace.lock_descriptors)
        super().__init__(DRIVER, child, log)

    def start_error(self) -> StackError:
        if self.log.has_reported(DriverState.READY):
            return self.log.exit_error(self.role)  # its last line is of a running driver
        return super().start_error()


def _command(workspace: Workspace, options: StackOptions, ports: StackPorts) -> list[str]:
    command = [sys.executable, "-m", "serve_app", "--config", str(options.config)]
    command += ["--port", str(ports.ingress), "--temp-dir", str(workspace.ray_folder)]
    command += ["--metrics-port", str(ports.ray_metrics)]
    if options.bundle is not None:
        command += ["--bundle", str(options.bundle)]
    if options.candidate is not None:
        command += ["--candidate", str(options.candidate)]
    if ports.dashboard is not None:
        command += ["--dashboard-port", str(ports.dashboard)]
    if options.dashboard or options.monitoring:
        command += ["--dashboard-metrics-port", str(ports.metrics)]
    if workspace.certificates is not None:
        command += ["--certificate", str(workspace.certificates.ingress)]
    if options.public_demo:
        command += ["--demo-only", "--object-store-bytes", str(OBJECT_STORE_BYTES)]
    if options.debug:
        command += ["--debug"]
    return command
