from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from cluster.cli import console
from cluster.cli.options import Debug
from cluster.paths import DEMO_BUNDLE
from pipeline.engines.base import AskedPrecision, EngineName
from pipeline.errors import LesionserveError

if TYPE_CHECKING:
    from cluster.cli.kept_answer import KeptAnswer
    from cluster.cli.local_model import LocalModel
    from cluster.cli.remote_gateway import RemoteGateway
    from cluster.cli.replay_report import ReplayReport

# Of a replay that ends without an answer to its question. As of `diff`, 1 says that there is a
# difference, and 2 is misuse.
_UNDECIDED = 3


def replay(
    record: Annotated[
        Path, typer.Argument(help="the answer as JSON, its record, or an export of the trail")
    ],
    image: Annotated[Path, typer.Option(help="the image file")],
    request_id: Annotated[
        str | None, typer.Option(help="of the answer, where the file holds several")
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="a model bundle [default: the demo]")] = None,
    engine: Annotated[EngineName | None, typer.Option(help="[default: that of then]")] = None,
    precision: Annotated[
        AskedPrecision | None, typer.Option(help="[default: that of then]")
    ] = None,
    url: Annotated[str | None, typer.Option(help="a gateway to ask instead")] = None,
    key: Annotated[
        str | None, typer.Option(help="its API key [env var: LESIONSERVE_API_KEY]")
    ] = None,
    ca: Annotated[Path | None, typer.Option(help="the CA that signed its certificate")] = None,
    format_: Annotated[Literal["text", "json"], typer.Option("--format")] = "text",
    debug: Debug = False,
) -> None:
    """Say whether an image gives the same answer now as it did then, and what differs.

    Exit codes: 0 the same, 1 different, 3 it cannot be told.
    """
    from cluster.cli import model_source
    from cluster.cli.local_model import LocalModel
    from cluster.cli.remote_gateway import RemoteGateway

    remote = RemoteGateway.of(url, key, ca)
    local = LocalModel(bundle, None, None, None, engine or "auto", precision or "float32")
    model_source.check_choice(local, remote)
    try:
        from cluster.cli.kept_answer import read_kept_answer
        from cluster.cli.replay_lines import report_lines

        then = read_kept_answer(record, request_id)
        local = replace(
            local,
            engine=engine or _known(then.model.get("engine"), EngineName, "auto"),
            precision=precision or _known(then.model.get("precision"), AskedPrecision, "float32"),
        )
        report = _report(then, image, local, remote)
    except (LesionserveError, OSError, ModuleNotFoundError) as error:
        console.fail(f"it cannot be told: {_reason(error)}", error)
        raise typer.Exit(_UNDECIDED) from None
    if format_ == "json":
        console.output(report.model_dump_json(ensure_ascii=True))
    else:
        for line in report_lines(report):
            console.output(line)
    raise typer.Exit(int(report.verdict))


def _report(
    then: "KeptAnswer", image: Path, local: "LocalModel", remote: "RemoteGateway"
) -> "ReplayReport":
    """Ask the model for what the image gives now. Raise LesionserveError and OSError."""
    from cluster.cli import model_source
    from cluster.cli.images import read_image
    from cluster.cli.replay_report import of_another_image, report_on

    data = read_image(image, model_source.MAX_REMOTE_BYTES)
    is_same_image = then.is_of(data)
    if is_same_image is False:
        return of_another_image(then)
    # With the options of then, but for the picture, which is drawn from the lesions.
    options = then.options.model_copy(update={"visualization": "none"})
    with model_source.open_source(local, remote, DEMO_BUNDLE) as predict:
        prediction = predict(data, options, "replay")
    return report_on(then, prediction, is_same_image=is_same_image)


def _known(name: object, names: Any, otherwise: Any) -> Any:
    """Return the name of then where this version has it, too, or else the default."""
    return name if name in get_args(names) else otherwise


def _reason(error: LesionserveError | OSError | ModuleNotFoundError) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed: pip install 'lesionserve[cpu]'"
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {error.strerror or error}"
    return str(error)
