import argparse
import math
import os
import signal
import sys
import threading
from pathlib import Path

import ray
from ray import serve

from serve_app.app import build_app
from serve_app.args import ROOT, AppArgs, Size
from serve_app.config import ConfigError, Profile, load_profile
from serve_app.tokens import TokenError, Tokens

# Images in flight are at most a few tens of megabytes each; Ray would take a third of the memory.
OBJECT_STORE_BYTES = 512 * 1024 * 1024


def main() -> int:
    """Serves one profile on a Ray instance of its own until SIGTERM or SIGINT.

    Prints `READY {url}` once predictions are answered, and `STOPPING` when a signal ends that.
    Returns the exit status: 0 after a signal, 1 where the start failed, 2 where it was asked for
    wrongly.
    """
    options = _options()
    try:
        profile = load_profile(options.config)
        Tokens.from_environment()
    except (ConfigError, TokenError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    args = _with_bundle(profile.application.args, options.bundle)
    stop = threading.Event()
    try:
        _start_ray(args, options.dashboard_port, options.temp_dir)
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda *_: stop.set())
        url = _deploy(profile, args, options.port)
        print(f"READY {url}", flush=True)
        stop.wait()
        print("STOPPING", flush=True)
    except RuntimeError as error:
        print(f"error: {error if options.debug else _cause(error)}", file=sys.stderr)
        return 1
    finally:
        serve.shutdown()  # type: ignore[no-untyped-call]
        ray.shutdown()
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m serve_app")
    parser.add_argument("--config", type=Path, default=ROOT / "configs/serve/local.yaml")
    parser.add_argument("--bundle", type=Path, help="instead of the profile's")
    parser.add_argument("--port", type=int, help="instead of the profile's")
    parser.add_argument("--dashboard-port", type=int, help="start the Ray dashboard, there")
    parser.add_argument("--temp-dir", type=Path, help="for Ray's sessions, sockets and logs")
    parser.add_argument("--debug", action="store_true", help="show where a failed start failed")
    return parser.parse_args()


def _with_bundle(args: AppArgs, bundle: Path | None) -> AppArgs:
    if bundle is None:
        return args
    model = args.model.model_copy(update={"bundle": bundle.resolve()})
    return args.model_copy(update={"model": model})


def _start_ray(args: AppArgs, dashboard_port: int | None, temp_dir: Path | None) -> None:
    """Starts a Ray instance of our own.

    Its internal ports listen on every interface, whatever address Ray is given; what keeps
    strangers out is Ray's token, which is on unless RAY_AUTH_MODE says otherwise.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        address="local",  # whatever RAY_ADDRESS or an earlier `ray start` says
        # As many as the profile asks for: it always fits, and Ray starts no more idle workers.
        num_cpus=_cpus(args),
        object_store_memory=OBJECT_STORE_BYTES,
        include_dashboard=dashboard_port is not None,
        dashboard_host="127.0.0.1",
        dashboard_port=dashboard_port,
        log_to_driver=False,
        _temp_dir=None if temp_dir is None else str(temp_dir.resolve()),
    )


def _cpus(args: AppArgs) -> int:
    sizes = [size for size in vars(args.graph).values() if isinstance(size, Size)]
    return math.ceil(sum(size.most_replicas * size.num_cpus for size in sizes))


def _deploy(profile: Profile, args: AppArgs, port: int | None) -> str:
    """Raises RuntimeError where the model does not load; returns the ingress' URL."""
    http = profile.http_options
    if port is not None:
        http = http.model_copy(update={"port": port})
    serve.start(
        proxy_location=profile.proxy_location,
        http_options=http.model_dump(),
        logging_config=profile.logging_config,
    )
    application = profile.application
    serve.run(
        build_app(args),
        name=application.name,
        route_prefix=application.route_prefix,
        logging_config=profile.logging_config,
    )
    scheme = "http" if http.ssl_certfile is None else "https"
    return f"{scheme}://{http.host}:{http.port}"


def _cause(error: RuntimeError) -> str:
    """The last line of the replica's traceback, which is the error itself."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1]


if __name__ == "__main__":
    sys.exit(main())
