"""The accuracy by class that a bundle's profile holds."""

import math
from collections.abc import Sequence

import numpy as np

from pipeline.bundle.annotated_images import AnnotatedImages
from pipeline.bundle.annotated_prediction import to_coco
from pipeline.bundle.average_precision import Evaluation, Matches, evaluate
from pipeline.bundle.profile import ClassAccuracy, ProfileAccuracy, Share
from pipeline.schemas import Prediction

# The quantile of the normal distribution for an interval of 95 %.
_Z = 1.959964
# In the matches of an evaluation: the first IoU of its ten is 0.5.
_IOU_50 = 0


def to_accuracy(
    annotated: AnnotatedImages,
    predictions: Sequence[Prediction],
    class_names: Sequence[str],
    *,
    masks: bool,
) -> ProfileAccuracy:
    """Return the accuracy of the answers on the annotated images, which are in the same order."""
    detections = [
        detection
        for place, prediction in enumerate(predictions)
        for detection in to_coco(place, prediction)
    ]
    boxes = evaluate(annotated.document, detections, "bbox")
    of_masks = evaluate(annotated.document, detections, "segm") if masks else None
    box_aps = _average_precisions(boxes)
    mask_aps = [None] * len(box_aps) if of_masks is None else _average_precisions(of_masks)
    weights = np.ones(len(predictions), np.int64)
    return ProfileAccuracy(
        annotations_sha256=annotated.sha256,
        box_ap=_rounded(boxes.average_precision(weights)),
        mask_ap=None if of_masks is None else _rounded(of_masks.average_precision(weights)),
        classes={
            name: _of_class(matches, box_ap, mask_ap)
            for name, matches, box_ap, mask_ap in zip(
                class_names, boxes.classes, box_aps, mask_aps, strict=True
            )
        },
    )


def _average_precisions(evaluation: Evaluation) -> list[float | None]:
    values = (
        matches.average_precision(np.ones(len(matches.annotations), np.int64), evaluation.recalls)
        for matches in evaluation.classes
    )
    return [None if value is None else _rounded(value) for value in values]


def _of_class(matches: Matches, box_ap: float | None, mask_ap: float | None) -> ClassAccuracy:
    right = int(np.count_nonzero(matches.is_true[_IOU_50]))
    wrong = int(np.count_nonzero(matches.is_false[_IOU_50]))
    annotations = int(matches.annotations.sum())
    return ClassAccuracy(
        annotations=annotations,
        detections=right + wrong,
        precision=share(right, right + wrong),
        recall=share(right, annotations),
        box_ap=box_ap,
        mask_ap=mask_ap,
    )


def share(part: int, total: int) -> Share | None:
    """Return the share with its 95 % interval (Wilson 1927), or None of nothing."""
    if total == 0:
        return None
    value = part / total
    weight = _Z**2 / total
    centre = (value + weight / 2) / (1 + weight)
    half = _Z / (1 + weight) * math.sqrt(value * (1 - value) / total + weight / (4 * total))
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return Share(value=_rounded(value), low=_rounded(low), high=_rounded(high), total=total)


def _rounded(value: float) -> float:
    return round(float(value), 4) + 0.0
