"""Each overlay, with and without components, as kubectl renders it."""

from collections.abc import Callable, Iterator

import pytest

from tests.integration.kubernetes import (
    gateway_rules,
    kuberay_rules,
    network,
    pod_rules,
    references,
    schemas,
    serve_rules,
)
from tests.integration.kubernetes.manifests import (
    VARIANTS,
    Manifest,
    Manifests,
    needs_kustomize,
    pod_files,
    render,
)

Check = Callable[[Manifests], Iterator[str]]


def checks(*modules: object) -> list[Check]:
    return [
        check
        for module in modules
        for name, check in vars(module).items()
        if name.startswith("check_") and getattr(check, "__module__", "") == module.__name__
    ]


CHECKS = checks(schemas, pod_rules, references, kuberay_rules, serve_rules, gateway_rules, network)
PARAMETERS = [
    pytest.param(check, marks=schemas.needs_crds if check is schemas.check_ray_service else ())
    for check in CHECKS
]


@needs_kustomize
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("check", PARAMETERS, ids=lambda check: check.__name__)
def test_rendered_manifests_pass_check(check: Check, variant: str) -> None:
    assert list(check(render(variant))) == []


@needs_kustomize
def test_example_overlay_leaves_no_example_host() -> None:
    manifests = render("example")

    assert manifests.settings["LESIONSERVE_ALLOWED_HOSTS"] == "lesions.clinic.example"
    assert "lesionserve.example" not in str(manifests.of_kind("Ingress"))


@needs_kustomize
def test_only_the_bundle_image_needs_no_claim() -> None:
    claims = {
        variant: {
            one["metadata"]["name"] for one in render(variant).of_kind("PersistentVolumeClaim")
        }
        for variant in ("gpu", "cpu-in-one-place")
    }

    assert claims["gpu"] - claims["cpu-in-one-place"] == {"lesionserve-models"}


@needs_kustomize
@pytest.mark.parametrize("pod", pod_files(), ids=lambda pod: pod["metadata"]["name"])
def test_pod_started_by_hand_passes_checks(pod: Manifest) -> None:
    manifests = render("gpu")
    manifests.objects.append(pod)
    by_hand = f"Pod/{pod['metadata']['name']}"
    # It runs while nothing else needs its place.
    expected = {f"{by_hand}: no priority class of these manifests"}

    modules = (schemas, pod_rules, references, gateway_rules)
    found = [
        problem
        for check in checks(*modules)
        if check is not schemas.check_ray_service
        for problem in check(manifests)
    ]

    assert set(found) == expected
