"""The golden cases of a bundle. The gateway imports this module, so it needs no PyTorch."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pycocotools import mask as coco
from pydantic import TypeAdapter, ValidationError

from pipeline.errors import BundleError
from pipeline.lesion_boxes import box_iou
from pipeline.schemas import Detection, Mask, RleMask

if TYPE_CHECKING:
    from pipeline.engines.base import Precision

EXPECTED_FILE = "expected.json"
# Quantization to int8 changes answers by more than the tolerances below, so an int8 engine has
# expectations of its own.
EXPECTED_INT8_FILE = "expected.int8.json"

# The differences that other processors, libraries and float16 may cause in an unchanged finding. In
# a small lesion one pixel is a large share of the area, so a difference in pixels is accepted, too.
SCORE_TOLERANCE = 0.02
MIN_IOU = 0.95
SIDE_TOLERANCE = 1.0  # pixels of the source image by which each side of a box may move
BORDER_TOLERANCE = 0.25  # mask pixels that may differ, per pixel of the box's perimeter

# Each number of a run length ends with a character below "P". pycocotools reads past the end of
# counts whose last number is cut off.
_WHOLE_COUNTS = re.compile("[0-o]*[0-O]")

Expected = TypeAdapter(dict[str, list[Detection]])


@dataclass(frozen=True, slots=True)
class Agreement:
    """The largest differences between the lesions that were found and those that were expected.

    max_box_pixels: of a side of a box, in the source image. Without lesions, or masks, nothing
    differs.
    """

    max_score_difference: float = 0.0
    min_mask_iou: float = 1.0
    max_box_pixels: float = 0.0

    def worst(self, other: "Agreement") -> "Agreement":
        """Return the larger differences of both."""
        return Agreement(
            max(self.max_score_difference, other.max_score_difference),
            min(self.min_mask_iou, other.min_mask_iou),
            max(self.max_box_pixels, other.max_box_pixels),
        )


def expected_file(precision: "Precision") -> str:
    return EXPECTED_INT8_FILE if precision == "int8" else EXPECTED_FILE


def write_golden(
    folder: Path, cases: dict[str, list[Detection]], precision: "Precision" = "float32"
) -> None:
    """Write the expected detections of each image file in the folder, by file name."""
    content = Expected.dump_json(dict(sorted(cases.items())), indent=1)
    (folder / expected_file(precision)).write_bytes(content + b"\n")


def read_golden(
    folder: Path, precision: "Precision" = "float32"
) -> Iterator[tuple[Path, list[Detection]]]:
    """Yield each image file of the folder with its expected detections. Raise BundleError."""
    path = folder / expected_file(precision)
    try:
        cases = Expected.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise BundleError(f"the golden cases cannot be read from {path.name}") from error
    for name, detections in cases.items():
        yield folder / name, detections


def compare(
    case: str, expected: Sequence[Detection], actual: Sequence[Detection], threshold: float
) -> Agreement:
    """Return how far the lesions differ that are in both sequences.

    threshold: the model's own score threshold. A lesion whose score is at most SCORE_TOLERANCE
    above it may be missing or additional. Raise BundleError unless both sequences hold the same
    lesions within the tolerances.
    """
    certain_score = threshold + SCORE_TOLERANCE
    candidates = list(actual)
    agreement = Agreement()
    for lesion in expected:
        match = max(
            (candidate for candidate in candidates if _same_lesion(lesion, candidate)),
            key=lambda candidate: box_iou(lesion, candidate),
            default=None,
        )
        if match is not None:
            candidates.remove(match)
            agreement = agreement.worst(agreement_of(lesion, match))
        elif lesion.score > certain_score:
            raise BundleError(
                f"golden case {case}: {_describe(lesion)} was not found again"
                + _nearest(lesion, candidates)
            )
    for lesion in candidates:
        if lesion.score > certain_score:
            raise BundleError(f"golden case {case}: {_describe(lesion)} was found unexpectedly")
    return agreement


def is_comparable(detections: Iterable[Detection]) -> bool:
    """Return whether every mask, where there is one, is a whole run-length encoding."""
    masks = (detection.mask for detection in detections)
    return all(
        mask is None or (isinstance(mask, RleMask) and _WHOLE_COUNTS.fullmatch(mask.counts))
        for mask in masks
    )


def agreement_of(a: Detection, b: Detection) -> Agreement:
    """Return how far two lesions differ, whose masks are comparable."""
    return Agreement(abs(a.score - b.score), _mask_iou(a, b), _box_distance(a, b))


def parts_that_differ(a: Detection, b: Detection) -> list[str]:
    """Return what of two lesions differs by more than the tolerances: class, score, box, mask."""
    agreements = {
        "class": (a.class_id, a.label) == (b.class_id, b.label),
        "score": _scores_agree(a, b),
        "box": _boxes_agree(a, b),
        "mask": _masks_agree(a, b),
    }
    return [part for part, agrees in agreements.items() if not agrees]


def _same_lesion(a: Detection, b: Detection) -> bool:
    return (
        a.class_id == b.class_id
        and _scores_agree(a, b)
        and _boxes_agree(a, b)
        and _masks_agree(a, b)
    )


def _scores_agree(a: Detection, b: Detection) -> bool:
    return abs(a.score - b.score) <= SCORE_TOLERANCE


def _boxes_agree(a: Detection, b: Detection) -> bool:
    return _box_distance(a, b) <= SIDE_TOLERANCE or box_iou(a, b) >= MIN_IOU


def _box_distance(a: Detection, b: Detection) -> float:
    return max(abs(left - right) for left, right in zip(a.box, b.box, strict=True))


def _masks_agree(a: Detection, b: Detection) -> bool:
    if a.mask is None or b.mask is None:
        return a.mask is b.mask and _areas_agree(a, b)
    if _size(a.mask) != _size(b.mask):
        return False  # pycocotools would find nothing in common, and nothing different
    intersection, union = _overlap(a.mask, b.mask)
    return union - intersection <= max((1 - MIN_IOU) * union, _border(a))


def _areas_agree(a: Detection, b: Detection) -> bool:
    """Return whether the areas agree of masks that were not asked for, or are not predicted."""
    if a.mask_area is None or b.mask_area is None:
        return a.mask_area is b.mask_area
    larger = max(a.mask_area, b.mask_area)
    return abs(a.mask_area - b.mask_area) <= max((1 - MIN_IOU) * larger, _border(a))


def _border(lesion: Detection) -> float:
    """Return how many pixels of its mask may differ along the border."""
    x1, y1, x2, y2 = lesion.box
    return BORDER_TOLERANCE * 2 * (x2 - x1 + y2 - y1)


def _mask_iou(a: Detection, b: Detection) -> float:
    """Return the intersection over union of the masks; 1 where both have no mask, or no pixel."""
    if a.mask is None or b.mask is None:
        return 1.0
    intersection, union = _overlap(a.mask, b.mask)
    return intersection / union if union else 1.0


def _size(mask: Mask) -> tuple[int, int]:
    assert isinstance(mask, RleMask)
    return mask.size


def _overlap(a: Mask, b: Mask) -> tuple[int, int]:
    """Return the areas of the intersection and of the union, in pixels."""
    pair = [a.model_dump(), b.model_dump()]
    intersection, union = (
        int(coco.area(coco.merge(pair, intersect=intersect))) for intersect in (True, False)
    )
    return intersection, union


def _describe(detection: Detection) -> str:
    return f"{detection.label} with score {detection.score:.3f}"


def _nearest(lesion: Detection, candidates: Sequence[Detection]) -> str:
    nearest = max(candidates, key=lambda candidate: box_iou(lesion, candidate), default=None)
    if nearest is None:
        return ""
    return f"; nearest is {_describe(nearest)}, box IoU {box_iou(lesion, nearest):.3f}"
