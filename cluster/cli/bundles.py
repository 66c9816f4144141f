"""`lesionserve pack` and `lesionserve verify`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.cli import console
from cluster.cli.options import (
    BundleArgument,
    ClassesFileOption,
    ClassesOption,
    ClassOption,
    Debug,
    PrecisionOption,
)
from cluster.cli.precision_lines import choice_lines
from cluster.paths import DEMO_BUNDLE
from pipeline.engines.base import EngineName
from pipeline.text import counted

if TYPE_CHECKING:
    from pipeline.bundle.annotated_images import Evaluation
    from pipeline.bundle.bundle import Bundle


def _short(value: str) -> str:
    """Return what fits into a manifest. Raise typer.BadParameter."""
    if not value.strip() or len(value) > 100 or not value.isprintable():
        raise typer.BadParameter("1 to 100 characters in one line are needed")
    return value


def pack(
    target: Annotated[Path, typer.Argument(help="the bundle's folder, to be made")],
    weights: Annotated[Path, typer.Option(help="a Detectron2 checkpoint")],
    config: Annotated[Path, typer.Option(help="its YAML")],
    name: Annotated[str, typer.Option(help="the model's name", callback=_short)],
    version: Annotated[str, typer.Option(help="the model's version", callback=_short)],
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
    accuracy: Annotated[
        Path | None,
        typer.Option(
            help="a COCO file of annotated images: measure the precisions, and choose the fastest "
            "within --max-loss, for precision 'auto'"
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="their folder [default: that of the COCO file]")
    ] = None,
    max_loss: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="the most box AP and mask AP (0 to 1) that may be lost"),
    ] = None,
    trust_pickle: Annotated[
        bool,
        typer.Option(
            "--trust-pickle", help="open a pickle, or a checkpoint that holds more than weights"
        ),
    ] = False,
    detectron2: Annotated[str | None, typer.Option(help="its version of Detectron2")] = None,
    debug: Debug = False,
) -> None:
    """Make a model bundle of a Detectron2 checkpoint and its YAML."""
    from cluster.cli.class_names import read_class_names
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
        evaluation=_evaluation(accuracy, images, max_loss),
        trust_pickle=trust_pickle,
        detectron2=detectron2,
    )
    with console.status("packing") as status:
        bundle = packing.pack(source, target, engine, status.update)
    _report_packed(bundle, target, golden_count=len(golden or ()))


def _evaluation(
    accuracy: Path | None, images: Path | None, max_loss: float | None
) -> "Evaluation | None":
    """Return what --accuracy, --images and --max-loss ask for. Raise typer.BadParameter."""
    from pipeline.bundle.annotated_images import Evaluation

    if accuracy is None:
        if images is not None or max_loss is not None:
            raise typer.BadParameter("--images and --max-loss go with --accuracy")
        return None
    if max_loss is None:
        raise typer.BadParameter("--accuracy needs --max-loss: how much AP may be lost")
    return Evaluation(accuracy, accuracy.parent if images is None else images, max_loss)


def _report_packed(bundle: "Bundle", target: Path, golden_count: int) -> None:
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    console.say(
        f"packed {bundle.manifest.name} {bundle.manifest.version} into {target} "
        f"({size / 1e6:.1f} MB, {counted(golden_count, 'golden case')})"
    )
    console.remark(bundle.manifest.remarks)
    _say_choice(bundle)
    _warn_of_golden(bundle)


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
        f"{bundle}: {manifest.name} {manifest.version}: "
        f"{counted(len(manifest.files), 'file')} intact, "
        f"{counted(count, 'golden case')} reproduced by the {runner.name} engine "
        f"in {runner.precision}"
    )
    _say_choice(opened)
    _warn_of_golden(opened)


def _say_choice(bundle: "Bundle") -> None:
    """Say which precision `auto` is, and why, where it was measured."""
    if bundle.manifest.precision_choice is not None:
        for line in choice_lines(bundle.manifest.precision_choice):
            console.say(line)


def _warn_of_golden(bundle: "Bundle") -> None:
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
