"""What KubeRay 1.7 refuses beyond its schema: ray-operator/controllers/ray/utils/validation.go."""

import re
from collections.abc import Iterator
from typing import Any

from tests.integration.kubernetes.manifests import Manifest, Manifests

_RESOURCES = ("num-cpus", "num-gpus", "memory", "resources")
# Set by KubeRay from gcsFaultToleranceOptions alone.
_REDIS = ("RAY_REDIS_ADDRESS", "REDIS_PASSWORD", "REDIS_USERNAME")
_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_MOST_LETTERS = 47  # of a RayService's name, to which KubeRay appends
_GATES_OFF = ("networkPolicy", "tlsOptions", "historyServerOptions")


def check_kuberay_rules(manifests: Manifests) -> Iterator[str]:
    """Find what the operator would refuse, or never act on."""
    service, cluster = manifests.ray_service, manifests.ray_cluster
    name = service["metadata"]["name"]
    if not _LABEL.fullmatch(name) or len(name) > _MOST_LETTERS:
        yield f"the name {name} is not allowed"
    if cluster.get("authOptions", {}).get("enableK8sTokenAuth"):
        yield "a RayService allows no enableK8sTokenAuth"
    if cluster["headGroupSpec"].get("headService", {}).get("metadata", {}).get("name"):
        yield "headService.metadata.name may not be set"
    for option in _GATES_OFF:
        if option in cluster:
            yield f"{option} needs a feature gate that is off by default"
    if cluster.get("upgradeStrategy"):
        yield "rayClusterConfig.upgradeStrategy may not be set in a RayService"
    yield from _group_problems("head", cluster["headGroupSpec"])
    for group in cluster["workerGroupSpecs"]:
        yield from _worker_problems(cluster, group)
    yield from _redis_problems(service, cluster)
    yield from _autoscaler_problems(cluster)
    yield from _upgrade_problems(service["spec"], cluster)


def _group_problems(name: str, group: Manifest) -> Iterator[str]:
    parameters = group.get("rayStartParams", {})
    if not group["template"]["spec"].get("containers"):
        yield f"{name}: no container"
    if group.get("resources") and any(parameters.get(key) for key in _RESOURCES):
        yield f"{name}: resources are set twice"
    if "labels" in parameters:
        yield f"{name}: labels belong to the group, not to rayStartParams"
    if any(not isinstance(value, str) for value in parameters.values()):
        yield f"{name}: rayStartParams are strings"


def _worker_problems(cluster: Manifest, group: Manifest) -> Iterator[str]:
    name = group["groupName"]
    yield from _group_problems(name, group)
    least, most = group.get("minReplicas"), group.get("maxReplicas")
    autoscaling = bool(cluster.get("enableInTreeAutoscaling"))
    if not autoscaling and (least is None or most is None):
        yield f"{name}: minReplicas and maxReplicas are needed without autoscaling"
    if (least or 0) < 0 or (most or 0) < 0:
        yield f"{name}: negative replicas"
    if least is not None and most is not None and least > most:
        yield f"{name}: minReplicas is above maxReplicas"
    if group.get("suspend"):
        yield f"{name}: a group cannot be suspended"
    is_v2 = autoscaling and cluster.get("autoscalerOptions", {}).get("version", "v2") == "v2"
    for key in ("idleTimeoutSeconds", "priority"):
        if group.get(key) is not None and not is_v2:
            yield f"{name}: {key} needs autoscaler v2"


def _redis_problems(service: Manifest, cluster: Manifest) -> Iterator[str]:
    head = cluster["headGroupSpec"]
    options = cluster.get("gcsFaultToleranceOptions")
    annotations = service["metadata"].get("annotations", {})
    names = _variables(head)
    if options is None:
        yield "without gcsFaultToleranceOptions the loss of the head is the loss of the cluster"
    elif "ray.io/ft-enabled" in annotations:
        yield "gcsFaultToleranceOptions and ray.io/ft-enabled are both set"
    for name in _REDIS:
        if name in names:
            yield f"{name} is set beside gcsFaultToleranceOptions"
    for parameter in ("redis-password", "redis-username"):
        if parameter in head.get("rayStartParams", {}):
            yield f"{parameter} is set beside gcsFaultToleranceOptions"
    if options and options.get("backend", "redis") == "redis" and "storage" in options:
        yield "gcsFaultToleranceOptions.storage is for another backend"
    if options and options.get("backend") == "rocksdb":
        yield "the backend rocksdb needs a feature gate that is off by default"


def _autoscaler_problems(cluster: Manifest) -> Iterator[str]:
    options = cluster.get("autoscalerOptions", {})
    names = _variables(cluster["headGroupSpec"])
    if options.get("idleTimeoutSeconds", 0) < 0:
        yield "autoscalerOptions.idleTimeoutSeconds is negative"
    if "version" in options and "RAY_enable_autoscaler_v2" in names:
        yield "the autoscaler's version is set twice"
    if any(one["name"] == "KUBERAY_GEN_AUTOSCALER_START_CMD" for one in options.get("env", ())):
        yield "KUBERAY_GEN_AUTOSCALER_START_CMD is KubeRay's own"
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        if group["template"]["spec"].get("restartPolicy", "Never") != "Never":
            yield "autoscaler v2 needs the restartPolicy Never"


def _upgrade_problems(spec: Manifest, cluster: Manifest) -> Iterator[str]:
    strategy = spec.get("upgradeStrategy", {})
    kinds = (None, "None", "NewCluster", "NewClusterWithIncrementalUpgrade")
    if strategy.get("type") not in kinds:
        yield f"upgradeStrategy.type {strategy.get('type')} is unknown"
    if spec.get("rayClusterDeletionDelaySeconds", 0) < 0:
        yield "rayClusterDeletionDelaySeconds is negative"
    if strategy.get("type") != "NewClusterWithIncrementalUpgrade":
        return
    if not cluster.get("enableInTreeAutoscaling"):
        yield "an incremental upgrade needs the autoscaler"
    options: dict[str, Any] = strategy.get("clusterUpgradeOptions", {})
    surge, step = options.get("maxSurgePercent", 100), options.get("stepSizePercent", -1)
    if not 0 <= surge <= 100 or not 0 <= step <= 100:
        yield "maxSurgePercent and stepSizePercent are between 0 and 100"
    if step > surge:
        yield "stepSizePercent is above maxSurgePercent"
    if options.get("intervalSeconds", 0) <= 0:
        yield "intervalSeconds has to be above 0"
    if not options.get("gatewayClassName"):
        yield "gatewayClassName is needed"
    if "serveService" in spec:
        yield "serveService is ignored in an incremental upgrade"


def _variables(group: Manifest) -> set[str]:
    return {one["name"] for one in group["template"]["spec"]["containers"][0].get("env", ())}
