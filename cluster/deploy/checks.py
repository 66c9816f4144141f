"""Check a cluster before a new version is deployed. Each check raises StackError."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import (
    NodeAffinitySchedulingStrategy,
    PlacementGroupSchedulingStrategy,
)

from cluster.deploy.errors import error_line, misuse, refused
from cluster.deploy.plan import Plan
from cluster.deploy.serve_client import Application, ServeClient, ServeDetails
from pipeline.bundle.manifest import read_manifest
from pipeline.errors import BundleError
from pipeline.text import one_line
from serve_app.args import AppArgs, Fused, Size
from serve_app.node_check import TrialReport, check_node, try_model

_IMPORT_PATH = "serve_app.app:build_app"
_NODE_WITHIN_S = 300.0
_TRIAL_WITHIN_S = 900.0


def check_takeover(
    plan: Plan, details: ServeDetails, *, take_over: bool = False
) -> Application | None:
    """Return the application that the plan replaces, or None if there is none.

    Raise StackError if the cluster serves another application, which deploying would delete; if
    the present one was not started by `deploy`, so that it could not be restored; or, without
    `take_over`, if it is still rolling.
    """
    others = sorted(details.applications.keys() - {plan.name, plan.other})
    if others:
        raise refused(
            f"the cluster also serves {', '.join(others)[:200]}, which deploying {plan.name} would "
            "delete; use a cluster of its own, or delete them first"
        )
    before = details.applications.get(plan.name)
    beside = details.applications.get(plan.other)
    if plan.is_candidate and beside is None:
        raise refused(f"{plan.other} does not serve yet: deploy it before a candidate")
    for name, application in ((plan.name, before), (plan.other, beside)):
        if application is not None:
            _check_own(name, application, take_over=take_over)
    return before


def _check_own(name: str, application: Application, *, take_over: bool) -> None:
    """Refuse to touch an application that `deploy` did not start, or that is still rolling."""
    if application.is_rolling and not take_over:
        raise refused(
            f"{name} is being rolled or deleted already ({application.status}); wait until "
            "`serve status` shows that it has ended, or, where the command that began it was "
            "killed, deploy with --take-over"
        )
    if application.config is None or application.config.get("import_path") != _IMPORT_PATH:
        raise refused(
            f"{name} was started by `lesionserve up` or a script, or is another service: "
            "stop it, then deploy"
        )


def check_unchanged(
    plan: Plan, before: Application | None, details: ServeDetails
) -> Application | None:
    """Return the application as it is after the checks, which took their time.

    Raise StackError where somebody else has deployed meanwhile.
    """
    now = check_takeover(plan, details, take_over=before is not None and before.is_rolling)
    if (before and before.config) != (now and now.config) or (
        plan.next_to(details).beside != plan.beside
    ):
        raise refused("somebody else has deployed during the checks; look at `serve status` first")
    return now


def check_nodes(plan: Plan) -> int:
    """Run the node check on every node that may run a replica, and return their number.

    Raise StackError where one fails.
    """
    args = plan.args
    all_nodes = ray.nodes()  # type: ignore[no-untyped-call]
    nodes = [node for node in all_nodes if node["Alive"] and _may_host(node, args)]
    if not nodes:
        raise refused("no node of the cluster has the CPUs and GPUs that one replica needs")
    checks = {_check(node["NodeID"]).remote(plan.app_args): node for node in nodes}
    ready, _ = ray.wait(list(checks), num_returns=len(checks), timeout=_NODE_WITHIN_S)
    problems = []
    for check, node in checks.items():
        problem = _problem(check) if check in ready else "no answer"
        if problem is not None:
            problems.append(f"node {node['NodeManagerAddress']}: {problem}")
    if problems:
        more = f"; and {len(problems) - 3} nodes more" if len(problems) > 3 else ""
        raise refused("; ".join(one_line(problem, 280) for problem in problems[:3]) + more)
    return len(nodes)


def check_classes(
    plan: Plan, before: Application, client: ServeClient, *, other_classes: bool
) -> None:
    """Refuse another class list than the one that serves now, in the application `before`.

    A candidate is held to the one that it may replace.
    """
    if other_classes:
        return
    classes = _classes_now(plan, before, client)
    if classes is None:
        raise misuse(
            "the class list that serves now cannot be read, since neither the service nor its "
            "bundle's folder answers; deploy with --other-classes if it may change "
            "(nothing was changed)"
        )
    wanted = list(plan.manifest.class_names)
    if classes != wanted:
        raise misuse(
            f"the class list changes from {_listed(classes)} to {_listed(wanted)}: what the "
            "hospital's systems read changes its meaning; deploy with --other-classes if that is "
            "wanted (nothing was changed)"
        )


def new_at_once(size: Size, running: int) -> int:
    """Return how many new replicas have to fit beside those that run before Serve stops one.

    Serve keeps as many replicas running as the new version asks for. If that are more than there
    are, the first old one stops only when the others and one more have started.
    """
    if size.autoscaling is None:
        wanted = size.num_replicas or 1
    else:
        limits = size.autoscaling
        wanted = max(limits.min_replicas, min(running, limits.max_replicas))
    return max(1, wanted - running + 1 if running else wanted)


@contextmanager
def reserved_room(
    plan: Plan, before: Application | None, within_s: float
) -> Iterator[PlacementGroup]:
    """Reserve what the new replicas of the model need, after each other stage was found to fit.

    The deployments roll side by side and take turns where room is short, so that each must fit
    alone.
    """
    args = plan.args
    for name, size in args.sizes.items():
        if size is not args.model_size:
            with _placed(name, size, new_at_once(size, _running(before, name)), within_s):
                pass
    model = "LesionService" if isinstance(args.graph, Fused) else "Predictor"
    count = new_at_once(args.model_size, _running(before, model))
    with _placed("the model", args.model_size, count, within_s) as room:
        yield room


def _running(before: Application | None, deployment: str) -> int:
    """Return how many replicas run of a deployment, whose name may be that of a profile."""
    deployments = {} if before is None else before.deployments
    return sum(
        state == "RUNNING"
        for name, details in deployments.items()
        if name.lower() == deployment.lower()
        for state in details.replicas.values()
    )


def check_model(plan: Plan, room: PlacementGroup) -> TrialReport:
    """Load the model where a new replica would, and run its golden cases there."""
    size = plan.args.model_size
    trial = ray.remote(try_model).options(
        **_resources(size),
        max_retries=0,
        scheduling_strategy=PlacementGroupSchedulingStrategy(room),
    )
    try:
        report: TrialReport = ray.get(trial.remote(plan.app_args), timeout=_TRIAL_WITHIN_S)
    except RayError as error:
        raise refused(
            f"the trial of the model ended without an answer: {error_line(error)}"
        ) from error
    if report.problem is not None:
        raise refused(
            f"the model does not load on a node of the cluster: {one_line(report.problem, 800)}"
        )
    return report


@contextmanager
def _placed(what: str, size: Size, count: int, within_s: float) -> Iterator[PlacementGroup]:
    needed = _resources(size)
    bundle = {"CPU": needed["num_cpus"]}
    if needed["num_gpus"]:
        bundle["GPU"] = needed["num_gpus"]
    selector = None if size.label_selector is None else [dict(size.label_selector)] * count
    room = placement_group([bundle] * count, bundle_label_selector=selector)
    try:
        if not room.wait(math.ceil(within_s)):
            wanted = " and ".join(f"{amount:g} {kind}" for kind, amount in bundle.items())
            wanted += "".join(
                f", {key}={value}" for key, value in (size.label_selector or {}).items()
            )
            replicas = "a new replica" if count == 1 else f"{count} new replicas"
            raise refused(
                f"no room for {replicas} of {what} beside the old ones: {wanted} on one node were "
                f"not free within {within_s:.0f} s; add a node, ask for less in the profile, or "
                "let the old replicas stop first, without service meanwhile, by --stop-first"
            )
        yield room
    finally:
        remove_placement_group(room)


def _resources(size: Size) -> dict[str, float]:
    return {"num_cpus": size.num_cpus, "num_gpus": size.num_gpus}


def _may_host(node: Mapping[str, Any], args: AppArgs) -> bool:
    has = node["Resources"]
    return any(
        has.get("CPU", 0) >= size.num_cpus and has.get("GPU", 0) >= size.num_gpus
        for size in args.sizes.values()
    )


def _check(node_id: str) -> Any:
    strategy = NodeAffinitySchedulingStrategy(node_id, soft=False)
    return ray.remote(check_node).options(num_cpus=0, max_retries=0, scheduling_strategy=strategy)


def _problem(check: Any) -> str | None:
    try:
        problem: str | None = ray.get(check).problem
    except RayError as error:
        # A node with another version of this package has no such function.
        return f"the check failed: {error_line(error)}"
    return problem


def _classes_now(plan: Plan, before: Application, client: ServeClient) -> list[str] | None:
    manifest = client.manifest(plan.other if plan.is_candidate else plan.name)
    if manifest is not None:
        return list(manifest["class_names"])
    assert before.config is not None, "check_takeover has refused it"
    try:
        model = AppArgs.model_validate(before.config["args"]).model
        deployed = read_manifest(model.bundle)
    except (BundleError, ValueError):
        return None
    # The folder may hold another bundle by now.
    return list(deployed.class_names) if deployed.digest == model.bundle_sha256 else None


def _listed(names: list[str]) -> str:
    shown = ", ".join(name[:40] for name in names[:8])
    return f"[{shown}, and {len(names) - 8} more]" if len(names) > 8 else f"[{shown}]"
