"""A small mistake in the manifests, and the places where mistakes are made."""

from collections.abc import Callable
from dataclasses import dataclass

import yaml

from tests.integration.kubernetes.gateway_rules import GATEWAY
from tests.integration.kubernetes.manifests import Manifest, Manifests


@dataclass(frozen=True)
class Mutant:
    """One mistake. found: what a check says of it, as a regular expression."""

    name: str
    change: Callable[[Manifests], object]
    found: str
    variant: str = "gpu"
    needs_crds: bool = False

    def __str__(self) -> str:
        return self.name


def cluster(manifests: Manifests) -> Manifest:
    return manifests.ray_cluster


def worker(manifests: Manifests, index: int = 0) -> Manifest:
    group: Manifest = manifests.ray_cluster["workerGroupSpecs"][index]
    return group


def worker_spec(manifests: Manifests, index: int = 0) -> Manifest:
    spec: Manifest = worker(manifests, index)["template"]["spec"]
    return spec


def worker_container(manifests: Manifests, index: int = 0) -> Manifest:
    container: Manifest = worker_spec(manifests, index)["containers"][0]
    return container


def head(manifests: Manifests) -> Manifest:
    head: Manifest = manifests.ray_cluster["headGroupSpec"]
    return head


def gateway_container(manifests: Manifests) -> Manifest:
    container: Manifest = manifests.pod(GATEWAY).spec["containers"][0]
    return container


def policy(manifests: Manifests, name: str) -> Manifest:
    spec: Manifest = manifests.named("NetworkPolicy", name)["spec"]
    return spec


def drop(manifests: Manifests, kind: str, name: str) -> None:
    manifests.objects.remove(manifests.named(kind, name))


def edit_serve(manifests: Manifests, change: Callable[[Manifest], object]) -> None:
    spec = manifests.ray_service["spec"]
    document = yaml.safe_load(spec["serveConfigV2"])
    change(document)
    spec["serveConfigV2"] = yaml.safe_dump(document)


def app_args(document: Manifest) -> Manifest:
    args: Manifest = document["applications"][0]["args"]
    return args
