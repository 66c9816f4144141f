"""What a replay finds: whether the same image gives the same answer now, and what differs."""

from collections.abc import Iterator, Sequence
from enum import IntEnum
from itertools import accumulate
from typing import Any

from pydantic import Field

from cluster.cli.kept_answer import KeptAnswer
from pipeline.bundle.golden import (
    SCORE_TOLERANCE,
    Agreement,
    agreement_of,
    parts_that_differ,
)
from pipeline.lesion_boxes import box_iou
from pipeline.schema import Schema
from pipeline.schemas import Detection, Prediction

_UNUSED = "not used"  # of a library
# Boxes with less in common are not taken for the same lesion.
_SAME_PLACE = 0.5


class Verdict(IntEnum):
    """The outcome of a replay. The values are the exit statuses of the command."""

    SAME = 0
    DIFFERENT = 1
    UNKNOWN = 3


class Fact(Schema):
    """Something that decides an answer, or is a part of it: what it was, and what it is now.

    None: not kept, or not known.
    """

    name: str
    then: Any
    now: Any

    @property
    def differs(self) -> bool:
        return bool(self.then != self.now)


class LesionDifference(Schema):
    """A lesion that differs: in some parts, or it is missing on one side.

    then, now: the lesion on each side. parts: of class, score, box and mask, those that differ by
    more than the tolerances of the golden cases; empty where it is missing.
    """

    then: Detection | None
    now: Detection | None
    parts: list[str]


class ReplayReport(Schema):
    """The outcome of a replay, with its reason in a sentence.

    image: whether it is the same; None where that was not kept. facts: what decides an answer.
    counts: those numbers of the answer that differ. largest: the largest differences of the lesions
    that are the same.
    """

    verdict: Verdict
    reason: str
    request_id: str
    is_same_image: bool | None
    facts: list[Fact] = Field(default=[])
    counts: list[Fact] = Field(default=[])
    lesions: list[LesionDifference] = Field(default=[])
    largest: dict[str, float] | None = None


def of_another_image(then: KeptAnswer) -> ReplayReport:
    return ReplayReport(
        verdict=Verdict.DIFFERENT,
        reason="this is not the image that was answered, so no model was asked",
        request_id=then.request_id,
        is_same_image=False,
    )


def report_on(
    then: KeptAnswer, prediction: Prediction, *, is_same_image: bool | None
) -> ReplayReport:
    """Return the report on an image that may be the answered one, from what it gives now.

    Raise UnreadableAnswer where the masks of the present answer are damaged.
    """
    now = KeptAnswer.of(prediction)
    counts = list(_differing_counts(then, now))
    lesions: list[LesionDifference] = []
    largest = Agreement()
    if then.lesions is not None and now.lesions is not None:
        lesions, largest = _compared(then.lesions, now.lesions)
    verdict, reason = _verdict(then, now, differs=bool(counts or lesions), image=is_same_image)
    return ReplayReport(
        verdict=verdict,
        reason=reason,
        request_id=then.request_id,
        is_same_image=is_same_image,
        facts=list(_facts(then, now)),
        counts=counts,
        lesions=lesions,
        largest=None if then.lesions is None else _as_numbers(largest),
    )


def _verdict(
    then: KeptAnswer, now: KeptAnswer, *, differs: bool, image: bool | None
) -> tuple[Verdict, str]:
    if then.is_withheld and not now.is_withheld:
        return Verdict.UNKNOWN, (
            "the lesions were withheld then, as the image is not gradable, and are not now"
        )
    if differs and image is None:
        return Verdict.UNKNOWN, (
            "the answer differs, and what was kept does not say whether this is the image"
        )
    if differs:
        return Verdict.DIFFERENT, "the same image gives another answer"
    if then.lesions is None:
        return Verdict.SAME, "the image gives the same numbers; the record holds no more"
    if then.lesions == now.lesions:
        return Verdict.SAME, "the image gives the same answer to the last digit"
    return Verdict.SAME, "the image gives the same answer, within the tolerances of golden cases"


def _facts(then: KeptAnswer, now: KeptAnswer) -> Iterator[Fact]:
    """Yield what decides an answer beside the image and the options, which are those of then."""
    for name in ("name", "version", "bundle_sha256", "engine", "precision", "score_threshold"):
        yield Fact(name=name, then=then.model.get(name), now=now.model.get(name))
    yield Fact(
        name="asked_score_threshold",
        then=then.options.score_threshold,
        now=now.options.score_threshold,
    )
    before, after = then.model.get("software"), now.model.get("software") or {}
    for package in sorted({*(before or {}), *after}):
        was = None if before is None else before.get(package, _UNUSED)
        yield Fact(name=package, then=was, now=after.get(package, _UNUSED))


def _differing_counts(then: KeptAnswer, now: KeptAnswer) -> Iterator[Fact]:
    pairs: dict[str, tuple[object, object]] = {
        "withheld": (then.is_withheld, now.is_withheld),
        "below_threshold": (then.below_threshold, now.below_threshold),
    }
    if then.lesions is not None and then.is_gradable is not None:
        pairs["gradable"] = (then.is_gradable, now.is_gradable)
    for label in sorted({*then.counts, *now.counts}):
        pairs[f"lesions of {label}"] = (then.counts.get(label, 0), now.counts.get(label, 0))
    for name, (before, after) in pairs.items():
        if before != after:
            yield Fact(name=name, then=before, now=after)
    scores = [lesion.score for lesion in now.lesions or ()]
    if then.score_counts and not _are_scores_of(then.score_counts, scores):
        bins = len(then.score_counts)
        places = [min(int(score * bins), bins - 1) for score in scores]
        yield Fact(
            name="scores in tenths",
            then=list(then.score_counts),
            now=[places.count(number) for number in range(bins)],
        )


def _are_scores_of(counts: Sequence[int], scores: Sequence[float]) -> bool:
    """Return whether scores, moved by at most the tolerance, give these counts in equal bins."""
    at_least = list(accumulate(reversed(counts)))[::-1]  # the scores in each bin or a higher one
    for number, count in enumerate(at_least):
        edge = number / len(counts)
        certain = sum(score >= edge + SCORE_TOLERANCE for score in scores)
        possible = sum(score >= edge - SCORE_TOLERANCE for score in scores)
        if not certain <= count <= possible:
            return False
    return True


def _compared(
    then: Sequence[Detection], now: Sequence[Detection]
) -> tuple[list[LesionDifference], Agreement]:
    """Return the lesions that differ, and the largest differences of the others."""
    left = list(now)
    differences, largest = [], Agreement()
    for lesion in then:
        match = max(left, key=lambda other: _likeness(lesion, other), default=None)
        if match is None or box_iou(lesion, match) < _SAME_PLACE:
            differences.append(LesionDifference(then=lesion, now=None, parts=[]))
            continue
        left.remove(match)
        if parts := parts_that_differ(lesion, match):
            differences.append(LesionDifference(then=lesion, now=match, parts=parts))
        else:
            largest = largest.worst(agreement_of(lesion, match))
    differences += [LesionDifference(then=None, now=lesion, parts=[]) for lesion in left]
    return differences, largest


def _likeness(a: Detection, b: Detection) -> tuple[bool, bool, float, float]:
    """Return how well a lesion suits another: place and class first, then the score."""
    iou = box_iou(a, b)
    return iou >= _SAME_PLACE, a.label == b.label, round(iou, 3), -abs(a.score - b.score)


def _as_numbers(agreement: Agreement) -> dict[str, float]:
    return {
        "score": agreement.max_score_difference,
        "box_pixels": agreement.max_box_pixels,
        "mask_iou": agreement.min_mask_iou,
    }
