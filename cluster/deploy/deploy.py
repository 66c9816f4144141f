"""Deploy a new version on a running Ray cluster, or go back to the old one."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ray.exceptions import RayError

from cluster.deploy import checks
from cluster.deploy.errors import error_line, not_rolled_back, refused
from cluster.deploy.plan import Plan, read_plan
from cluster.deploy.roll import Roll, Say
from cluster.deploy.serve_client import (
    CLUSTER_ERRORS,
    Application,
    ServeClient,
    ServeDetails,
    connected,
)
from pipeline.text import counted


@dataclass(frozen=True)
class DeployOptions:
    """The version to deploy, where, and what is accepted.

    address: HOST:PORT of Ray's head, or 'auto' for the cluster of which this machine is a node.
    take_over: replace a deployment that has not ended. room_within_s: a cluster that grows by
    itself may take longer to have room. http_host: the address at which Serve's proxy listens,
    instead of the profile's.
    """

    profile: Path
    bundle: Path | None = None
    address: str = "auto"
    other_classes: bool = False
    stop_first: bool = False
    take_over: bool = False
    check_only: bool = False  # whoever deploys is another, such as KubeRay
    room_within_s: float = 30.0
    ready_within_s: float = 900.0
    http_host: str | None = None
    candidate: bool = False


def deploy(options: DeployOptions, say: Say) -> None:
    """Check profile, bundle and cluster, roll the new version in, and wait until it serves.

    Where it does not become healthy, go back to what was deployed before. `say` takes a line of
    progress. Raise StackError with one of `errors.Exit`.
    """
    plan = read_plan(
        options.profile,
        options.bundle,
        stop_first=options.stop_first,
        http_host=options.http_host,
        candidate=options.candidate,
    )
    say(f"bundle: {plan.model} is intact")
    with connected(options.address) as client:
        try:
            details = client.details()
            plan = plan.next_to(details)
            before = _check_service(plan, options, client, details, say)
            if before is not None and plan.serves_already(before, client.manifest(plan.name)):
                say(f"serves: {plan.model}, deployed before as it is; nothing was changed")
                return
            _check_cluster(plan, before, options, say)
            before = checks.check_unchanged(plan, before, client.details())
            if options.check_only:
                say(f"checked: {plan.model} can be deployed; nothing was changed")
                return
        except RayError as error:
            raise refused(f"the cluster ended the checks: {error_line(error)}") from error
        Roll(plan, before, client, options.ready_within_s, say).run()
        if _is_promoted(plan):
            _remove_candidate(plan, client, say)


def remove_candidate(options: DeployOptions, say: Say) -> None:
    """Remove the candidate from beside the profile's application. Raise StackError."""
    plan = read_plan(options.profile, options.bundle, stop_first=options.stop_first)
    with connected(options.address) as client:
        details = client.details()
        checks.check_takeover(plan, details, take_over=options.take_over)
        if plan.other not in details.applications:
            say("there is no candidate; nothing was changed")
            return
        serves = details.applications.get(plan.name)
        if serves is None or serves.config is None:
            raise refused(f"{plan.name} does not serve, so that nothing would be left")
        _put_alone(plan, serves.config, client, say)


def _is_promoted(plan: Plan) -> bool:
    """Return whether the bundle that serves now is that of the candidate beside it."""
    models = [config["args"]["model"] for config in plan.beside]
    return not plan.is_candidate and any(
        model.get("bundle_sha256") == plan.manifest.digest for model in models
    )


def _remove_candidate(plan: Plan, client: ServeClient, say: Say) -> None:
    """Remove a candidate that has become the stable application."""
    _put_alone(plan, plan.document["applications"][0], client, say)


def _put_alone(plan: Plan, config: Mapping[str, Any], client: ServeClient, say: Say) -> None:
    try:
        client.put(replace(plan, beside=()).with_applications(config))
    except CLUSTER_ERRORS as error:
        raise not_rolled_back(
            f"{plan.name} serves, and the candidate could not be removed: {error_line(error)}"
        ) from error
    say("the candidate is removed; it finishes what it has begun")


def _check_service(
    plan: Plan, options: DeployOptions, client: ServeClient, details: ServeDetails, say: Say
) -> Application | None:
    """Return the application to replace; None where nothing is deployed."""
    before = checks.check_takeover(plan, details, take_over=options.take_over)
    serves = details.applications.get(plan.other) if plan.is_candidate else before
    if serves is not None:
        checks.check_classes(plan, serves, client, other_classes=options.other_classes)
        _say_what_stays(plan, details.http_options, say)
    return before


def _check_cluster(
    plan: Plan, before: Application | None, options: DeployOptions, say: Say
) -> None:
    """Check the nodes and the room for a new replica, and try the model in it."""
    nodes = checks.check_nodes(plan)
    say(f"cluster: the bundle is intact on {counted(nodes, 'node')}")
    if options.stop_first:
        say("the old replicas stop first: requests are refused until the new model is loaded")
        return
    with checks.reserved_room(plan, before, options.room_within_s) as room:
        report = checks.check_model(plan, room)
    say(
        f"trial: {counted(report.cases, 'golden case')} reproduced by the {report.engine} engine "
        f"in {report.precision}"
    )


def _say_what_stays(plan: Plan, now: Mapping[str, Any], say: Say) -> None:
    wanted = plan.profile.http_options.model_dump(exclude_unset=True)
    stays = [name for name, value in wanted.items() if name in now and now[name] != value]
    if stays:
        say(
            f"http_options.{', '.join(stays)} stay as they are: Ray Serve takes new ones only "
            "after `serve shutdown`"
        )
