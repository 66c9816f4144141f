"""The configuration of Ray Serve for KubeRay (`serveConfigV2`), made from a profile."""

from pathlib import Path
from typing import Any

import yaml

from cluster.deploy.errors import misuse
from cluster.deploy.plan import read_plan
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
    if not mounted_at.is_absolute():
        raise misuse(f"--mounted-at: {mounted_at} is no absolute path of the pods")
    plan = read_plan(profile, bundle, stop_first=False)
    document = dict(plan.document)
    application = document["applications"][0]
    application["args"]["model"]["bundle"] = str(mounted_at)
    application.pop("logging_config", None)  # Ray takes that of the document
    return _config(profile, document), plan.model


def _config(profile: Path, document: dict[str, Any]) -> str:
    _keep_gpus_free(document["applications"][0]["args"]["graph"])
    options = {"ssl_keyfile": _KEY, "ssl_certfile": _CERTIFICATE}
    document = document | {"http_options": document.get("http_options", {}) | options}
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
