import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from cluster.launcher.gateway_process import GatewayProcess
from cluster.launcher.monitoring import Monitoring
from cluster.launcher.process_group import ProcessGroup
from cluster.launcher.process_roles import DRIVER, GATEWAY, OnExit, Role, fatal_role, role_of
from cluster.launcher.serve_process import ServeProcess
from serve_app.driver_state import DriverState

_POLL_S = 1.0


class Stack:
    """A whole service on this machine that is ready: Ray, the graph, the gateway, a key to it.

    ca: the certificate that clients trust; None in plain HTTP. serve_metrics_url: where Prometheus
    reads the metrics of Ray and the replicas. monitoring: None where it was not asked for. start_s:
    the seconds that the start took. `say` takes a line for the user.
    """

    def __init__(
        self,
        serve: ServeProcess,
        gateway: GatewayProcess,
        group: ProcessGroup,
        api_key: str,
        ca: Path | None,
        start_s: float,
        say: Callable[[str], None],
        monitoring: Monitoring | None = None,
    ) -> None:
        self.gateway_url = gateway.url
        self.api_key = api_key
        self.ca = ca
        self.dashboard_url = serve.dashboard_url
        self.dashboard_token = serve.dashboard_token
        self.serve_metrics_url = serve.metrics_url
        self.start_s = start_s
        self.monitoring = monitoring
        self._serve = serve
        self._gateway = gateway
        self._group = group
        self._say = say
        self._missing: set[Role] = set()
        group.poll_ended()  # processes that ended during the start are not reported

    def wait(self) -> NoReturn:
        """Watch the processes until an essential one ends. Raise StackError then."""
        while True:
            self.check()
            time.sleep(_POLL_S)

    def check(self) -> None:
        """Say which processes have ended since the last check.

        Raise StackError where one was essential.
        """
        ended = self._poll_ended()
        if ended and self._serve.log.has_reported(DriverState.STOPPING):
            self._fail(DRIVER)
        if role := fatal_role([role for _, role in ended]):
            self._fail(role)
        for pid, role in ended:
            if role not in self._missing:
                self._say(f"{role.exit_message} (pid {pid})")
            if role.on_exit is OnExit.CONTINUE:
                self._missing.add(role)

    def _poll_ended(self) -> list[tuple[int, Role]]:
        watched = [(process.pid, role_of(process.title)) for process in self._group.poll_ended()]
        ended = [(pid, role) for pid, role in watched if role is not None]
        # The ends of the children are known without the process table.
        own = [process for process in (self._serve, self._gateway) if process.has_ended]
        return ended + [(process.pid, process.role) for process in own]

    def _fail(self, role: Role) -> NoReturn:
        log = self._gateway.log if role is GATEWAY else self._serve.log
        raise log.exit_error(role)
