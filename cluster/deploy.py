"""`lesionserve deploy`: a new version on a running Ray cluster, or the old one as it was."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from cluster import deploy_checks
from cluster.deploy_errors import Exit, refused
from cluster.deploy_plan import Plan, model_name, read_plan
from cluster.errors import StackError
from cluster.serve_client import CLUSTER_ERRORS, Application, ServeClient, ServeDetails, connected

Say = Callable[[str], None]

_POLL_S = 1.0
_FAILED = "DEPLOY_FAILED"
_RUNNING = "RUNNING"


@dataclass(frozen=True)
class DeployOptions:
    """What to deploy, where, and what is accepted.

    address: of Ray's head, or 'auto' for the cluster of which this machine is a node.
    room_within_s: a cluster that grows by itself may take longer to have room.
    """

    profile: Path
    bundle: Path | None = None
    address: str = "auto"
    other_classes: bool = False
    stop_first: bool = False
    room_within_s: float = 30.0
    ready_within_s: float = 900.0


class RollFailed(Exception):
    """The new version does not serve. `str(error)` is the reason in one line."""


def deploy(options: DeployOptions, say: Say) -> None:
    """Check profile, bundle and cluster, roll the new version in, and wait until it serves.

    Where it does not become healthy, go back to what was deployed before. `say` hears what goes
    on, one line at a time. Raise StackError with one of `deploy_errors.Exit`.
    """
    plan = read_plan(options.profile, options.bundle, stop_first=options.stop_first)
    say(f"bundle: {plan.model} is intact")
    with connected(options.address) as client:
        details = _read(client)
        before = deploy_checks.check_takeover(plan, details)
        if before is not None:
            deploy_checks.check_classes(plan, before, client, other_classes=options.other_classes)
            _say_what_stays(plan, details.http_options, say)
        nodes = deploy_checks.check_nodes(plan)
        say(f"cluster: the bundle is intact on each of {nodes} nodes")
        _check_room_and_model(plan, options, say)
        _roll(plan, before, client, options.ready_within_s, say)


def _read(client: ServeClient) -> ServeDetails:
    try:
        return client.read()
    except CLUSTER_ERRORS as error:
        raise refused(f"Ray's dashboard does not answer: {_last_line(error)}") from error


def _check_room_and_model(plan: Plan, options: DeployOptions, say: Say) -> None:
    if options.stop_first:
        say("the old replicas stop first: requests are refused until the new model is loaded")
        return
    with deploy_checks.reserved_room(plan, options.room_within_s) as room:
        report = deploy_checks.check_model(plan, room)
    say(f"trial: {report.cases} golden cases reproduced by the {report.engine} engine")


def _say_what_stays(plan: Plan, now: Mapping[str, Any], say: Say) -> None:
    wanted = plan.profile.http_options.model_dump(exclude_unset=True)
    stays = [name for name, value in wanted.items() if name in now and now[name] != value]
    if stays:
        say(
            f"http_options.{', '.join(stays)} stay as they are: Ray Serve takes new ones only "
            "after `serve shutdown`"
        )


def _roll(
    plan: Plan, before: Application | None, client: ServeClient, within_s: float, say: Say
) -> None:
    say(f"rolling: {plan.name} to {plan.model}")
    try:
        _put(client, plan.document)
        _await_healthy(plan.name, before, client, within_s, say)
        _check_answers(plan, client)
    except RollFailed as error:
        _roll_back(plan, before, client, within_s, str(error), say)
    except KeyboardInterrupt:
        _roll_back(plan, before, client, within_s, "interrupted", say)
    say(f"serves: {plan.model}")


def _put(client: ServeClient, config: Mapping[str, Any]) -> None:
    try:
        client.put(config)
    except CLUSTER_ERRORS as error:
        raise RollFailed(f"Ray Serve refused it: {_last_line(error)}") from error


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1][:300]


def _await_healthy(
    name: str, before: Application | None, client: ServeClient, within_s: float, say: Say
) -> None:
    """Raise RollFailed where the deployment fails, or is not healthy in time."""
    old = set() if before is None else before.replicas
    deadline = time.monotonic() + within_s
    last, reason = "", "the cluster does not answer"
    while time.monotonic() < deadline:
        try:
            application = client.read().applications.get(name)
        except CLUSTER_ERRORS:
            application = None  # the dashboard may be away for a moment
        if application is not None:
            if application.status == _RUNNING:
                return
            reason = application.reason
            if application.status == _FAILED:
                raise RollFailed(reason)
            line = _progress(application, old)
            if line != last:
                say(line)
            last = line
        time.sleep(_POLL_S)
    raise RollFailed(f"not healthy within {within_s:.0f} s: {reason or 'replicas are starting'}")


def _progress(application: Application, old: set[str]) -> str:
    parts = []
    for name, deployment in application.deployments.items():
        new = [state for replica, state in deployment.replicas.items() if replica not in old]
        left = len(deployment.replicas) - len(new)
        parts.append(f"{name} {new.count(_RUNNING)} new, {left} old")
    return "rolling: " + ("; ".join(parts) or "Ray Serve builds the graph")


def _check_answers(plan: Plan, client: ServeClient) -> None:
    manifest = client.manifest(plan.name)
    if manifest is None:
        raise RollFailed("Ray Serve calls it running, but it does not answer")
    if manifest["digest"] != plan.manifest.digest:
        raise RollFailed(f"it answers from {model_name(manifest)}")


def _roll_back(
    plan: Plan,
    before: Application | None,
    client: ServeClient,
    within_s: float,
    reason: str,
    say: Say,
) -> NoReturn:
    if before is None or before.config is None or before.status == _FAILED:
        raise StackError(
            f"{plan.model} does not serve: {reason}; nothing that served was deployed before, to "
            "go back to",
            exit_status=Exit.NOT_ROLLED_BACK,
        )
    say(f"{plan.model} does not serve: {reason}")
    say("rolling back to what was deployed before")
    try:
        _put(client, plan.with_applications(before.config))
        _await_healthy(plan.name, before, client, within_s, say)
    except RollFailed as error:
        raise StackError(
            f"{plan.model} does not serve ({reason}), and rolling back failed: {error}; see "
            "`serve status`",
            exit_status=Exit.NOT_ROLLED_BACK,
        ) from error
    raise StackError(
        f"rolled back, the version before serves: {reason}", exit_status=Exit.ROLLED_BACK
    )
