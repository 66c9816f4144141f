"""A running Ray cluster and the application that Ray Serve has on it."""

import logging
import os
import socket
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import ray
from ray import serve
from ray._common.constants import HEAD_NODE_RESOURCE_NAME
from ray._common.network_utils import parse_address  # type: ignore[attr-defined]
from ray._private.services import canonicalize_bootstrap_address
from ray.dashboard.modules.serve.sdk import ServeSubmissionClient
from ray.exceptions import AuthenticationError, RayError
from ray.serve.exceptions import RayServeException

from cluster.deploy.errors import error_line, refused
from cluster.errors import StackError
from serve_app.status import last_line

_MODEL_WITHIN_S = 10.0
_CONNECT_WITHIN_S = 5.0
_REQUEST_WITHIN_S = 60.0
# Of Ray's clients; a requests.RequestException is an OSError.
CLUSTER_ERRORS = (OSError, RuntimeError, ValueError, RayError, RayServeException)


@dataclass(frozen=True, slots=True)
class Deployment:
    """replicas: the state of each replica, by its id."""

    status: str
    message: str
    replicas: Mapping[str, str]

    def has_replaced(self, leaving: Set[str]) -> bool:
        """Return whether another replica runs, and those that leave take requests no more."""
        states = self.replicas.items()
        return any(
            state == "RUNNING" and replica not in leaving for replica, state in states
        ) and all(state == "STOPPING" for replica, state in states if replica in leaving)


@dataclass(frozen=True, slots=True)
class Application:
    """config: as it was deployed; None for one that a script or `lesionserve up` started."""

    status: str
    message: str
    config: Mapping[str, Any] | None
    deployments: Mapping[str, Deployment]

    @property
    def is_rolling(self) -> bool:
        return self.status in ("DEPLOYING", "DELETING", "NOT_STARTED")

    @property
    def has_served(self) -> bool:
        """Return whether its last deployment came to its end."""
        return not self.is_rolling and self.status != "DEPLOY_FAILED"

    @property
    def reason(self) -> str:
        """Return why it does not serve, as one line; empty where nothing is known."""
        failed = [d.message for d in self.deployments.values() if d.status == "DEPLOY_FAILED"]
        sick = [d.message for d in self.deployments.values() if d.status == "UNHEALTHY"]
        return last_line((failed or sick or [self.message])[0])

    @property
    def replicas(self) -> frozenset[str]:
        return frozenset(replica for d in self.deployments.values() for replica in d.replicas)

    @property
    def deployment(self) -> str | None:
        """Return the id given by `lesionserve deploy`; None where something else deployed."""
        return None if self.config is None else self.config.get("args", {}).get("deployment")

    @property
    def bundle_sha256(self) -> str | None:
        """Return the digest of the bundle that was deployed; None where none is noted."""
        args = {} if self.config is None else self.config.get("args", {})
        digest: str | None = args.get("model", {}).get("bundle_sha256")
        return digest

    def has_replaced(self, leaving: Set[str]) -> bool:
        """Return whether each deployment runs on other replicas than those that leave."""
        deployments = self.deployments.values()
        return bool(deployments) and all(d.has_replaced(leaving) for d in deployments)


@dataclass(frozen=True, slots=True)
class ServeDetails:
    http_options: Mapping[str, Any]
    applications: Mapping[str, Application]


class _BoundedClient(ServeSubmissionClient):
    """Ray's client, whose requests would wait for ever for a dashboard that hangs."""

    def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:
        return super()._do_request(method, endpoint, **{"timeout": _REQUEST_WITHIN_S, **options})


class ServeClient:
    """Ray Serve on the cluster that this process is connected to."""

    def __init__(self, dashboard_url: str) -> None:
        self._client = _BoundedClient(dashboard_url)

    def read(self) -> ServeDetails:
        """Raise one of CLUSTER_ERRORS where the cluster does not answer.

        Before anything was deployed the details hold no options and no application.
        """
        details = self._client.get_serve_details()
        applications = details.get("applications", {}).items()
        return ServeDetails(
            http_options=details.get("http_options") or {},
            applications={name: _application(application) for name, application in applications},
        )

    def details(self) -> ServeDetails:
        """Return what `read` does. Raise StackError where the cluster does not answer."""
        try:
            return self.read()
        except CLUSTER_ERRORS as error:
            raise refused(f"Ray's dashboard does not answer: {error_line(error)}") from error

    def put(self, config: Mapping[str, Any]) -> None:
        """Deploy these applications, and delete all others. Raise one of CLUSTER_ERRORS."""
        self._client.deploy_applications(dict(config))

    def manifest(self, application: str) -> Mapping[str, Any] | None:
        """Return the manifest of the model that answers now; None where none does."""
        try:
            handle = serve.get_app_handle(application)
            manifest: Mapping[str, Any] = handle.manifest.remote().result(timeout_s=_MODEL_WITHIN_S)
        except (TimeoutError, *CLUSTER_ERRORS):
            return None
        return manifest


@contextmanager
def connected(address: str) -> Iterator[ServeClient]:
    """Connect to a Ray cluster of which this machine is a node.

    Raise StackError where it cannot be reached, has another version of Ray or Python, or refuses
    the token.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "error")  # an error reports what failed
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    try:
        _check_listening(address)
        context = ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except CLUSTER_ERRORS as error:
        raise _unreachable(address, error) from error
    try:
        yield _client(context.dashboard_url, ray.get_runtime_context().get_node_id())
    finally:
        ray.shutdown()


def _check_listening(address: str) -> None:
    """Raise OSError where nothing listens, since Ray's own client would wait there for ever."""
    bootstrap_address = canonicalize_bootstrap_address(address)
    if bootstrap_address is None:
        raise ConnectionError("no cluster was started on this machine")
    host, port = parse_address(bootstrap_address)
    with socket.create_connection((host, int(port)), timeout=_CONNECT_WITHIN_S):
        pass


def _client(dashboard: str | None, node_id: str) -> ServeClient:
    if not dashboard:
        raise refused("the cluster has no dashboard, which deploys: start Ray's head with it")
    url = dashboard if "://" in dashboard else f"http://{dashboard}"
    if _is_loopback(urlsplit(url).hostname) and not _is_head(node_id):
        # A dashboard on this node's loopback address would be another cluster's.
        raise refused(
            "the cluster's dashboard listens on its head's loopback address only: run this on the "
            "head, or start the head with --dashboard-host"
        )
    # A proxy of the environment does not reach the cluster's network.
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [os.environ.get(name, ""), urlsplit(url).hostname or ""]
        os.environ[name] = ",".join(filter(None, hosts))
    try:
        return ServeClient(url)
    except CLUSTER_ERRORS as error:
        raise _unreachable(url, error) from error


def _is_loopback(host: str | None) -> bool:
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost"


def _is_head(node_id: str) -> bool:
    nodes = {node["NodeID"]: node["Resources"] for node in ray.nodes()}  # type: ignore[no-untyped-call]
    return HEAD_NODE_RESOURCE_NAME in nodes.get(node_id, {})


def _unreachable(address: str, error: BaseException) -> StackError:
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None:
        chain.append(cause)
        cause = cause.__cause__
    # Ray's driver names the error of its token only in the text of another error.
    if any(
        isinstance(cause, AuthenticationError) or "InvalidAuthToken" in str(cause)
        for cause in chain
    ):
        return refused(
            "the cluster refuses this token: RAY_AUTH_TOKEN must be the one that `ray start` had"
        )
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return refused(
        f"no Ray cluster at {address!r}: {lines[0][:300]}; run this on the cluster's head, with "
        "the environment that `ray start` had (--address takes the HOST:PORT of `ray start`)"
    )


def _application(details: Mapping[str, Any]) -> Application:
    return Application(
        status=details["status"],
        message=details["message"],
        config=details["deployed_app_config"],
        deployments={
            name: Deployment(
                status=deployment["status"],
                message=deployment["message"],
                replicas={
                    replica["replica_id"]: replica["state"] for replica in deployment["replicas"]
                },
            )
            for name, deployment in details["deployments"].items()
        },
    )
