import random
import socket
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Self

from cluster.errors import StackError
from cluster.launcher.options import StackOptions

# Below the range from which systems take ports for connections and for servers that ask for any
# port: Ray's processes ask for some before ours listen, and could take a port that was free. Above
# the ports of a cluster's Ray workers, 10002 to 19999.
_PORTS = range(20000, 32768)


def choose_ports(wanted: Sequence[int | None]) -> list[int]:
    """Return the wanted ports, and free ones where none is wanted.

    Raise StackError for one in use or out of range.
    """
    with ExitStack() as sockets:
        chosen = []
        for port in wanted:
            probe = sockets.enter_context(socket.socket())
            # As the servers do: a port with connections in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                if port is None:
                    _bind_anywhere(probe)
                else:
                    probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise StackError(f"port {port}: {error.strerror}", exit_status=2) from error
            except OverflowError as error:
                raise StackError(f"port {port}: there is no such port", exit_status=2) from error
            chosen.append(probe.getsockname()[1])
        return chosen


@dataclass(frozen=True)
class StackPorts:
    """The ports of one start, all on the loopback address. What is not started has None.

    metrics: of the dashboard's own metrics, used with the dashboard or the monitoring. ray_metrics:
    of the node's metrics, with those of Serve and of the replicas.
    """

    gateway: int
    ingress: int
    dashboard: int | None
    metrics: int
    ray_metrics: int
    prometheus: int | None = None
    alertmanager: int | None = None

    @classmethod
    def choose(cls, options: StackOptions) -> Self:
        """Take the ports of the options, and free ones. Raise StackError for one in use."""
        wanted = [options.gateway_port, options.ingress_port, options.dashboard_port, None, None]
        if options.monitoring:
            wanted += [options.prometheus_port, options.alertmanager_port]
        gateway, ingress, dashboard, metrics, ray_metrics, *monitoring = choose_ports(wanted)
        dashboard_port = dashboard if options.dashboard else None
        return cls(gateway, ingress, dashboard_port, metrics, ray_metrics, *monitoring)


def _bind_anywhere(probe: socket.socket) -> None:
    for port in random.sample(_PORTS, len(_PORTS)):  # nosec B311, no secret
        with suppress(OSError):
            return probe.bind(("127.0.0.1", port))
    raise StackError(f"no port of {_PORTS.start} to {_PORTS.stop} is free")
