"""`lesionserve rollout`: the gateway's command of that name, where its settings are."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from cluster.cli.options import Debug
from cluster.paths import default_data
from pipeline.errors import LesionserveError

app = typer.Typer(
    help="Try a candidate bundle beside the one that serves, and promote it or not.",
    no_args_is_help=True,
)

DataOption = Annotated[
    Path | None,
    typer.Option(
        help="the folder of `lesionserve up` [default: ~/.local/share/lesionserve, or what the "
        "environment says where DATABASE_URL is set]"
    ),
]
_DIGEST = re.compile("[0-9a-f]{64}")


@app.command()
def start(
    bundle: Annotated[str, typer.Argument(help="the candidate's folder, or its digest")],
    mode: Annotated[
        Literal["shadow", "canary"],
        typer.Option(help="shadow: compared only; canary: it answers a share of the images"),
    ],
    percent: Annotated[int, typer.Option(min=1, max=100, help="of the examinations")] = 100,
    organisation: Annotated[
        list[str] | None, typer.Option(help="whose images take part; repeatable [default: all]")
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="chance that a good candidate is ever rolled back")
    ] = None,
    max_disagreement: Annotated[
        float | None, typer.Option(help="accepted mean share of an image's lesions that differ")
    ] = None,
    max_errors: Annotated[float | None, typer.Option(help="accepted share of failures")] = None,
    max_slow: Annotated[float | None, typer.Option(help="accepted share of slow images")] = None,
    slow_factor: Annotated[
        float | None, typer.Option(help="slow: longer than so many times the stable model")
    ] = None,
    patience_s: Annotated[
        float | None, typer.Option(help="seconds until the candidate counts as failed on an image")
    ] = None,
    data: DataOption = None,
    debug: Debug = False,
) -> None:
    """Start a rollout of the candidate that runs at /candidate."""
    arguments = ["start", _digest(bundle), "--mode", mode, "--percent", str(percent)]
    for name in organisation or ():
        arguments += [f"--organisation={name}"]
    terms = {
        "alpha": alpha,
        "max-disagreement": max_disagreement,
        "max-errors": max_errors,
        "max-slow": max_slow,
        "slow-factor": slow_factor,
        "patience-s": patience_s,
    }
    for name, value in terms.items():
        if value is not None:
            arguments += [f"--{name}", str(value)]
    _run(arguments, data)


@app.command()
def status(
    json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    data: DataOption = None,
    debug: Debug = False,
) -> None:
    """Show the last rollout, what was compared, and how far its tests have come."""
    _run(["status", *(["--json"] if json else [])], data)


@app.command()
def promote(data: DataOption = None, debug: Debug = False) -> None:
    """Decide that the candidate becomes the stable model; then deploy its bundle as such."""
    _run(["promote"], data)


@app.command()
def abort(
    reason: Annotated[str, typer.Option(help="for the audit trail")] = "",
    data: DataOption = None,
    debug: Debug = False,
) -> None:
    """End the rollout: no image goes to the candidate any more."""
    _run(["abort", f"--reason={reason}"], data)


def _digest(bundle: str) -> str:
    """Return the digest of a bundle's folder, or the digest itself. Raise typer.BadParameter."""
    from pipeline.bundle.manifest import read_manifest

    if _DIGEST.fullmatch(bundle):
        return bundle
    try:
        return read_manifest(Path(bundle)).digest
    except LesionserveError as error:
        raise typer.BadParameter(f"{bundle}: {error}") from error


def _run(arguments: list[str], data: Path | None) -> None:
    """Run the gateway's command, with its own exit status, on the database of its settings."""
    environment = dict(os.environ)
    if data is not None or "DATABASE_URL" not in environment:
        from cluster.launcher.environment import gateway_settings

        folder = default_data() if data is None else data
        if not (folder / "gateway.env").exists():
            raise typer.BadParameter(
                f"{folder} is not the folder of a `lesionserve up`; name it with --data, or run "
                "`lesionserve-manage rollout` on the gateway's host"
            )
        environment |= gateway_settings(folder)
    command = [sys.executable, "-m", "gateway.manage", "rollout", *arguments]
    raise typer.Exit(subprocess.run(command, env=environment, check=False).returncode)
