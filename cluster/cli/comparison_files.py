"""Image files in, and the comparison of two bundles' answers out."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.cli import console
from cluster.cli.comparison_picture import WorstImage, draw_worst
from cluster.cli.comparison_report import ImageReport, Report, Summary
from cluster.cli.images import read_image
from cluster.cli.model_source import MAX_LOCAL_BYTES
from cluster.cli.prediction_files import failure_reason
from cluster.files import write_whole
from pipeline.bundle.bundle import open_bundle
from pipeline.comparison import compare
from pipeline.engines.base import AskedPrecision, EngineName
from pipeline.errors import LesionserveError
from pipeline.predictor import LesionPredictor
from pipeline.schemas import PredictOptions


@dataclass(frozen=True)
class _Model:
    """A bundle's model in this process. threshold: its own."""

    predictor: LesionPredictor
    threshold: float


def compare_files(
    a: Path,
    b: Path,
    paths: Sequence[Path],
    engine: EngineName,
    precision: AskedPrecision,
    out: Path | None,
    worst: int,
) -> tuple[Report, int]:
    """Compare two bundles on each file, and go on after a bad one; return how many were bad.

    The `worst` images go into the picture `out`. Raise ModelError, or OSError where the picture
    cannot be written.
    """
    with console.status("loading the models"):
        models = _open(a, engine, precision), _open(b, engine, precision)
    options = PredictOptions(visualization="none" if out is None else "jpeg")
    reports: list[ImageReport] = []
    pictures: list[tuple[tuple[float, float], int, WorstImage]] = []  # a heap, the least bad first
    failures = 0
    with console.progress(visible=len(paths) > 1) as progress:
        for number, path in enumerate(progress.track(paths, description="comparing")):
            try:
                report, picture = _compare(path, models, options)
            except (LesionserveError, OSError) as error:
                failures += 1
                console.fail(f"{path}: {failure_reason(error, path)}", error)
                continue
            reports.append(report)
            if picture is not None:
                heapq.heappush(pictures, (report.badness, -number, picture))
                pictures = heapq.nlargest(worst, pictures)
                heapq.heapify(pictures)
    if out is not None and pictures:
        drawn = draw_worst([picture for _, _, picture in sorted(pictures, reverse=True)])
        write_whole(out, drawn)
        console.say(f"wrote {out}")
    first, second = (model.predictor.info for model in models)
    return Report(a=first, b=second, summary=Summary.of(reports), images=reports), failures


def _open(path: Path, engine: EngineName, precision: AskedPrecision) -> _Model:
    bundle = open_bundle(path)
    loaded = bundle.load_engine(engine, precision=precision)
    console.remark([*bundle.manifest.remarks, *loaded.remarks])
    return _Model(bundle.predictor(loaded), bundle.score_threshold)


def _compare(
    path: Path, models: tuple[_Model, _Model], options: PredictOptions
) -> tuple[ImageReport, WorstImage | None]:
    """Return the report on one file, and its pictures where they were asked for."""
    data = read_image(path, MAX_LOCAL_BYTES)
    first, second = (model.predictor(data, options) for model in models)
    comparison = compare(first, second, (models[0].threshold, models[1].threshold))
    report = ImageReport.of(str(path), comparison)
    if first.visualization is None or second.visualization is None:
        return report, None
    return report, WorstImage(report, first.visualization, second.visualization)
