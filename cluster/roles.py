import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Role:
    """What a process of a running stack is, and what becomes of the stack when it dies."""

    name: str
    essential: bool
    after: str = "everything is stopped"


DRIVER = Role("the Ray Serve driver", essential=True)
GATEWAY = Role("the gateway", essential=True)

_REPLICA = re.compile(r"ray::ServeReplica:[^:]*:(\w+)")

# By a part of the command line, in the order in which one death causes the next: the death of
# an earlier one explains that of a later one.
_ROLES = {
    "-m serve_app": DRIVER,
    "gateway.asgi": GATEWAY,
    "/gcs_server": Role("Ray's head (gcs_server)", essential=True),
    "ray::DashboardAgent": Role("Ray's node agent", essential=True),
    "ray::RuntimeEnvAgent": Role("Ray's environment agent", essential=True),
    "/raylet": Role("Ray's node manager (raylet)", essential=True),
    "ray::ServeController": Role("the Serve controller", False, "Ray starts another"),
    "ray::ProxyActor": Role("the Serve proxy", False, "Serve starts another"),
    "dashboard/dashboard.py": Role("the Ray dashboard", False, "predictions go on without it"),
    "ray-dashboard-": Role("a part of the Ray dashboard", False, "predictions go on without it"),
    "monitor.py": Role("a Ray monitor", False, "predictions go on without it"),
}
_ORDER = list(_ROLES.values())


def role_of(title: str) -> Role | None:
    """The role of the process with this command line; None for helpers that come and go."""
    if replica := _REPLICA.search(title):
        return Role(f"a replica of {replica[1]}", False, "Ray Serve starts another where needed")
    return next((role for mark, role in _ROLES.items() if mark in title), None)


def cause(roles: list[Role]) -> Role:
    """Of several that died together, the one whose death explains the others'."""
    return min(roles, key=_ORDER.index)
