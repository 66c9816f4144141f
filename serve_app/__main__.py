import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.bundle.manifest import Manifest
from pipeline.errors import ModelError
from pipeline.tracing.spans import TracingError
from serve_app.args import AppArgs
from serve_app.candidate import candidate_document
from serve_app.config import Application, ConfigError, Profile, parse_profile, read_document
from serve_app.demo_bundle import require_demo
from serve_app.deployed_bundle import open_deployed_bundle
from serve_app.driver_state import DriverReport, DriverState
from serve_app.paths import ROOT
from serve_app.tokens import TokenError, Tokens
from serve_app.tracing import endpoint_of_environment


def main() -> int:
    """Serve one profile on a Ray instance of its own until SIGTERM or SIGINT.

    Print a `DriverReport` as each `DriverState` is reached; the reason of a failure goes to stderr
    too.
    Return the exit status: 0 after a signal, 1 where the start failed, 2 for a wrong
    profile, token, tracing endpoint or command line.
    """
    options = _options()
    try:
        document = read_document(options.config)
        profile = _with_http(parse_profile(options.config, document), options)
        Tokens.from_environment()
        endpoint_of_environment()
    except (ConfigError, TokenError, TracingError) as error:
        return _fail(error, 2)
    args = _with_bundle(profile.application.args, options.bundle)
    try:
        # Tells sooner than a replica would, and before Ray starts.
        bundle = open_deployed_bundle(args.model.bundle_sha256, args.model.bundle)
        if options.demo_only:
            require_demo(bundle.manifest, args.model.bundle)
        precision = bundle.manifest.precision_of(args.model.precision)
        applications = [_application(profile, args, bundle.manifest)]
        if options.candidate is not None:
            applications.append(_candidate(options, document))
    except ModelError as error:
        return _fail(error, 1)
    DriverReport(
        state=DriverState.ACCEPTED,
        url=profile.http_options.url,
        chosen_precision=precision if args.model.precision == "auto" else None,
    ).print()
    return _serve(profile, applications, options)


def _serve(
    profile: Profile, applications: Sequence[Application], options: argparse.Namespace
) -> int:
    # Ray is imported once the profile and the bundle are accepted, and Serve while Ray's own
    # processes start: each takes a second or more of a processor.
    from serve_app.driver import OBJECT_STORE_BYTES, local_ray

    stopping = threading.Event()
    with local_ray(
        [application.args for application in applications],
        options.dashboard_port,
        options.temp_dir,
        options.metrics_port,
        options.dashboard_metrics_port,
        options.object_store_bytes or OBJECT_STORE_BYTES,
    ):
        DriverReport(state=DriverState.RAY_STARTED).print()
        for signum in (signal.SIGTERM, signal.SIGINT):  # Ray has taken the first for itself
            signal.signal(signum, lambda *_: stopping.set())
        from serve_app.deployment import StartError, deployed

        try:
            with deployed(profile, applications):
                DriverReport(state=DriverState.READY).print()
                stopping.wait()
                DriverReport(state=DriverState.STOPPING).print()
        except StartError as error:
            if options.debug:
                print(error.details, file=sys.stderr)
            return _fail(error, 1)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m serve_app")
    parser.add_argument("--config", type=Path, default=ROOT / "configs/serve/local.yaml")
    parser.add_argument("--bundle", type=Path, help="instead of the profile's")
    parser.add_argument("--candidate", type=Path, help="a bundle that is tried at /candidate")
    parser.add_argument("--demo-only", action="store_true", help="refuse any other bundle")
    parser.add_argument("--port", type=int, help="instead of the profile's")
    parser.add_argument("--certificate", type=Path, help="HTTPS, with this and its key (PEM)")
    parser.add_argument("--dashboard-port", type=int, help="start the Ray dashboard, there")
    parser.add_argument("--metrics-port", type=int, help="of Ray's metrics [default: a free one]")
    parser.add_argument("--dashboard-metrics-port", type=int, help="of the dashboard's own metrics")
    parser.add_argument("--object-store-bytes", type=int)
    parser.add_argument("--temp-dir", type=Path, help="for Ray's sessions, sockets and logs")
    parser.add_argument("--debug", action="store_true", help="show where a failed start failed")
    return parser.parse_args()


def _with_http(profile: Profile, options: argparse.Namespace) -> Profile:
    changes: dict[str, object] = {}
    if options.port is not None:
        changes["port"] = options.port
    if options.certificate is not None:
        changes["ssl_certfile"] = changes["ssl_keyfile"] = str(options.certificate)
    http = profile.http_options.model_copy(update=changes)
    return profile.model_copy(update={"http_options": http})


def _with_bundle(args: AppArgs, bundle: Path | None) -> AppArgs:
    if bundle is None:
        return args
    # A digest in the profile is that of its own bundle.
    return _with_model(args, bundle=bundle.resolve(), bundle_sha256=None)


def _with_model(args: AppArgs, **changes: object) -> AppArgs:
    return args.model_copy(update={"model": args.model.model_copy(update=changes)})


def _application(profile: Profile, args: AppArgs, manifest: Manifest) -> Application:
    pinned = _with_model(args, bundle_sha256=manifest.digest)
    return profile.application.model_copy(update={"args": pinned})


def _candidate(options: argparse.Namespace, document: Any) -> Application:
    """Return the application of --candidate. Raise BundleError."""
    profile = parse_profile(options.config, candidate_document(document))
    args = _with_bundle(profile.application.args, options.candidate)
    manifest = open_deployed_bundle(None, args.model.bundle).manifest
    manifest.precision_of(args.model.precision)
    return _application(profile, args, manifest)


def _fail(error: Exception, status: int) -> int:
    DriverReport(state=DriverState.FAILED, error=str(error)).print()
    print(f"error: {error}", file=sys.stderr, flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
