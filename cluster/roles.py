import re
from dataclasses import dataclass
from enum import Enum


class Fate(Enum):
    """What becomes of the stack when a process dies."""

    ENDS = "everything is stopped"
    # Requests that reach the proxy before it has noticed a new replica are refused until then.
    HEALS = "another one is started where it is needed, within about half a minute"
    GOES_ON = "predictions go on without it"


@dataclass(frozen=True)
class Role:
    name: str
    fate: Fate

    @property
    def obituary(self) -> str:
        return f"{self.name} died; {self.fate.value}"


DRIVER = Role("the Ray Serve driver", Fate.ENDS)
GATEWAY = Role("the gateway", Fate.ENDS)
_DASHBOARD = Role("the Ray dashboard", Fate.GOES_ON)

# By a part of the command line. An earlier one's death causes a later one's: the node manager
# ends at once with either agent, and they end half a second after it.
_ROLES = {
    "-m serve_app": DRIVER,
    "gateway.asgi": GATEWAY,
    "/gcs_server": Role("Ray's head (gcs_server)", Fate.ENDS),
    "ray::DashboardAgent": Role("Ray's node agent", Fate.ENDS),
    "ray::RuntimeEnvAgent": Role("Ray's environment agent", Fate.ENDS),
    "/raylet": Role("Ray's node manager (raylet)", Fate.ENDS),
    "ray::ServeController": Role("the Serve controller", Fate.HEALS),
    "ray::ProxyActor": Role("the Serve proxy", Fate.HEALS),
    "dashboard/dashboard.py": _DASHBOARD,
    "ray-dashboard-": _DASHBOARD,
    "from multiprocessing.": _DASHBOARD,
}
_ORDER = list(_ROLES.values())
_REPLICA = re.compile(r"ray::ServeReplica:[^:]*:(\w+)")


def role_of(title: str) -> Role | None:
    """The role of the process with this command line; None for workers that come and go."""
    if replica := _REPLICA.search(title):
        return Role(f"a replica of {replica[1]}", Fate.HEALS)
    return next((role for mark, role in _ROLES.items() if mark in title), None)


def fatal(dead: list[Role]) -> Role | None:
    """The role that ended the stack: of several that died together, the one that began it."""
    essential = [role for role in dead if role.fate is Fate.ENDS]
    return min(essential, key=_ORDER.index, default=None)
