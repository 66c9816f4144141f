from pathlib import Path
from typing import Annotated, Literal

import typer

from cluster.cli.options import (
    ClassesFileOption,
    ClassesOption,
    ClassOption,
    Debug,
    PrecisionOption,
)
from cluster.paths import DEMO_BUNDLE
from pipeline.engines.base import EngineName
from pipeline.errors import LesionserveError


def _score(value: str) -> float:
    """Return a score, which is written as in a query. Raise typer.BadParameter."""
    from pipeline.http.query import read_query
    from pipeline.schemas import PredictOptions

    try:
        score = read_query([("score_threshold", value)], PredictOptions).score_threshold
    except LesionserveError:
        raise typer.BadParameter("a number from 0 to 1 is needed") from None
    assert score is not None
    return score


def predict(
    images: Annotated[list[Path], typer.Argument(help="image files")],
    bundle: Annotated[Path | None, typer.Option(help="a model bundle [default: the demo]")] = None,
    config: Annotated[Path | None, typer.Option(help="a Detectron2 YAML")] = None,
    weights: Annotated[Path | None, typer.Option(help="its checkpoint (.pth)")] = None,
    classes: ClassesOption = None,
    class_: ClassOption = None,
    classes_file: ClassesFileOption = None,
    engine: Annotated[EngineName, typer.Option()] = "auto",
    precision: PrecisionOption = "float32",
    url: Annotated[str | None, typer.Option(help="a gateway to ask instead")] = None,
    key: Annotated[
        str | None, typer.Option(help="its API key [env var: LESIONSERVE_API_KEY]")
    ] = None,
    ca: Annotated[Path | None, typer.Option(help="the CA that signed its certificate")] = None,
    format_: Annotated[Literal["table", "json"], typer.Option("--format")] = "table",
    out: Annotated[Path | None, typer.Option(help="write JSON and overlays here")] = None,
    masks: Annotated[Literal["rle", "polygon", "none"], typer.Option()] = "rle",
    score_threshold: Annotated[
        float | None,
        typer.Option(parser=_score, metavar="0..1", help="drop lesions of lower scores"),
    ] = None,
    debug: Debug = False,
) -> None:
    """Find lesions in images, in this process or through a gateway."""
    from cluster.cli import model_source, prediction_files
    from cluster.cli.class_names import read_class_names
    from cluster.cli.local_model import LocalModel
    from cluster.cli.remote_gateway import RemoteGateway
    from pipeline.schemas import PredictOptions

    names = read_class_names(classes, class_, classes_file)
    local = LocalModel(bundle, config, weights, names, engine, precision)
    remote = RemoteGateway.of(url, key, ca)
    model_source.check_choice(local, remote)
    options = PredictOptions(
        masks=masks,
        visualization="none" if out is None else "jpeg",
        score_threshold=score_threshold,
    )
    with model_source.open_source(local, remote, DEMO_BUNDLE) as source:
        limit = model_source.MAX_LOCAL_BYTES if url is None else model_source.MAX_REMOTE_BYTES
        failures = prediction_files.predict_files(images, source, options, format_, out, limit)
    raise typer.Exit(1 if failures else 0)
