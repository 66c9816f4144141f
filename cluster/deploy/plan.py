import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from cluster.deploy.errors import misuse, refused
from cluster.deploy.serve_client import Application, ServeDetails
from pipeline.bundle.manifest import Manifest
from pipeline.errors import BundleError
from serve_app.args import AppArgs
from serve_app.candidate import NAME as CANDIDATE
from serve_app.candidate import candidate_document
from serve_app.config import ConfigError, Profile, parse_profile, read_document
from serve_app.deployed_bundle import open_deployed_bundle


@dataclass(frozen=True)
class Plan:
    """What is to be served: a profile whose bundle is named by its path and its digest.

    document: the profile as Ray Serve takes it, with `model.bundle_sha256` and `deployment`.
    other: the name of the application that may run beside it, a candidate or the stable one.
    beside: what is deployed of that one, which stays as it is.
    """

    profile: Profile
    document: Mapping[str, Any]
    manifest: Manifest
    other: str = CANDIDATE
    beside: tuple[Mapping[str, Any], ...] = ()

    @property
    def name(self) -> str:
        return self.profile.application.name

    @property
    def app_args(self) -> dict[str, Any]:
        args: dict[str, Any] = self.document["applications"][0]["args"]
        return args

    @property
    def deployment(self) -> str:
        """Return the id of this deployment: when it was planned, and some random digits."""
        deployment: str = self.app_args["deployment"]
        return deployment

    @property
    def args(self) -> AppArgs:
        return AppArgs.model_validate(self.app_args)

    @property
    def model(self) -> str:
        return model_name(self.manifest.model_dump())

    @property
    def is_candidate(self) -> bool:
        return self.name == CANDIDATE

    def next_to(self, details: ServeDetails) -> Self:
        """Return the plan that leaves the other application, where one is deployed, as it is."""
        other = details.applications.get(self.other)
        if other is None or other.config is None:
            return replace(self, beside=())
        return replace(self, beside=(other.config,))

    def with_applications(self, *configs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the document with these in place of its own application."""
        return {**self.document, "applications": [*configs, *self.beside]}

    @property
    def whole(self) -> dict[str, Any]:
        """Return what Ray Serve is to run: it deletes every application that is not there."""
        return self.with_applications(*self.document["applications"])

    def serves_already(self, application: Application, manifest: Mapping[str, Any] | None) -> bool:
        """Return whether this is deployed, runs, and answers with `manifest`."""
        config = application.config
        return (
            config is not None
            and application.status == "RUNNING"
            and _without_id(config) == _without_id(self.document["applications"][0])
            and manifest is not None
            and manifest["digest"] == self.manifest.digest
        )


def read_plan(
    path: Path,
    bundle: Path | None,
    *,
    stop_first: bool,
    http_host: str | None = None,
    candidate: bool = False,
) -> Plan:
    """Read a profile and verify its bundle, or `bundle` instead.

    The bundle's real path goes into the document, so that a link which is moved later changes
    nothing, its digest, so that other bytes in the same folder are another version, and an id of
    this deployment, so that one which failed can be repeated: Ray does nothing where the document
    stays the same. A digest that the profile names is that of its own bundle.
    stop_first: old replicas stop before new ones start. http_host: the address at which Serve's
    proxy listens, instead of the profile's. candidate: the bundle is a candidate beside the
    profile's application. Raise StackError.
    """
    try:
        document = read_document(path)
        profile = parse_profile(path, document)
        stable = profile.application.name
        if candidate:
            document = candidate_document(document)
            profile = parse_profile(path, document)
        if http_host is not None:
            document.setdefault("http_options", {})["host"] = http_host
            profile = parse_profile(path, document)
    except ConfigError as error:
        raise misuse(str(error)) from error
    model = profile.application.args.model
    folder = (bundle or model.bundle).resolve()
    try:
        pinned = model.bundle_sha256 if bundle is None else None
        manifest = open_deployed_bundle(pinned, folder).manifest
        manifest.precision_of(model.precision)
    except BundleError as error:
        raise refused(f"{folder}: {error}") from error
    application = document["applications"][0]
    if "logging_config" in document:
        # As Ray does, so that what it reports as deployed can be compared with the document.
        application["logging_config"] = profile.logging_config.for_ray()
    args = application["args"]
    args["model"] |= {"bundle": str(folder), "bundle_sha256": manifest.digest}
    args["deployment"] = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}-{secrets.token_hex(3)}"
    for name, size in profile.application.args.sizes.items():
        if stop_first:
            args["graph"][name]["max_surge_percent"] = 0
        elif size.max_surge_percent == 0:
            raise misuse(
                f"{path}: graph.{name}.max_surge_percent is 0, so the service would stop before "
                "the new model is loaded; raise it, or accept that with --stop-first"
            )
    return Plan(profile, document, manifest, stable if candidate else CANDIDATE)


def _without_id(config: Mapping[str, Any]) -> dict[str, Any]:
    args = {name: value for name, value in config["args"].items() if name != "deployment"}
    return {**config, "args": args}


def model_name(manifest: Mapping[str, Any]) -> str:
    return f"{manifest['name']} {manifest['version']} ({manifest['digest'][:12]})"
