"""The manifests of cluster/kubernetes as kubectl renders them, and the pods that they lead to."""

import copy
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from serve_app.paths import ROOT

FOLDER = ROOT / "cluster/kubernetes"
NAMESPACE = "lesionserve"
Manifest = dict[str, Any]

# What is rendered: an overlay, with components.
VARIANTS = {
    "cpu": ("cpu", ()),
    "gpu": ("gpu", ()),
    "example": ("example", ()),
    "cpu-in-one-place": ("cpu", ("data", "monitoring", "bundle-image")),
    "gpu-probed": ("gpu", ("data", "cert-manager", "monitoring", "probe")),
    "gpu-incremental": ("gpu", ("data", "cert-manager", "incremental-upgrade")),
    "cpu-incremental": ("cpu", ("bundle-image", "incremental-upgrade", "monitoring")),
}


def _kustomize_version() -> tuple[int, ...]:
    if shutil.which("kubectl") is None:
        return ()
    done = subprocess.run(["kubectl", "version", "--client"], capture_output=True, text=True)
    match = re.search(r"Kustomize Version: v(\d+)\.(\d+)", done.stdout)
    return () if match is None else (int(match[1]), int(match[2]))


needs_kustomize = pytest.mark.skipif(
    _kustomize_version() < (4, 5),
    reason="needs kubectl with Kustomize 4.5 or later (kubectl 1.24; Debian 12 has an older one)",
)


@dataclass(frozen=True)
class Pod:
    """A pod as the cluster would make it. owner: the kind and name of its manifest."""

    owner: str
    labels: dict[str, str]
    spec: Manifest

    @property
    def containers(self) -> list[Manifest]:
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]

    @property
    def volumes(self) -> dict[str, Manifest]:
        return {volume["name"]: volume for volume in self.spec.get("volumes", ())}

    @property
    def ports(self) -> dict[str, int]:
        """Return the numbers of the named ports of all containers."""
        return {
            port["name"]: port["containerPort"]
            for container in self.containers
            for port in container.get("ports", ())
        }


@dataclass
class Manifests:
    """The objects that one overlay renders."""

    objects: list[Manifest] = field(default_factory=list)

    def of_kind(self, kind: str) -> list[Manifest]:
        return [manifest for manifest in self.objects if manifest["kind"] == kind]

    def named(self, kind: str, name: str) -> Manifest:
        manifests = self.of_kind(kind)
        (manifest,) = [one for one in manifests if one["metadata"]["name"] == name]
        return manifest

    @property
    def ray_service(self) -> Manifest:
        (manifest,) = self.of_kind("RayService")
        return manifest

    @property
    def ray_cluster(self) -> Manifest:
        spec: Manifest = self.ray_service["spec"]["rayClusterConfig"]
        return spec

    @property
    def settings(self) -> dict[str, str]:
        """Return the gateway's settings that are not secret."""
        (config,) = [
            manifest
            for manifest in self.of_kind("ConfigMap")
            if manifest["metadata"]["name"].startswith("lesionserve-gateway-")
        ]
        data: dict[str, str] = config["data"]
        return data

    def pods(self) -> list[Pod]:
        return [*self._plain_pods(), *self._ray_pods()]

    def pod(self, owner: str) -> Pod:
        (pod,) = [pod for pod in self.pods() if pod.owner == owner]
        return pod

    def _plain_pods(self) -> Iterator[Pod]:
        for manifest in self.objects:
            spec = manifest.get("spec", {})
            if manifest["kind"] == "Pod":
                yield _pod(f"Pod/{manifest['metadata']['name']}", manifest)
                continue
            if manifest["kind"] == "CronJob":
                spec = spec["jobTemplate"]["spec"]
            elif manifest["kind"] not in ("Deployment", "StatefulSet", "Job"):
                continue
            owner = f"{manifest['kind']}/{manifest['metadata']['name']}"
            yield _pod(owner, spec["template"])

    def _ray_pods(self) -> Iterator[Pod]:
        """Return the pods that KubeRay makes: common/pod.go and raycluster_controller.go."""
        cluster, name = self.ray_cluster, self.ray_service["metadata"]["name"]
        labels = {"ray.io/cluster": f"{name}-abcde", "ray.io/is-ray-node": "yes"}
        head = copy.deepcopy(cluster["headGroupSpec"]["template"])
        if cluster.get("enableInTreeAutoscaling"):
            head["spec"]["containers"].append(_autoscaler(cluster, head))
        yield _pod("Ray/head", head, labels | {"ray.io/node-type": "head", "ray.io/serve": "false"})
        cleanup = copy.deepcopy(cluster["headGroupSpec"]["template"])
        cleanup["spec"]["containers"][0]["resources"] = _CLEANUP
        for probe in ("livenessProbe", "readinessProbe"):
            cleanup["spec"]["containers"][0].pop(probe, None)
        yield _pod("Ray/cleanup", cleanup, labels | {"ray.io/node-type": "redis-cleanup"})
        for group in cluster["workerGroupSpecs"]:
            worker = copy.deepcopy(group["template"])
            container = worker["spec"]["containers"][0]
            inherited = ("image", "securityContext", "env", "volumeMounts")
            wait = {name: container[name] for name in inherited if name in container}
            wait |= {"name": "wait-gcs-ready", "resources": _CLEANUP}
            worker["spec"].setdefault("initContainers", []).append(wait)
            own = {"ray.io/node-type": "worker", "ray.io/serve": "true"}
            yield _pod(f"Ray/{group['groupName']}", worker, labels | own)


_CLEANUP = {
    "requests": {"cpu": "200m", "memory": "256Mi"},
    "limits": {"cpu": "200m", "memory": "256Mi"},
}


def _autoscaler(cluster: Manifest, head: Manifest) -> Manifest:
    options = cluster.get("autoscalerOptions", {})
    default = {
        "requests": {"cpu": "500m", "memory": "512Mi"},
        "limits": {"cpu": "500m", "memory": "512Mi"},
    }
    image = head["spec"]["containers"][0]["image"]
    container = {"name": "autoscaler", "image": image, "resources": default}
    inherited = ("resources", "securityContext", "env", "volumeMounts")
    return container | {name: options[name] for name in inherited if name in options}


def _pod(owner: str, template: Manifest, labels: dict[str, str] | None = None) -> Pod:
    own = template.get("metadata", {}).get("labels", {})
    return Pod(owner, own | (labels or {}), template["spec"])


@cache
def _rendered(variant: str) -> list[Manifest]:
    overlay, components = VARIANTS[variant]
    with TemporaryDirectory() as folder:
        place = os.path.relpath(FOLDER, Path(folder).resolve())
        kustomization = {
            "resources": [f"{place}/overlays/{overlay}"],
            "components": [f"{place}/components/{name}" for name in components],
        }
        (Path(folder) / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C, where it was built so
    return list(yaml.load_all(done.stdout, loader))


def pod_files() -> list[Manifest]:
    """Return the pods that an operator starts by hand."""
    return [yaml.safe_load(path.read_text()) for path in sorted((FOLDER / "pods").iterdir())]


def render(variant: str) -> Manifests:
    """Return what `kubectl kustomize` makes of a variant; a copy of one's own."""
    return Manifests(copy.deepcopy(_rendered(variant)))
