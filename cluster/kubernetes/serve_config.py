"""The configuration of Ray Serve for KubeRay (`serveConfigV2`), made from a profile."""

from pathlib import Path
from typing import Any

import yaml

from cluster.deploy.errors import misuse
from cluster.deploy.plan import Plan, read_plan
from pipeline.bundle.manifest import Manifest
from serve_app.config import ConfigError, parse_profile, read_document
from serve_app.paths import ROOT

# Where the pods of base/inference.yaml see the Secret lesionserve-inference-tls.
_CERTIFICATE = "/etc/lesionserve/tls/tls.crt"
_KEY = "/etc/lesionserve/tls/tls.key"
# The label of the Ray nodes of that group.
_CPU_GROUP = {"lesionserve/group": "cpu"}


def profile_config(profile: Path) -> str:
    """Return the profile as Ray Serve takes it, with the certificate of the pods.

    Raise StackError where the profile is wrong.
    """
    try:
        document = read_document(profile)
        parse_profile(profile, document)
    except ConfigError as error:
        raise misuse(str(error)) from error
    return _config(profile, document)


def pinned_config(profile: Path, bundle: Path, mounted_at: Path) -> tuple[str, str]:
    """Return the profile with the path and digest of a bundle, and the name of its model.

    The files of `bundle` are verified here; replicas open `mounted_at`, and no bundle of another
    digest. Raise StackError where the profile or the bundle is wrong.
    """
    plan = read_plan(profile, bundle, stop_first=False)
    document = {**plan.document, "applications": [_application(plan, mounted_at)]}
    return _config(profile, document), plan.model


def candidate_config(serving: Path, bundle: Path, mounted_at: Path) -> tuple[str, Manifest]:
    """Return a written configuration with a candidate beside its application, and its manifest.

    The application itself stays as it is, so that its replicas do. Raise StackError where the
    configuration or the bundle is wrong, or there is a candidate already.
    """
    plan = read_plan(serving, bundle, stop_first=False, candidate=True)
    document = read_document(serving)
    if len(document["applications"]) > 1:
        raise misuse(f"{serving}: there are several applications already")
    document["applications"].append(_application(plan, mounted_at))
    return _text(serving, document), plan.manifest


def _application(plan: Plan, mounted_at: Path) -> dict[str, Any]:
    """Return the application of a plan, with its bundle where the pods see it."""
    if not mounted_at.is_absolute():
        raise misuse(f"--mounted-at: {mounted_at} is no absolute path of the pods")
    application: dict[str, Any] = plan.document["applications"][0]
    application["args"]["model"]["bundle"] = str(mounted_at)
    application.pop("logging_config", None)  # Ray takes that of the document
    return application


def _config(profile: Path, document: dict[str, Any]) -> str:
    _keep_gpus_free(document["applications"][0]["args"]["graph"])
    options = {"ssl_keyfile": _KEY, "ssl_certfile": _CERTIFICATE}
    document = document | {"http_options": document.get("http_options", {}) | options}
    return _text(profile, document)


def _text(profile: Path, document: dict[str, Any]) -> str:
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    return _HEADING.format(profile=_name(profile)) + text


def _keep_gpus_free(graph: dict[str, Any]) -> None:
    """Have the stages without a GPU run in the group of CPU workers.

    Ray spreads replicas over all nodes, and one without a GPU may take the processors that a
    predictor needs beside its GPU.
    """
    if graph["layout"] == "staged" and graph["predictor"].get("num_gpus"):
        for stage in ("ingress", "preprocess", "postprocess"):
            graph[stage]["label_selector"] = dict(_CPU_GROUP)


def _name(profile: Path) -> str:
    path = profile.resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else profile.name


_HEADING = """\
# Written by `python -m cluster.kubernetes` from {profile}, which gives a reason for each size.
# Do not edit: change the profile, and write this file again.
"""
