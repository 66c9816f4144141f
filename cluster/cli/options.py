"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from cluster.cli import console
from pipeline.engines.base import AskedPrecision

Debug = Annotated[
    bool,
    typer.Option("--debug", help="show tracebacks", is_eager=True, callback=console.set_debug),
]
PrecisionOption = Annotated[
    AskedPrecision,
    typer.Option(
        help="of the layers; int8 needs a bundle packed with --int8, auto one with --accuracy"
    ),
]
ClassesOption = Annotated[str | None, typer.Option(help="class names in order: a,b,c")]
ClassOption = Annotated[
    list[str] | None,
    typer.Option("--class", help="instead: one class name, which may hold commas; repeatable"),
]
ClassesFileOption = Annotated[
    Path | None, typer.Option(help="instead: a file of the class names, one a line")
]
BundleArgument = Annotated[Path, typer.Argument(help="a model bundle", show_default=True)]
