from dataclasses import dataclass
from pathlib import Path

from cluster.paths import LOCAL_PROFILE

# Beside the usual 9090 and 9093, where Debian's packages start services of their own.
PROMETHEUS_PORT = 9790
ALERTMANAGER_PORT = 9793


@dataclass(frozen=True)
class StackOptions:
    """What to start. A port that is not given is a free one.

    `data` keeps the database, the gateway's secrets and the logs of every start; without it
    nothing is kept. `candidate` is a bundle that runs beside the other one, for a rollout. `tls`
    makes both hops HTTPS, with certificates of a private authority that is kept there, too.
    `monitoring` starts Prometheus and Alertmanager, whose ports are the same at each start.
    `public_demo` lets everybody use the demo model, and the gateway listen beyond the
    loopback address; it goes with the profile of a Space alone.
    """

    config: Path = LOCAL_PROFILE
    bundle: Path | None = None
    candidate: Path | None = None
    data: Path | None = None
    gateway_port: int | None = None
    ingress_port: int | None = None
    dashboard_port: int | None = None
    dashboard: bool = False
    tls: bool = False
    monitoring: bool = False
    prometheus_port: int = PROMETHEUS_PORT
    alertmanager_port: int = ALERTMANAGER_PORT
    public_demo: bool = False
    key_name: str = "local"
    debug: bool = False
