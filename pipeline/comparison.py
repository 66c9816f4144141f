"""How far the answers of two models on one image agree, lesion by lesion.

Lesions are matched as COCO's evaluation matches detections with annotations (Lin et al. 2014,
`COCOeval.evaluateImg` of pycocotools): by falling score, each takes the free one that it overlaps
most, with an IoU of their boxes of at least 0.5. Lesions of the same class are matched first.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.lesion_boxes import boxes_of, ious
from pipeline.schema import Label, Schema
from pipeline.schemas import Detection, Prediction

MIN_IOU = 0.5
# How much of a score other processors, libraries and float16 may change, as for golden cases.
SCORE_TOLERANCE = 0.02

_Pair = tuple[Detection, Detection, float]


class LesionPair(Schema):
    """One lesion as both models report it."""

    label: Label = Field(description="as the first model has it")
    second_label: Label
    iou: float = Field(description="of both boxes")
    score: float = Field(description="as the first model has it")
    score_delta: float = Field(description="the second model's score less the first one's")
    area_delta: float = Field(
        description="the relative change of the mask's area, or of the box's without masks"
    )


class LoneLesion(Schema):
    """A lesion that one of the models alone reports."""

    label: Label
    score: float


class ImageComparison(Schema):
    """The lesions of two answers on one image.

    A lesion that one model alone reports is borderline, and no difference, where its score is
    within 0.02 of the threshold of the other model, which may have found it just below. The same
    holds for a lesion of two classes where both of its scores are that near.
    """

    agreed: list[LesionPair] = Field(description="with the same class")
    reclassified: list[LesionPair] = Field(description="with another class")
    added: list[LoneLesion] = Field(description="which the second model alone reports")
    lost: list[LoneLesion] = Field(description="which the first model alone reports")
    borderline: int = Field(ge=0, description="lesions whose appearance is within rounding")
    one_withheld: bool = Field(
        description="whether one model alone did not look for lesions, the image being ungradable"
    )

    @property
    def lesions(self) -> int:
        """Return the number of lesions, each of which counts once."""
        return len(self.agreed) + self.borderline + self._different

    @property
    def disagreement(self) -> float:
        """Return the share of lesions that differ, in [0, 1]; 0 where no lesion is reported."""
        if self.one_withheld:
            return 1.0
        return self._different / self.lesions if self.lesions else 0.0

    @property
    def largest_score_delta(self) -> float:
        """Return the largest absolute change of a score, 0 without a pair."""
        return max((abs(pair.score_delta) for pair in self.agreed), default=0.0)

    @property
    def _different(self) -> int:
        return len(self.reclassified) + len(self.added) + len(self.lost)


def compare(
    first: Prediction, second: Prediction, thresholds: tuple[float, float]
) -> ImageComparison:
    """Compare two answers on the same image, asked for with the same score threshold.

    thresholds: the score thresholds of the two models themselves, which the request can only raise.
    """
    asked = first.options.score_threshold or 0.0
    same = (second.image, second.options.score_threshold or 0.0)
    assert (first.image, asked) == same, "they are comparable"
    first_threshold, second_threshold = (max(threshold, asked) for threshold in thresholds)
    agreed, lost, added = _match(first.detections, second.detections, same_class=True)
    others, lost, added = _match(lost, added, same_class=False)
    certainly_lost = [lesion for lesion in lost if not _is_near(lesion, second_threshold)]
    certainly_added = [lesion for lesion in added if not _is_near(lesion, first_threshold)]
    reclassified = [
        pair
        for pair in others
        if not (_is_near(pair[0], second_threshold) and _is_near(pair[1], first_threshold))
    ]
    return ImageComparison(
        agreed=[_pair(*pair) for pair in agreed],
        reclassified=[_pair(*pair) for pair in reclassified],
        added=[_lone(lesion) for lesion in certainly_added],
        lost=[_lone(lesion) for lesion in certainly_lost],
        borderline=len(others)
        - len(reclassified)
        + len(lost)
        - len(certainly_lost)
        + len(added)
        - len(certainly_added),
        one_withheld=first.is_withheld != second.is_withheld,
    )


def _is_near(lesion: Detection, threshold: float) -> bool:
    """Return whether a model with this threshold may report the lesion or not by rounding."""
    return abs(lesion.score - threshold) <= SCORE_TOLERANCE


def _match(
    first: Sequence[Detection], second: Sequence[Detection], *, same_class: bool
) -> tuple[list[_Pair], list[Detection], list[Detection]]:
    """Return the pairs, and the lesions of the first and of the second model without a match."""
    overlaps = ious(boxes_of(first), boxes_of(second))
    if same_class:
        overlaps *= _labels(first)[:, None] == _labels(second)
    pairs: list[_Pair] = []
    lone: list[Detection] = []
    free = np.ones(len(first), np.bool_)
    for column, lesion in enumerate(second):  # by falling score
        of_lesion = np.where(free, overlaps[:, column], 0.0)
        row = int(of_lesion.argmax()) if len(first) else 0
        if len(first) and of_lesion[row] >= MIN_IOU:
            free[row] = False
            pairs.append((first[row], lesion, float(of_lesion[row])))
        else:
            lone.append(lesion)
    return pairs, [lesion for lesion, is_free in zip(first, free, strict=True) if is_free], lone


def _labels(lesions: Sequence[Detection]) -> NDArray[np.str_]:
    return np.array([lesion.label for lesion in lesions], np.str_)


def _pair(first: Detection, second: Detection, iou: float) -> LesionPair:
    before, after = first.box_area, second.box_area
    if first.mask_area and second.mask_area is not None:
        before, after = float(first.mask_area), float(second.mask_area)
    return LesionPair(
        label=first.label,
        second_label=second.label,
        iou=iou,
        score=first.score,
        score_delta=second.score - first.score,
        area_delta=(after - before) / before if before else 0.0,
    )


def _lone(lesion: Detection) -> LoneLesion:
    return LoneLesion(label=lesion.label, score=lesion.score)
