from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cluster.deploy_errors import misuse, refused
from pipeline.bundle import open_bundle
from pipeline.errors import BundleError
from pipeline.manifest import Manifest
from serve_app.args import AppArgs
from serve_app.config import ConfigError, Profile, load_profile


@dataclass(frozen=True)
class Plan:
    """What is to be served: a profile whose bundle is named by its path and its digest.

    document: the profile as Ray Serve takes it.
    """

    profile: Profile
    document: Mapping[str, Any]
    manifest: Manifest

    @property
    def name(self) -> str:
        return self.profile.application.name

    @property
    def app_args(self) -> dict[str, Any]:
        args: dict[str, Any] = self.document["applications"][0]["args"]
        return args

    @property
    def args(self) -> AppArgs:
        return AppArgs.model_validate(self.app_args)

    @property
    def model(self) -> str:
        return model_name(self.manifest.model_dump())

    def with_applications(self, *configs: Mapping[str, Any]) -> dict[str, Any]:
        """The document with other applications, to go back to them."""
        return {**self.document, "applications": list(configs)}


def read_plan(path: Path, bundle: Path | None, *, stop_first: bool) -> Plan:
    """Read a profile and verify its bundle, or `bundle` instead.

    The bundle's real path goes into the document, so that a link which is moved later changes
    nothing, and its digest, so that other bytes in the same folder are another version.
    stop_first: old replicas stop before new ones start. Raise StackError.
    """
    try:
        profile = load_profile(path)
    except ConfigError as error:
        raise misuse(str(error)) from error
    folder = (bundle or profile.application.args.model.bundle).resolve()
    try:
        manifest = open_bundle(folder).manifest
    except BundleError as error:
        raise refused(f"{folder}: {error}") from error
    document = deepcopy(yaml.safe_load(path.read_text()))
    args = document["applications"][0]["args"]
    args["model"] |= {"bundle": str(folder), "bundle_sha256": manifest.digest}
    for name, size in profile.application.args.sizes.items():
        if stop_first:
            args["graph"][name]["max_surge_percent"] = 0
        elif size.max_surge_percent == 0:
            raise misuse(
                f"{path}: graph.{name}.max_surge_percent is 0, so the service would stop before "
                "the new model is loaded; raise it, or accept that with --stop-first"
            )
    return Plan(profile, document, manifest)


def model_name(manifest: Mapping[str, Any]) -> str:
    return f"{manifest['name']} {manifest['version']} ({manifest['digest'][:12]})"
