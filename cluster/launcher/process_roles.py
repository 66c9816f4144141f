import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class OnExit(Enum):
    """What happens to the stack when a process ends; the value is the sentence for the user."""

    STOP = "everything is stopped"
    # Requests that reach the proxy before it has noticed a new replica are refused until then.
    RESTART = "another one is started where it is needed, within about half a minute"
    CONTINUE = "predictions go on without it"


@dataclass(frozen=True)
class Role:
    name: str
    on_exit: OnExit

    @property
    def exit_message(self) -> str:
        return f"{self.name} died; {self.on_exit.value}"


DRIVER = Role("the Ray Serve driver", OnExit.STOP)
GATEWAY = Role("the gateway", OnExit.STOP)
PROMETHEUS = Role("Prometheus", OnExit.CONTINUE)
ALERTMANAGER = Role("Alertmanager", OnExit.CONTINUE)
_DASHBOARD = Role("the Ray dashboard", OnExit.CONTINUE)

# By a part of the command line, causes first: the node manager ends at once with either agent, and
# the agents end half a second after it.
_ROLES = {
    "-m serve_app": DRIVER,
    "gateway.asgi": GATEWAY,
    "/gcs_server": Role("Ray's head (gcs_server)", OnExit.STOP),
    "ray::DashboardAgent": Role("Ray's node agent", OnExit.STOP),
    "ray::RuntimeEnvAgent": Role("Ray's environment agent", OnExit.STOP),
    "/raylet": Role("Ray's node manager (raylet)", OnExit.STOP),
    "ray::ServeController": Role("the Serve controller", OnExit.RESTART),
    "ray::ProxyActor": Role("the Serve proxy", OnExit.RESTART),
    "dashboard/dashboard.py": _DASHBOARD,
    "ray-dashboard-": _DASHBOARD,
    "from multiprocessing.": _DASHBOARD,
    "alertmanager --config.file=": ALERTMANAGER,
    "prometheus --config.file=": PROMETHEUS,
}
_ORDER = list(_ROLES.values())
_REPLICA = re.compile(r"ray::ServeReplica:[^:]*:(\w+)")


def role_of(title: str) -> Role | None:
    """Return the role of the process with this command line; None for workers that come and go."""
    if replica := _REPLICA.search(title):
        return Role(f"a replica of {replica[1]}", OnExit.RESTART)
    return next((role for mark, role in _ROLES.items() if mark in title), None)


def fatal_role(ended: Sequence[Role]) -> Role | None:
    """Return the role whose end stops the stack: of several, the one that ended first."""
    essential = [role for role in ended if role.on_exit is OnExit.STOP]
    return min(essential, key=_ORDER.index, default=None)
