"""The `lesionserve` command. Each command imports what it needs only when it runs, so that
`lesionserve --help` and calls to a remote gateway start without PyTorch or Ray."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from cluster import console
from cluster.errors import StackError
from cluster.paths import DATA, DEMO_BUNDLE, DEMO_IMAGE, LOCAL_PROFILE
from pipeline.contract import EngineName, Precision
from pipeline.errors import LesionserveError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Serve a Detectron2 lesion model: an authenticated gateway before an autoscaling graph.",
)

Debug = Annotated[
    bool,
    typer.Option("--debug", help="show tracebacks", is_eager=True, callback=console.set_debug),
]
NEEDED = "local models need lesionserve[serve], up and demo need lesionserve[serve,gateway]"
PrecisionOption = Annotated[
    Precision, typer.Option(help="of the layers; int8 needs a bundle packed with --int8")
]
BundleArgument = Annotated[Path, typer.Argument(help="a model bundle", show_default=True)]


def short(value: str) -> str:
    """What fits into a manifest."""
    if not 1 <= len(value.strip()) <= 100:
        raise typer.BadParameter("1 to 100 characters are needed")
    return value


@app.command()
def demo(
    image: Annotated[Path, typer.Option(help="the image to post")] = DEMO_IMAGE,
    out: Annotated[Path, typer.Option(help="where the answer goes")] = Path("out"),
    debug: Debug = False,
) -> None:
    """Start everything, post one image as a client would, show the answer, stop everything."""
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
    data: Annotated[Path, typer.Option(help="where keys and records are kept")] = DATA,
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
        data=data,
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
    classes: Annotated[str | None, typer.Option(help="class names in order: a,b,c")] = None,
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
    score_threshold: Annotated[float | None, typer.Option(min=0, max=1)] = None,
    debug: Debug = False,
) -> None:
    """Find lesions in images, in this process or through a gateway."""
    from cluster import predict as predicting
    from pipeline.schemas import PredictOptions

    local = predicting.Local(bundle, config, weights, classes, engine, precision)
    remote = predicting.Remote.of(url, key, ca)
    predicting.check_choice(local, remote)
    options = PredictOptions(
        masks=masks,
        visualization="none" if out is None else "jpeg",
        score_threshold=score_threshold,
    )
    with predicting.open_source(local, remote, DEMO_BUNDLE) as source:
        failures = predicting.predict_files(images, source, options, format_, out)
    raise typer.Exit(1 if failures else 0)


@app.command()
def pack(
    target: Annotated[Path, typer.Argument(help="the bundle's folder, to be made")],
    weights: Annotated[Path, typer.Option(help="a Detectron2 checkpoint")],
    config: Annotated[Path, typer.Option(help="its YAML")],
    classes: Annotated[str, typer.Option(help="class names in order: a,b,c")],
    name: Annotated[str, typer.Option(help="the model's name", callback=short)],
    version: Annotated[str, typer.Option(help="the model's version", callback=short)],
    golden: Annotated[
        list[Path] | None, typer.Option(help="an image whose detections are recorded; repeatable")
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="store float16: half the size")] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="add layers in int8, calibrated on the golden images")
    ] = False,
    engine: Annotated[EngineName, typer.Option(help="records the golden cases")] = "auto",
    trust_pickle: Annotated[
        bool, typer.Option("--trust-pickle", help="open a .pkl, which can run any code")
    ] = False,
    detectron2: Annotated[
        str | None, typer.Option(help="the Detectron2 version that trained it")
    ] = None,
    debug: Debug = False,
) -> None:
    """Make a model bundle of a Detectron2 checkpoint and its YAML."""
    from cluster.predict import class_list
    from pipeline import packing

    source = packing.Source(
        weights=weights,
        config=config,
        class_names=class_list(classes),
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
    if not golden:
        console.say("no golden image was given: a replica can check nothing before it serves")
    elif not any(detections for _, detections in packed.golden()):
        console.say("no lesion is expected on any golden image: this bundle can prove little")


@app.command()
def verify(
    bundle: BundleArgument = DEMO_BUNDLE,
    engine: Annotated[EngineName, typer.Option()] = "auto",
    precision: PrecisionOption = "float32",
    debug: Debug = False,
) -> None:
    """Check a bundle's files and run its golden cases."""
    from pipeline.bundle import open_bundle

    opened = open_bundle(bundle)
    with console.status("running the golden cases"):
        runner = opened.load_engine(engine, precision=precision)
        count = opened.check_golden(runner)
    console.say(
        f"{opened.manifest.name} {opened.manifest.version}: {len(opened.manifest.files)} files "
        f"intact, {count} golden cases reproduced by the {runner.name} engine "
        f"in {runner.precision}"
    )


@app.command()
def deploy(
    profile: Annotated[Path, typer.Argument(help="a profile, such as configs/serve/gpu.yaml")],
    bundle: Annotated[Path | None, typer.Option(help="instead of the profile's")] = None,
    address: Annotated[str, typer.Option(help="of Ray's head; auto is this node's")] = "auto",
    other_classes: Annotated[
        bool, typer.Option("--other-classes", help="let the class list change")
    ] = False,
    stop_first: Annotated[
        bool, typer.Option("--stop-first", help="stop the old replicas first: no service meanwhile")
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
    rolled back.
    """
    from cluster.deploy import DeployOptions
    from cluster.deploy import deploy as roll_out

    options = DeployOptions(
        profile, bundle, address, other_classes, stop_first, room_within, ready_within
    )
    roll_out(options, console.say)


def main() -> None:
    """Exit codes: 0 done, 1 failure, 2 misuse, 130 interrupted."""
    try:
        app()
    except StackError as error:
        console.fail(str(error), error, error.log)
        sys.exit(error.exit_status)
    except LesionserveError as error:
        console.fail(str(error), error)
        sys.exit(1)
    except BrokenPipeError:
        # A reader that leaves early, such as `head`, is no failure worth a word.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except ModuleNotFoundError as error:
        # Only one half is installed, and the command needs the other.
        console.fail(f"{error.name} is not installed; {NEEDED}", error)
        sys.exit(1)
    except OSError as error:
        console.fail(f"{error.filename or 'output'}: {error.strerror}", error)
        sys.exit(1)


if __name__ == "__main__":
    main()
