import math
import os
from pathlib import Path

import ray
from ray import serve

from serve_app.app import build_app
from serve_app.args import AppArgs
from serve_app.config import Profile
from serve_app.status import last_line

# Images in flight are at most a few tens of megabytes each; Ray would take a third of the memory.
OBJECT_STORE_BYTES = 512 * 1024 * 1024


class StartError(Exception):
    """The service did not start. `str(error)` is one line, `details` what Ray says about it."""

    def __init__(self, message: str, details: str) -> None:
        super().__init__(message)
        self.details = details


def start_ray(args: AppArgs, dashboard_port: int | None, temp_dir: Path | None) -> None:
    """Starts a Ray instance of our own; without a port, it has no dashboard.

    Its internal ports listen on every interface, whatever address Ray is given; what keeps
    strangers out is Ray's token, which is on unless RAY_AUTH_MODE says otherwise.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        address="local",  # whatever RAY_ADDRESS or an earlier `ray start` says
        # As many as the profile asks for: it always fits, and Ray starts no more idle workers.
        num_cpus=_cpus(args),
        object_store_memory=OBJECT_STORE_BYTES,
        include_dashboard=dashboard_port is not None,
        dashboard_host="127.0.0.1",
        dashboard_port=dashboard_port,
        log_to_driver=False,
        _temp_dir=None if temp_dir is None else str(temp_dir.resolve()),
    )


def deploy(profile: Profile, args: AppArgs) -> None:
    """Serves the profile's application; returns once the model has proved itself.

    Raises StartError where a replica does not start.
    """
    serve.start(
        proxy_location=profile.proxy_location,
        http_options=profile.http_options.model_dump(),
        logging_config=profile.logging_config,
    )
    application = profile.application
    try:
        serve.run(
            build_app(args),
            name=application.name,
            route_prefix=application.route_prefix,
            logging_config=profile.logging_config,
        )
    except RuntimeError as error:
        details = _details(application.name) or str(error)
        raise StartError(last_line(details), details) from error


def stop() -> None:
    serve.shutdown()  # type: ignore[no-untyped-call]
    ray.shutdown()


def _cpus(args: AppArgs) -> int:
    return math.ceil(sum(size.most_replicas * size.num_cpus for size in args.sizes.values()))


def _details(application: str) -> str:
    """What Serve knows of the deployments that failed: the traceback of the last replica."""
    deployments = serve.status().applications[application].deployments.values()
    return "\n".join(one.message for one in deployments if one.status.value == "DEPLOY_FAILED")
