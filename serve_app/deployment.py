"""Serve an application on the Ray that this process is connected to."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import ray
from ray import serve
from ray.serve._private.api import _create_controller_and_proxy_refs
from ray.serve._private.client import ServeControllerClient
from ray.serve._private.constants import HTTP_PROXY_TIMEOUT
from ray.serve.config import ControllerOptions
from ray.serve.context import _set_global_client
from ray.serve.schema import ApplicationStatus, ApplicationStatusOverview

from serve_app.app import build_app
from serve_app.config import Application, Profile
from serve_app.status import last_line

_ASK_AGAIN_S = 0.1  # the answer costs the controller a few milliseconds


class StartError(Exception):
    """The service did not start. `str(error)` is one line, `details` what Ray says about it."""

    def __init__(self, message: str, details: str) -> None:
        super().__init__(message)
        self.details = details


@contextmanager
def deployed(profile: Profile, applications: Sequence[Application]) -> Iterator[None]:
    """Serve the applications, as the profile says, until the end of the block.

    The block is entered once their models have reproduced their golden cases and the proxy takes
    requests. Raise StartError where a replica or the proxy does not start.
    """
    # As `serve.start` does, which would wait for the proxy before the replica may start.
    controller, proxies_ready = _create_controller_and_proxy_refs(
        http_options=profile.http_options.model_dump(),
        grpc_options=None,
        global_logging_config=profile.logging_config.for_ray(),
        global_tracing_config=None,
        controller_options=ControllerOptions(),
        proxy_location=profile.proxy_location,
    )
    _set_global_client(ServeControllerClient(controller))  # type: ignore[no-untyped-call]
    targets = [
        serve.RunTarget(
            build_app(application.args),
            name=application.name,
            route_prefix=application.route_prefix,
            logging_config=profile.logging_config.for_ray(),
        )
        for application in applications
    ]
    serve.run_many(targets, wait_for_applications_running=False)
    ray.get(proxies_ready, timeout=HTTP_PROXY_TIMEOUT)
    for application in applications:
        _wait_until_running(application.name)
    yield
    serve.shutdown()  # type: ignore[no-untyped-call]


def _wait_until_running(name: str) -> None:
    """Return once the application runs: `serve.run` asks only once a second. Raise StartError."""
    while (application := serve.status().applications[name]).status != ApplicationStatus.RUNNING:
        if application.status == ApplicationStatus.DEPLOY_FAILED:
            details = _details(application) or application.message
            raise StartError(last_line(details), details)
        time.sleep(_ASK_AGAIN_S)


def _details(application: ApplicationStatusOverview) -> str:
    """Return what Serve knows of the deployments that failed: the traceback of the last replica."""
    return "\n".join(
        deployment.message
        for deployment in application.deployments.values()
        if deployment.status.value == "DEPLOY_FAILED"
    )
