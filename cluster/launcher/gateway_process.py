import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cluster.launcher.process_group import ProcessGroup
from cluster.launcher.process_roles import GATEWAY
from cluster.launcher.public_demo import LOOPBACK, Exposure
from cluster.launcher.stack_process import StackProcess, answers
from cluster.launcher.workspace import Workspace

if TYPE_CHECKING:
    import httpx


class GatewayProcess(StackProcess):
    """The gateway, before the ingress at `upstream_url`; by default on the loopback address."""

    def __init__(
        self,
        group: ProcessGroup,
        workspace: Workspace,
        port: int,
        upstream_url: str,
        settings: Mapping[str, str] | None = None,
        exposure: Exposure = LOOPBACK,
    ) -> None:
        """Start it. `settings` are variables of this start beside those of `gateway.env`."""
        self.url = f"{workspace.scheme}://127.0.0.1:{port}"
        environment = workspace.gateway_environment(upstream_url) | dict(settings or {})
        log = workspace.gateway_log
        command = _command(workspace, port, exposure)
        child = group.start(command, environment, log.path, workspace.lock_descriptors)
        super().__init__(GATEWAY, child, log)

    def is_ready(self, client: "httpx.Client") -> bool:
        """Return whether it answers, and the graph behind it."""
        return answers(client, f"{self.url}/readyz")


def _command(workspace: Workspace, port: int, exposure: Exposure) -> list[str]:
    command = [sys.executable, "-m", "uvicorn", "gateway.asgi:application"]
    command += ["--host", exposure.host, "--port", str(port)]
    command += ["--no-access-log", "--no-server-header", "--ws", "none", "--lifespan", "on"]
    command += ["--http", "gateway.protocol:GatewayProtocol"]
    if exposure.proxies:
        command += ["--proxy-headers", "--forwarded-allow-ips", ",".join(exposure.proxies)]
    else:
        command += ["--no-proxy-headers"]  # no proxy is in front, so its headers are not trusted
    if workspace.certificates is not None:
        pem = str(workspace.certificates.gateway)
        command += ["--ssl-certfile", pem, "--ssl-keyfile", pem]
    # Requests in flight may finish before the graph is stopped.
    return [*command, "--timeout-graceful-shutdown", "5"]
