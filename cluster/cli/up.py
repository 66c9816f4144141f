from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.cli import console
from cluster.cli.options import Debug
from cluster.launcher.options import ALERTMANAGER_PORT, PROMETHEUS_PORT
from cluster.launcher.public_demo import PORT as SPACE_PORT
from cluster.paths import DEMO_IMAGE, LOCAL_PROFILE, SPACE_PROFILE, default_data

if TYPE_CHECKING:
    from cluster.launcher.options import StackOptions
    from cluster.launcher.stack import Stack


def up(
    config: Annotated[
        Path | None, typer.Option(help=f"a profile [default: {LOCAL_PROFILE}]")
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="instead of the profile's")] = None,
    candidate: Annotated[
        Path | None, typer.Option(help="a bundle beside it, for `lesionserve rollout`")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="of the gateway [default: a free one]")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="where keys and records are kept [default: ~/.local/share/lesionserve]"),
    ] = None,
    tls: Annotated[
        bool, typer.Option("--tls", help="HTTPS on both hops, signed by a private authority")
    ] = False,
    dashboard: Annotated[
        bool, typer.Option("--dashboard", help="the Ray dashboard, too; the start takes longer")
    ] = False,
    monitoring: Annotated[
        bool, typer.Option("--monitoring", help="Prometheus and Alertmanager, too")
    ] = False,
    prometheus_port: Annotated[
        int, typer.Option(min=1, max=65535, help="with --monitoring")
    ] = PROMETHEUS_PORT,
    alertmanager_port: Annotated[
        int, typer.Option(min=1, max=65535, help="with --monitoring")
    ] = ALERTMANAGER_PORT,
    public_demo: Annotated[
        bool,
        typer.Option(
            "--public-demo",
            help="for a Hugging Face Space: the demo model for everybody, on all interfaces",
        ),
    ] = False,
    ready_file: Annotated[
        Path | None,
        typer.Option(help="written with the address and the key while the service is ready"),
    ] = None,
    debug: Debug = False,
) -> None:
    """Start everything on this machine and stay up until Ctrl-C."""
    from cluster.launcher.options import StackOptions

    if not public_demo:
        data = default_data() if data is None else data
    options = StackOptions(
        config=config or (SPACE_PROFILE if public_demo else LOCAL_PROFILE),
        bundle=bundle,
        candidate=candidate,
        data=data,
        gateway_port=SPACE_PORT if public_demo and port is None else port,
        dashboard=dashboard,
        tls=tls,
        monitoring=monitoring,
        prometheus_port=prometheus_port,
        alertmanager_port=alertmanager_port,
        public_demo=public_demo,
        debug=debug,
    )
    _stay_up(options, ready_file)


def _stay_up(options: "StackOptions", path: Path | None) -> None:
    """Serve until Ctrl-C. Raise StackError where an essential process dies."""
    from cluster.launcher.ready_file import Ready, ReadyFile
    from cluster.launcher.startup import running_stack

    ready_file = None if path is None else ReadyFile(path)
    try:
        with running_stack(options, console.say, console.clock) as stack:
            console.say(f"{stack.start_s:4.0f} s  ready")
            if options.public_demo:
                console.say("everybody can use the demo model now; nothing is kept")
            else:
                console.say_lines(_invitation(stack, DEMO_IMAGE))
            with nullcontext() if ready_file is None else ready_file.published(Ready.of(stack)):
                stack.wait()
    except KeyboardInterrupt:
        console.say("stopped")


def _invitation(stack: "Stack", example: Path) -> str:
    """Return what to open and what to type, once everything is up."""
    dashboard = "with --dashboard"
    if stack.dashboard_url is not None:
        dashboard = f"{stack.dashboard_url} (token {stack.dashboard_token})"
    prometheus = alertmanager = "with --monitoring"
    if stack.monitoring is not None:
        prometheus = f"{stack.monitoring.prometheus.url}/"
        alertmanager = f"{stack.monitoring.alertmanager.url} (API)"
    cacert = "" if stack.ca is None else f"--cacert {stack.ca} "
    return f"""
ready; stop it with Ctrl-C

  page             {stack.gateway_url}/
  operations       {stack.gateway_url}/operations
  API docs         {stack.gateway_url}/docs
  Ray dashboard    {dashboard}
  Prometheus       {prometheus}
  Alertmanager     {alertmanager}
  key              {stack.api_key}

  curl {cacert}-H "X-API-Key: {stack.api_key}" -F file=@{example} {stack.gateway_url}/predict/
"""
