import importlib
import math
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import ray
from ray._private import ray_constants
from ray._private.node import Node
from ray._private.parameter import RayParams

from serve_app.args import AppArgs
from serve_app.direct_ingress import enable_direct_ingress

# Images in flight are at most a few tens of megabytes each; Ray would take a third of the memory.
OBJECT_STORE_BYTES = 512 * 1024 * 1024

_LOOPBACK = "127.0.0.1"
# Serve's controller and its proxy take no CPU of a node, but a worker each.
_WORKERS_OF_SERVE = 2


class _Head(Node):
    """Ray's head, beside whose start Serve is imported."""

    def start_ray_processes(self) -> None:
        """Start the node manager, which needs seconds until its agents have started."""
        super().start_ray_processes()  # type: ignore[no-untyped-call]
        importlib.import_module("serve_app.deployment")


class _HeadWithoutDashboard(_Head):
    """Ray's head without the process of the dashboard, for which all others would wait."""

    def start_api_server(self, *, include_dashboard: bool | None, raise_on_failure: bool) -> None:
        """Start nothing: neither the dashboard nor its metrics were asked for."""


@contextmanager
def local_ray(
    applications: Sequence[AppArgs],
    dashboard_port: int | None,
    temp_dir: Path | None,
    metrics_port: int | None = None,
    dashboard_metrics_port: int | None = None,
    object_store_bytes: int = OBJECT_STORE_BYTES,
) -> Iterator[None]:
    """Run a Ray instance of our own, on the loopback address; without a port, no dashboard.

    applications: what will run on it, so that there is room.
    metrics_port: where Ray exports the metrics of its processes and of the replicas.
    dashboard_metrics_port: where the dashboard's process exports its own, which it does without a
    dashboard, too; without either port, there is no such process.
    object_store_bytes: in /dev/shm, or in a deleted file below `temp_dir` where that is smaller.

    The other ports are free ones, so that nothing clashes with another Ray or a Redis on this host.
    Ray binds one port per replica to all interfaces whatever its address, for calls between
    replicas; that one asks for Ray's token. `ray.init()` can choose neither the address nor the
    port of the node agent, so the head node is started as `ray.init()` does it inside (ADR 0022).
    """
    _set_environment(dashboard_metrics_port)
    if all(args.has_one_ingress for args in applications):
        enable_direct_ingress()
    has_dashboard_process = dashboard_port is not None or dashboard_metrics_port is not None
    node = (_Head if has_dashboard_process else _HeadWithoutDashboard)(
        RayParams(
            node_ip_address=_LOOPBACK,
            # As many as the profile asks for: it always fits. As many workers are started before
            # they are asked for, several at a time, and as many idle ones are kept.
            num_cpus=sum(map(_cpus, applications)) + _WORKERS_OF_SERVE,
            object_store_memory=object_store_bytes,
            include_dashboard=dashboard_port is not None,
            dashboard_host=_LOOPBACK,
            dashboard_port=dashboard_port,  # type: ignore[arg-type]  # its annotation says bool
            dashboard_agent_listen_port=0,
            metrics_export_port=metrics_port,
            # Nothing here scales nodes or reads the output of workers from the driver's terminal.
            no_monitor=True,
            include_log_monitor=False,  # type: ignore[arg-type]  # its annotation says str
            temp_dir=None if temp_dir is None else str(temp_dir.resolve()),
        ),
        head=True,
        shutdown_at_exit=False,
        spawn_reaper=True,
        ray_init_cluster=True,
    )
    try:
        ray.init(address=node.gcs_address, log_to_driver=False)
        yield
    finally:
        ray.shutdown()
        node.kill_all_processes(check_alive=False, allow_graceful=True)


def _set_environment(dashboard_metrics_port: int | None) -> None:
    """Set what Ray's processes read from the environment alone."""
    os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", "RAY_grpc_enable_http_proxy": "0"})
    # The token that Ray would else make in the home directory.
    if os.environ.setdefault("RAY_AUTH_MODE", "token") == "token":
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    # 44227 unless it is set, and 0 lets the system choose.
    os.environ["DASHBOARD_METRIC_PORT"] = str(dashboard_metrics_port or 0)
    # Ray keeps 127.0.0.1 only where it takes this host for one that joins no cluster; else it
    # puts the address of the network in its place. The variable is for its processes, and the
    # constant is what this one has read from it.
    os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = "0"
    ray_constants.ENABLE_RAY_CLUSTER = False


def _cpus(args: AppArgs) -> int:
    return math.ceil(sum(size.most_replicas * size.num_cpus for size in args.sizes.values()))
