"""Each object against the schema of its kind."""

import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator

from serve_app.paths import ROOT
from tests.integration.kubernetes.manifests import Manifest, Manifests

# KubeRay's definitions are not part of the repository: LESIONSERVE_CRDS names their folder.
CRDS = Path(os.environ.get("LESIONSERVE_CRDS") or ROOT.parent / "shared/crds")
_RAY_SERVICE = CRDS / "ray.io_rayservices.yaml"

needs_crds = pytest.mark.skipif(
    not _RAY_SERVICE.is_file(),
    reason="needs KubeRay's ray.io_rayservices.yaml in ../shared/crds or in LESIONSERVE_CRDS",
)

# The oldest version that the guide names, and the latest that the schemas are of.
KUBERNETES = ("1.30", "1.37")
# Their schemas are not at hand: those of cert-manager, the Prometheus Operator and Istio.
UNKNOWN = ("cert-manager.io/", "monitoring.coreos.com/", "networking.istio.io/")


def check_core_kinds(manifests: Manifests) -> Iterator[str]:
    """Find what Kubernetes' own schemas refuse, unknown keys included."""
    for manifest in manifests.objects:
        if not manifest["apiVersion"].startswith((*UNKNOWN, "ray.io/")):
            for release in KUBERNETES:
                problem = _core_problem(json.dumps(manifest), release)
                if problem is not None:
                    yield f"{_name(manifest)} in Kubernetes {release}: {problem}"


@cache  # most objects are the same in every variant
def _core_problem(text: str, release: str) -> str | None:
    manifest = json.loads(text)
    try:
        kubernetes_validate.validate(manifest, release, strict=True)
    except kubernetes_validate.ValidationError as error:
        return str(error.message)
    except kubernetes_validate.SchemaNotFoundError:
        return f"no API of Kubernetes: {manifest['apiVersion']}"
    return None


def check_ray_service(manifests: Manifests) -> Iterator[str]:
    """Find what KubeRay's definition refuses, unknown keys included."""
    validator = Draft202012Validator(_ray_service_schema())
    for error in validator.iter_errors(manifests.ray_service):
        yield f"RayService: {'.'.join(map(str, error.absolute_path))}: {error.message[:300]}"


@cache
def _ray_service_schema() -> Manifest:
    # The file has a megabyte.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    definition = yaml.load(_RAY_SERVICE.read_bytes(), loader)
    (version,) = [one for one in definition["spec"]["versions"] if one["name"] == "v1"]
    schema = _strict(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    assert isinstance(schema, dict)
    return schema


def _strict(schema: Any) -> Any:
    """Return an OpenAPI schema as a JSON schema that refuses unknown keys."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {
        key: {name: _strict(item) for name, item in value.items()}
        if key == "properties"
        else _strict(value)
        for key, value in schema.items()
    }
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        strict.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        strict.pop("type", None)
        strict["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    return strict


def _name(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"
