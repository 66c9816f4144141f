"""Measure what each precision of a bundle loses and gains on annotated images, on this CPU."""

import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.bundle.annotated_images import AnnotatedImages, CocoImage
from pipeline.bundle.annotated_prediction import OPTIONS, predict_annotated, to_coco
from pipeline.bundle.average_precision import Evaluation, Kind, Weights, evaluate, samples
from pipeline.bundle.bundle import QUANTIZED_FOLDER, Bundle
from pipeline.bundle.precision_choice import (
    Accuracy,
    MeasuredPrecision,
    PrecisionChoice,
    Quartiles,
    choose,
    judge,
)
from pipeline.engines.base import Precision
from pipeline.errors import AnnotationError, BundleError, EngineUnavailable
from pipeline.predictor import LesionPredictor

_PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "int8")
# Of the bootstrap samples' losses: each end is exceeded by one in twenty.
_INTERVAL = (5, 95)

Show = Callable[[str], None]


@dataclass
class Contender:
    """A precision that runs, with what it found and how long it took in each image so far."""

    precision: Precision
    predictor: LesionPredictor
    detections: list[dict[str, Any]] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)

    def run(self, place: int, image: CocoImage, data: bytes) -> None:
        """Predict an image. Raise AnnotationError where it cannot be compared."""
        prediction = predict_annotated(self.predictor, image, data).prediction
        self.detections += to_coco(place, prediction)
        self.ms.append(prediction.timings_ms["predictor"])


def measure_precisions(
    bundle: Bundle, annotated: AnnotatedImages, max_loss: float, show: Show = lambda _: None
) -> PrecisionChoice:
    """Return the fastest precision that loses at most `max_loss` of AP, with all figures.

    `show` takes a line of progress. Raise ModelError where float32 itself cannot be measured.
    """
    threads = len(os.sched_getaffinity(0))
    contenders, rejected = _open(bundle, threads)
    _run(contenders, annotated, show)
    show("comparing the precisions")
    measured = _compare(contenders, annotated, max_loss, masks=bundle.has_masks)
    judged = [judge(item, max_loss) for item in measured] + rejected
    judged.sort(key=lambda item: _PRECISIONS.index(item.precision))
    return PrecisionChoice(
        chosen=choose(judged),
        max_loss=max_loss,
        images=len(annotated.images),
        annotations=annotated.count,
        left_out=annotated.left_out,
        annotations_sha256=annotated.sha256,
        processor=processor_name(),
        threads=threads,
        measured=judged,
    )


def _open(bundle: Bundle, threads: int) -> tuple[list[Contender], list[MeasuredPrecision]]:
    """Return the precisions that run and reproduce their golden cases, and those that do not."""
    contenders: list[Contender] = []
    rejected: list[MeasuredPrecision] = []
    for precision in _PRECISIONS:
        if precision == "int8" and not (bundle.path / QUANTIZED_FOLDER).is_dir():
            continue
        try:
            engine = bundle.load_engine("auto", "cpu", precision, threads)
            bundle.check_golden(engine)
        except (BundleError, EngineUnavailable) as error:
            if precision == "float32":
                raise
            name = contenders[0].predictor.engine.name
            rejected.append(
                MeasuredPrecision(precision=precision, engine=name, rejected=str(error))
            )
        else:
            contenders.append(Contender(precision, bundle.predictor(engine)))
    return contenders, rejected


def _run(contenders: Sequence[Contender], annotated: AnnotatedImages, show: Show) -> None:
    """Run every precision on each image, in turn and in changing order: a slow moment hits all."""
    count = len(annotated.images)
    for place, image in enumerate(annotated.images):
        show(f"measuring the precisions: image {place + 1} of {count}")
        data = annotated.read(image)
        if place == 0:
            for contender in contenders:
                contender.predictor(data, OPTIONS)  # the first run compiles
        for contender in contenders if place % 2 else reversed(contenders):
            contender.run(place, image, data)


def _compare(
    contenders: Sequence[Contender], annotated: AnnotatedImages, max_loss: float, *, masks: bool
) -> list[MeasuredPrecision]:
    """Return the figures of each precision beside those of float32, which comes first."""
    sampled = samples(len(annotated.images))
    boxes = _accuracies(contenders, annotated, "bbox", sampled)
    of_masks: Sequence[Accuracy | None] = [None] * len(contenders)
    if masks:
        of_masks = _accuracies(contenders, annotated, "segm", sampled)
    for kind, accuracy in (("box", boxes[0]), ("mask", of_masks[0])):
        if accuracy is not None and accuracy.ap <= max_loss:
            raise AnnotationError(
                f"the {kind} AP of float32 on these images is {accuracy.ap:.4f}, no more than the "
                f"loss of {max_loss:g} that is allowed; are they annotated images of this model?"
            )
    exact_ms = contenders[0].ms
    return [
        MeasuredPrecision(
            precision=contender.precision,
            engine=contender.predictor.engine.name,
            box=box,
            mask=mask,
            ms=_quartiles(contender.ms),
            relative_time=_quartiles(
                [ms / exact for ms, exact in zip(contender.ms, exact_ms, strict=True)]
            ),
        )
        for contender, box, mask in zip(contenders, boxes, of_masks, strict=True)
    ]


def _accuracies(
    contenders: Sequence[Contender], annotated: AnnotatedImages, kind: Kind, sampled: Weights
) -> list[Accuracy]:
    evaluations = [evaluate(annotated.document, item.detections, kind) for item in contenders]
    return accuracies(evaluations, sampled)


def accuracies(evaluations: Sequence[Evaluation], sampled: Weights) -> list[Accuracy]:
    """Return the AP of each evaluation, and its loss against the first with an interval.

    sampled: (samples, images), how often each bootstrap sample of the images holds each.
    """
    once = np.ones(sampled.shape[1], np.int64)
    exact = [evaluations[0].average_precision(weights) for weights in sampled]
    exact_ap = evaluations[0].average_precision(once)
    results = []
    for evaluation in evaluations:
        ap = evaluation.average_precision(once)
        losses = [
            before - evaluation.average_precision(weights)
            for before, weights in zip(exact, sampled, strict=True)
        ]
        low, high = np.percentile(losses, _INTERVAL)
        figures = {"ap": ap, "loss": exact_ap - ap, "loss_low": low, "loss_high": high}
        results.append(
            Accuracy(**{name: round(float(value), 4) + 0.0 for name, value in figures.items()})
        )
    return results


def _quartiles(values: Sequence[float]) -> Quartiles:
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Quartiles(low=round(low, 4), median=round(median, 4), high=round(high, 4))


def processor_name() -> str:
    """Return the name of this machine's processor, as Linux gives it."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name" and value.strip():
            return value.strip()[:100]
    return platform.machine()
