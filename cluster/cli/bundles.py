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
from cluster.cli.profile_lines import profile_lines
from cluster.paths import DEMO_BUNDLE
from pipeline.engines.base import EngineName
from pipeline.text import counted, few, quoted

if TYPE_CHECKING:
    from pipeline.bundle.annotated_images import Evaluation
    from pipeline.bundle.bundle import Bundle
    from pipeline.bundle.validation import Validation


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
        Path | None, typer.Option(help="the folder of a COCO file's images [default: its own]")
    ] = None,
    max_loss: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="the most box AP and mask AP (0 to 1) that may be lost"),
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option(
            help="the validation images, a folder or a COCO file: store what they are like, and "
            "what a gradable image is"
        ),
    ] = None,
    quality_limits: Annotated[
        Path | None,
        typer.Option(help="a YAML file of the limits of a gradable image, with --profile"),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="a YAML file of the classes in other languages: `HSIL: {es: …, fr: …}`"),
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
    from pipeline.bundle.labels import read_labels

    names = read_class_names(classes, class_, classes_file)
    if names is None:
        raise typer.BadParameter("--classes, --class or --classes-file is needed")
    has_annotations = accuracy is not None or (profile is not None and not profile.is_dir())
    if images is not None and not has_annotations:
        raise typer.BadParameter("--images goes with the COCO file of --accuracy or --profile")
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
        validation=_validation(profile, images, quality_limits),
        labels=None if labels is None else read_labels(labels, names),
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
        if max_loss is not None:
            raise typer.BadParameter("--max-loss goes with --accuracy")
        return None
    if max_loss is None:
        raise typer.BadParameter("--accuracy needs --max-loss: how much AP may be lost")
    return Evaluation(accuracy, accuracy.parent if images is None else images, max_loss)


def _validation(
    profile: Path | None, images: Path | None, quality_limits: Path | None
) -> "Validation | None":
    """Return what --profile, --images and --quality-limits ask for. Raise typer.BadParameter."""
    from pipeline.bundle.validation import Validation, read_limits

    if profile is None:
        if quality_limits is not None:
            raise typer.BadParameter("--quality-limits goes with --profile")
        return None
    limits = None if quality_limits is None else read_limits(quality_limits)
    if profile.is_dir():
        return Validation(profile, limits=limits)
    return Validation(profile.parent if images is None else images, profile, limits)


def _report_packed(bundle: "Bundle", target: Path, golden_count: int) -> None:
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    console.say(
        f"packed {bundle.manifest.name} {bundle.manifest.version} into {target} "
        f"({size / 1e6:.1f} MB, {counted(golden_count, 'golden case')})"
    )
    console.remark(bundle.manifest.remarks)
    _say_choice(bundle)
    _say_profile(bundle)
    _say_labels(bundle)
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
    _say_profile(opened)
    _say_labels(opened)
    _warn_of_golden(opened)


def _say_choice(bundle: "Bundle") -> None:
    """Say which precision `auto` is, and why, where it was measured."""
    if bundle.manifest.precision_choice is not None:
        for line in choice_lines(bundle.manifest.precision_choice):
            console.say(line)


def _say_profile(bundle: "Bundle") -> None:
    """Say what the reference profile holds, where there is one."""
    if bundle.profile is not None:
        for line in profile_lines(bundle.profile):
            console.say(line)


def _say_labels(bundle: "Bundle") -> None:
    """Say into which languages the classes are translated, and which of them are not."""
    labels = bundle.manifest.labels or {}
    names = bundle.class_names
    for language in sorted({language for texts in labels.values() for language in texts}):
        missing = [name for name in names if language not in labels.get(name, {})]
        rest = f", all but {few(map(quoted, missing))}" if missing else ""
        console.say(f"class names in {language}{rest}")


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
