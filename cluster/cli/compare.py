from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cluster.cli.options import Debug, PrecisionOption
from pipeline.engines.base import EngineName

if TYPE_CHECKING:
    from cluster.cli.comparison_report import Report


def compare(
    a: Annotated[Path, typer.Argument(help="the model bundle that serves")],
    b: Annotated[Path, typer.Argument(help="the bundle that may take its place")],
    images: Annotated[list[Path], typer.Argument(help="image files")],
    engine: Annotated[EngineName, typer.Option()] = "auto",
    precision: PrecisionOption = "float32",
    format_: Annotated[Literal["table", "json"], typer.Option("--format")] = "table",
    out: Annotated[
        Path | None, typer.Option(help="write a picture of the worst images here (JPEG)")
    ] = None,
    worst: Annotated[int, typer.Option(min=1, max=50, help="images in the picture")] = 8,
    debug: Debug = False,
) -> None:
    """Compare the lesions that two bundles find in images, on this machine.

    Exit codes: 0 compared, 1 where an image could not be.
    """
    from cluster.cli import comparison_files

    report, failures = comparison_files.compare_files(a, b, images, engine, precision, out, worst)
    _show(report, format_)
    raise typer.Exit(1 if failures else 0)


def _show(report: "Report", format_: Literal["table", "json"]) -> None:
    from cluster.cli import console
    from cluster.cli.comparison_table import images_table, summary_table

    if format_ == "json":
        # In ASCII, so that a label cannot control the terminal.
        console.output(report.model_dump_json(ensure_ascii=True))
        return
    console.output_table(images_table(report))
    console.output_table(summary_table(report))
