"""What Ray, Ray Serve and lesionserve need of the RayService, across its fields."""

import os
import shlex
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click
import yaml
from pydantic import ValidationError
from ray.scripts.scripts import cli, start
from ray.serve.schema import ServeDeploySchema

from serve_app.args import AppArgs, Size, Staged
from serve_app.config import ConfigError, Profile, parse_profile
from tests.integration.kubernetes.manifests import Manifest, Manifests
from tests.integration.kubernetes.pod_rules import quantity

# serve_app.app: a replica that is replaced may finish for so long after deadline.max_s.
_SHUTDOWN_MARGIN_S = 35
_RAY_PORTS = {"gcs-server": 6380, "dashboard": 8265, "serve": 8000, "metrics": 8090}


def check_serve_config(manifests: Manifests) -> Iterator[str]:
    """Find what Ray Serve or lesionserve would refuse in serveConfigV2."""
    try:
        profile(manifests)
    except (ConfigError, yaml.YAMLError) as error:
        yield f"serveConfigV2: {error}"
        return
    try:
        ServeDeploySchema.model_validate(_document(manifests))
    except ValidationError as error:
        yield f"serveConfigV2: {error}"


def profile(manifests: Manifests) -> Profile:
    """Return serveConfigV2 as lesionserve reads it. Raise ConfigError and YAMLError."""
    return parse_profile(Path("serveConfigV2"), _document(manifests))


def _document(manifests: Manifests) -> Manifest:
    document: Manifest = yaml.safe_load(manifests.ray_service["spec"]["serveConfigV2"])
    return document


def check_ray_start(manifests: Manifests) -> Iterator[str]:
    """Find parameters that `ray start` does not know, and ports that differ from them."""
    cluster = manifests.ray_cluster
    if cluster["rayVersion"] != version("ray"):
        yield f"rayVersion is {cluster['rayVersion']}, not {version('ray')}"
    head = cluster["headGroupSpec"]
    for name, group in (("head", head), *_groups(manifests).items()):
        parameters = group["rayStartParams"]
        line = [f"--{key}={value}" for key, value in parameters.items()]
        try:
            start.make_context("start", [*(["--head"] if group is head else []), *line])
        except click.ClickException as error:
            yield f"{name}: ray start: {error.message}"
        ports = {port["name"]: port["containerPort"] for port in _container(group)["ports"]}
        for port in ports.keys() & _RAY_PORTS.keys():
            if ports[port] != _RAY_PORTS[port]:
                yield f"{name}: the port {port} is {ports[port]}"
        for key, port in (("port", "gcs-server"), ("metrics-export-port", "metrics")):
            if port in ports and parameters.get(key) != str(ports[port]):
                yield f"{name}: {key} is not the container's port {port}"
        if "serve" not in ports:
            yield f"{name}: no port named serve, of which KubeRay makes a Service"
    if head["rayStartParams"].get("num-cpus") != "0":
        yield "the head would run replicas"
    if not manifests.ray_service["spec"].get("excludeHeadPodFromServeSvc"):
        yield "the head would get requests"
    if cluster.get("authOptions", {}).get("mode") != "token":
        yield "Ray's ports ask for no token"


def check_object_store(manifests: Manifests) -> Iterator[str]:
    """Find object stores that do not fit into memory, or that put images on a disk."""
    for name, group in (
        ("head", manifests.ray_cluster["headGroupSpec"]),
        *_groups(manifests).items(),
    ):
        parameters, spec = group["rayStartParams"], group["template"]["spec"]
        mounts = {one["mountPath"]: one["name"] for one in _container(group)["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        shm = volumes.get(mounts.get("/dev/shm", ""), {}).get("emptyDir", {})
        size = quantity(shm.get("sizeLimit", "0"))
        if shm.get("medium") != "Memory" or size < int(parameters["object-store-memory"]):
            yield f"{name}: /dev/shm is smaller than the object store"
        if parameters.get("plasma-directory") != "/dev/shm":
            yield f"{name}: the object store may be on a disk"
        spill = parameters.get("object-spilling-directory", "")
        in_memory = volumes.get(mounts.get(spill, ""), {}).get("emptyDir", {})
        if name != "head" and in_memory.get("medium") != "Memory":
            yield f"{name}: images may be spilled to a disk"


def check_capacity(manifests: Manifests) -> Iterator[str]:
    """Find deployments for which no group has room, at rest or at their largest."""
    args = profile(manifests).application.args
    groups = _groups(manifests)
    for stage, size in args.sizes.items():
        if not any(_fits(size, group) for group in groups.values()):
            yield f"{stage}: no worker can host a replica"
    for kind in ("cpu", "nvidia.com/gpu"):
        amounts = {"cpu": "num_cpus", "nvidia.com/gpu": "num_gpus"}
        needed = sum(
            size.most_replicas * getattr(size, amounts[kind]) for size in args.sizes.values()
        )
        room = sum(
            group.get("maxReplicas", 0) * quantity(_limits(group).get(kind, "0"))
            for group in groups.values()
        )
        if needed > room:
            yield f"{needed:g} {kind} are needed at most, and the groups grow to {room:g}"
    if isinstance(args.graph, Staged) and args.graph.predictor.num_gpus:
        for stage in ("ingress", "preprocess", "postprocess"):
            if any(_fits(args.sizes[stage], group) for group in groups.values() if _has_gpu(group)):
                yield f"{stage}: its replicas may take the CPUs of a GPU worker"
    model = args.model_size
    rolling = int(model.most_replicas * model.num_gpus) + 1
    gpus = sum(
        group.get("maxReplicas", 0) * int(_limits(group).get("nvidia.com/gpu", "0"))
        for group in groups.values()
    )
    if model.num_gpus and gpus < rolling:
        yield f"a new version needs a GPU beside the old one: {rolling} in all, not {gpus}"
    yield from _device_problems(args, groups)


def _device_problems(args: AppArgs, groups: dict[str, Manifest]) -> Iterator[str]:
    uses_gpu = args.model.device == "cuda"
    if uses_gpu != (args.model_size.num_gpus > 0):
        yield f"the model runs on {args.model.device}, with {args.model_size.num_gpus} GPUs"
    for name, group in groups.items():
        image = _container(group)["image"].rpartition("/")[2]
        has_gpu = _has_gpu(group)
        if has_gpu != image.startswith("lesionserve-serve-gpu:"):
            yield f"{name}: {image} on a node {'with' if has_gpu else 'without'} a GPU"


def check_ends(manifests: Manifests) -> Iterator[str]:
    """Find times to end that are shorter than the requests in flight."""
    deadline = profile(manifests).application.args.deadline.max_s
    replica = deadline + _SHUTDOWN_MARGIN_S
    for name, group in _groups(manifests).items():
        spec = group["template"]["spec"]
        command = spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][-1]
        drain, _, wait = command.rpartition("; sleep ")
        program, bound, *words = shlex.split(drain)
        try:
            drained = cli.commands[words[1]].make_context("drain-node", words[2:]).params
        except (click.ClickException, KeyError) as error:
            yield f"{name}: preStop: {error}"
            continue
        if drained["deadline_remaining_seconds"] < replica or int(wait) < replica:
            yield f"{name}: preStop ends before replicas have finished ({replica:g} s)"
        if (program, words[0]) != ("timeout", "ray"):
            yield f"{name}: preStop may wait for ever for a head that is gone"
        elif spec["terminationGracePeriodSeconds"] < int(bound) + int(wait):
            yield f"{name}: it is killed before preStop has ended"
    if manifests.ray_service["spec"].get("rayClusterDeletionDelaySeconds", 60) <= deadline:
        yield "the old cluster is deleted before it has answered everything"


def check_serve_tls(manifests: Manifests) -> Iterator[str]:
    """Find a Serve proxy without TLS, probes that speak otherwise, and files that nobody mounts."""
    options = profile(manifests).http_options
    if options.ssl_certfile is None or options.ssl_keyfile is None:
        yield "serveConfigV2: Serve's proxies speak plain HTTP"
        return
    if options.host != "0.0.0.0":
        yield "serveConfigV2: Serve's proxies listen on the loopback address"
    groups = {"head": manifests.ray_cluster["headGroupSpec"], **_groups(manifests)}
    for name, group in groups.items():
        mounts = [one["mountPath"] for one in _container(group)["volumeMounts"]]
        for path in (options.ssl_certfile, options.ssl_keyfile):
            if os.path.dirname(path) not in mounts:
                yield f"{name}: {path} is not mounted"
        probe = _container(group).get("readinessProbe", {}).get("httpGet", {})
        if name != "head" and (probe.get("scheme"), probe.get("path")) != ("HTTPS", "/-/healthz"):
            yield f"{name}: the readiness probe does not ask the proxy over TLS"


def check_bundle(manifests: Manifests) -> Iterator[str]:
    """Find a bundle outside of the volume, and volumes that replicas may write to."""
    bundle = profile(manifests).application.args.model.bundle
    for name, group in _groups(manifests).items():
        mounts = {one["mountPath"]: one for one in _container(group)["volumeMounts"]}
        models = mounts.get("/models", {})
        if not bundle.is_relative_to("/models") or not models:
            yield f"{name}: {bundle} is not mounted"
        elif not models.get("readOnly"):
            yield f"{name}: replicas may write to /models"


def _groups(manifests: Manifests) -> dict[str, Manifest]:
    return {group["groupName"]: group for group in manifests.ray_cluster["workerGroupSpecs"]}


def _container(group: Manifest) -> Manifest:
    container: Manifest = group["template"]["spec"]["containers"][0]
    return container


def _limits(group: Manifest) -> dict[str, str]:
    limits: dict[str, str] = _container(group)["resources"]["limits"]
    return limits


def _has_gpu(group: Manifest) -> bool:
    return "nvidia.com/gpu" in _limits(group)


def _fits(size: Size, group: Manifest) -> bool:
    limits = _limits(group)
    if not (size.label_selector or {}).items() <= group.get("labels", {}).items():
        return False
    return size.num_cpus <= quantity(limits["cpu"]) and size.num_gpus <= quantity(
        limits.get("nvidia.com/gpu", "0")
    )
