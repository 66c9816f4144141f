"""The `lesionserve` command. Each command imports what it needs only when it runs, so that
`lesionserve --help` and calls to a remote gateway start without PyTorch or Ray."""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cluster import console
from cluster.environment import name_the_user
from cluster.errors import StackError
from cluster.paths import DEMO_BUNDLE, DEMO_IMAGE, LOCAL_PROFILE, default_data
from pipeline.engines.base import EngineName, Precision
from pipeline.errors import LesionserveError

if TYPE_CHECKING:
    from pipeline.bundle.bundle import Bundle

app = typer.Typer(
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich's boxes show a flag as an option that takes a <bool>
)

Debug = Annotated[
    bool,
    typer.Option("--debug", help="show tracebacks", is_eager=True, callback=console.set_debug),
]
NEEDED = "local models need lesionserve[serve], up and demo need lesionserve[serve,gateway]"
PrecisionOption = Annotated[
    Precision, typer.Option(help="of the layers; int8 needs a bundle packed with --int8")
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


def short(value: str) -> str:
    """Return what fits into a manifest. Raises typer.BadParameter."""
    if not len(value.strip()) >= 1 or len(value) > 100 or not value.isprintable():
        raise typer.BadParameter("1 to 100 characters in one line are needed")
    return value


def score_of(value: str) -> float:
    """Return a score, which is written as in a query. Raises typer.BadParameter."""
    from pipeline.http.query import read_query
    from pipeline.schemas import PredictOptions

    try:
        score = read_query([("score_threshold", value)], PredictOptions).score_threshold
    except LesionserveError:
        raise typer.BadParameter("a number from 0 to 1 is needed") from None
    assert score is not None
    return score


@app.callback(invoke_without_command=True)
def lesionserve(
    context: typer.Context,
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)
    ] = False,
) -> None:
    """Serve a Detectron2 lesion model: an authenticated gateway before an autoscaling graph."""
    if show_version:
        console.output(f"lesionserve {version('lesionserve')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)


@app.command()
def demo(
    image: Annotated[Path, typer.Option(help="the image to post")] = DEMO_IMAGE,
    out: Annotated[Path, typer.Option(help="where the answer goes")] = Path("out"),
    debug: Debug = False,
) -> None:
    """Start everything, post an image, show the answer, stop."""
    from cluster.demo import run_demo
    from cluster.local import StackOptions

    run_demo(image, out, StackOptions(key_name="demo", debug=debug))


@app.command()
def up(
    config: Annotated[Path, typer.Option(help="a profile")] = LOCAL_PROFILE,
    bundle: Annotated[Path | None, typer.Option(help="instead of the profile's")] = None,
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
    debug: Debug = False,
) -> None:
    """Start everything on this machine and stay up until Ctrl-C."""
    from cluster.demo import stay_up
    from cluster.local import StackOptions

    options = StackOptions(
        config=config,
        bundle=bundle,
        data=default_data() if data is None else data,
        gateway_port=port,
        dashboard=dashboard,
        tls=tls,
        debug=debug,
    )
    stay_up(options, DEMO_IMAGE)


@app.command()
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
        typer.Option(parser=score_of, metavar="0..1", help="drop lesions of lower scores"),
    ] = None,
    debug: Debug = False,
) -> None:
    """Find lesions in images, in this process or through a gateway."""
    from cluster import predict as predicting
    from cluster.class_names import read_class_names
    from pipeline.schemas import PredictOptions

    names = read_class_names(classes, class_, classes_file)
    local = predicting.Local(bundle, config, weights, names, engine, precision)
    remote = predicting.Remote.of(url, key, ca)
    predicting.check_choice(local, remote)
    options = PredictOptions(
        masks=masks,
        visualization="none" if out is None else "jpeg",
        score_threshold=score_threshold,
    )
    with predicting.open_source(local, remote, DEMO_BUNDLE) as source:
        limit = predicting.MAX_LOCAL_BYTES if url is None else predicting.MAX_REMOTE_BYTES
        failures = predicting.predict_files(images, source, options, format_, out, limit)
    raise typer.Exit(1 if failures else 0)


@app.command()
def pack(
    target: Annotated[Path, typer.Argument(help="the bundle's folder, to be made")],
    weights: Annotated[Path, typer.Option(help="a Detectron2 checkpoint")],
    config: Annotated[Path, typer.Option(help="its YAML")],
    name: Annotated[str, typer.Option(help="the model's name", callback=short)],
    version: Annotated[str, typer.Option(help="the model's version", callback=short)],
    classes: ClassesOption = None,
    class_: ClassOption = None,
    classes_file: ClassesFileOption = None,
    golden: Annotated[
        list[Path] | None, typer.Option(help="an image whose detections are recorded; repeatable")
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="store float16: half the size")] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="add layers in int8, calibrated on the golden images")
    ] = False,
    engine: Annotated[EngineName, typer.Option(help="records the golden cases")] = "auto",
    trust_pickle: Annotated[
        bool,
        typer.Option(
            "--trust-pickle", help="open a pickle, or a checkpoint that holds more than weights"
        ),
    ] = False,
    detectron2: Annotated[
        str | None, typer.Option(help="the Detectron2 version that trained it")
    ] = None,
    debug: Debug = False,
) -> None:
    """Make a model bundle of a Detectron2 checkpoint and its YAML."""
    from cluster.class_names import read_class_names
    from pipeline.bundle import packing

    names = read_class_names(classes, class_, classes_file)
    if names is None:
        raise typer.BadParameter("--classes, --class or --classes-file is needed")
    source = packing.Source(
        weights=weights,
        config=config,
        class_names=names,
        name=name,
        version=version,
        golden=golden or (),
        half=half,
        int8=int8,
        trust_pickle=trust_pickle,
        detectron2=detectron2,
    )
    with console.status("packing"):
        packed = packing.pack(source, target, engine)
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    console.say(
        f"packed {packed.manifest.name} {packed.manifest.version} into {target} "
        f"({size / 1e6:.1f} MB, {len(golden or ())} golden cases)"
    )
    console.remark(packed.manifest.remarks)
    warn_of_golden(packed)


@app.command()
def verify(
    bundle: BundleArgument = DEMO_BUNDLE,
    engine: Annotated[EngineName, typer.Option()] = "auto",
    precision: PrecisionOption = "float32",
    debug: Debug = False,
) -> None:
    """Check a bundle's files and run its golden cases."""
    from pipeline.bundle.bundle import open_bundle

    opened = open_bundle(bundle)
    manifest = opened.manifest
    with console.status("running the golden cases"):
        runner = opened.load_engine(engine, precision=precision)
        console.remark([*manifest.remarks, *runner.remarks])
        count = opened.check_golden(runner)
    console.say(
        f"{bundle}: {manifest.name} {manifest.version}: {len(manifest.files)} files intact, "
        f"{count} golden cases reproduced by the {runner.name} engine "
        f"in {runner.precision}"
    )
    warn_of_golden(opened)


def warn_of_golden(bundle: "Bundle") -> None:
    """Warn where a bundle's golden cases prove little or nothing."""
    cases = list(bundle.golden())
    if not cases:
        console.say(
            "WARNING: the bundle has no golden cases. Nothing shows that a replica answers as the "
            "model did here; pack it again with --golden IMAGE, of images that hold lesions"
        )
    elif not any(detections for _, detections in cases):
        console.say(
            "WARNING: no lesion is expected on any golden image, so the golden cases prove little; "
            "add --golden IMAGE of an image that holds lesions"
        )


@app.command()
def deploy(
    profile: Annotated[Path, typer.Argument(help="a profile, such as configs/serve/gpu.yaml")],
    bundle: Annotated[Path | None, typer.Option(help="instead of the profile's")] = None,
    address: Annotated[
        str, typer.Option(help="HOST:PORT of Ray's head; auto: this node's")
    ] = "auto",
    other_classes: Annotated[
        bool, typer.Option("--other-classes", help="let the class list change")
    ] = False,
    stop_first: Annotated[
        bool, typer.Option("--stop-first", help="stop the old replicas first: no service meanwhile")
    ] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="replace a deployment that has not ended")
    ] = False,
    room_within: Annotated[
        float, typer.Option(min=1, help="seconds in which the cluster must have room")
    ] = 30,
    ready_within: Annotated[
        float, typer.Option(min=1, help="seconds in which the new version must be healthy")
    ] = 900,
    debug: Debug = False,
) -> None:
    """Roll a profile and its bundle out on a running Ray cluster, or back where it fails.

    Exit codes: 0 it serves, 2 misuse, 3 refused before anything was changed, 4 rolled back, 5 not
    rolled back, 130 interrupted before anything was changed.
    """
    from cluster.deploy import DeployOptions
    from cluster.deploy import deploy as roll_out

    options = DeployOptions(
        profile,
        bundle,
        address,
        other_classes,
        stop_first,
        take_over,
        room_within,
        ready_within,
    )
    roll_out(options, console.say)


def main() -> None:
    """Run the command. Exit codes: 0 done, 1 failure, 2 misuse, 130 interrupted."""
    console.prepare_streams()
    name_the_user()
    try:
        status: int | None = app(prog_name="lesionserve", standalone_mode=False)
    except typer.TyperException as error:
        console.fail(f"{_plain(error)} (see --help)", error)
        status = error.exit_code
    except typer.Abort as error:
        console.fail("aborted", error)
        status = 1
    except StackError as error:
        console.fail(str(error), error, error.log)
        status = error.exit_status
    except LesionserveError as error:
        console.fail(str(error), error)
        status = 1
    except BrokenPipeError:
        status = 1  # a reader that leaves early, such as `head`, is no failure worth a word
    except ModuleNotFoundError as error:
        # Only one half is installed, and the command needs the other.
        console.fail(f"{error.name} is not installed; {NEEDED}", error)
        status = 1
    except OSError as error:
        console.fail(f"{error.filename or 'output'}: {error.strerror or error}", error)
        status = 1
    if not console.finish_output():
        status = status or 1
    sys.exit(status or 0)


def _plain(error: typer.TyperException) -> str:
    """Return what was asked for wrongly, without the words of the library that checks types."""
    return error.format_message().replace("Value error, ", "")


if __name__ == "__main__":
    main()
