from pathlib import Path
from typing import Annotated

import typer

from cluster.cli import console
from cluster.cli.options import Debug


def deploy(
    profile: Annotated[Path, typer.Argument(help="a profile, such as configs/serve/gpu.yaml")],
    bundle: Annotated[Path | None, typer.Option(help="instead of the profile's")] = None,
    address: Annotated[
        str, typer.Option(help="HOST:PORT of Ray's head; auto: this node's")
    ] = "auto",
    candidate: Annotated[
        bool,
        typer.Option("--candidate", help="try the bundle beside what serves, at /candidate"),
    ] = False,
    remove_candidate: Annotated[
        bool, typer.Option("--remove-candidate", help="remove the candidate, and change no more")
    ] = False,
    other_classes: Annotated[
        bool, typer.Option("--other-classes", help="let the class list change")
    ] = False,
    stop_first: Annotated[
        bool, typer.Option("--stop-first", help="stop the old replicas first: no service meanwhile")
    ] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="replace a deployment that has not ended")
    ] = False,
    check_only: Annotated[
        bool, typer.Option("--check-only", help="make all checks, and change nothing")
    ] = False,
    room_within: Annotated[
        float, typer.Option(min=1, help="seconds in which the cluster must have room")
    ] = 30,
    ready_within: Annotated[
        float, typer.Option(min=1, help="seconds in which the new version must be healthy")
    ] = 900,
    http_host: Annotated[
        str | None,
        typer.Option(
            envvar="LESIONSERVE_HTTP_HOST",
            help="the address at which Serve's proxy listens, instead of the profile's: in a "
            "container, 0.0.0.0",
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Roll a profile and its bundle out on a running Ray cluster, or back where it fails.

    Exit codes: 0 it serves, or could be deployed (--check-only), 2 misuse, 3 refused before
    anything was changed, 4 rolled back, 5 not rolled back, 130 interrupted before anything was
    changed.
    """
    from cluster.deploy import deploy as deployment
    from cluster.deploy.deploy import DeployOptions

    if candidate and (remove_candidate or bundle is None):
        raise typer.BadParameter("--candidate goes with --bundle, and without --remove-candidate")
    options = DeployOptions(
        profile=profile,
        bundle=bundle,
        address=address,
        other_classes=other_classes,
        stop_first=stop_first,
        take_over=take_over,
        check_only=check_only,
        room_within_s=room_within,
        ready_within_s=ready_within,
        http_host=http_host,
        candidate=candidate,
    )
    act = deployment.remove_candidate if remove_candidate else deployment.deploy
    act(options, console.say)
