from collections.abc import Iterator, Sequence
from pathlib import Path

from pycocotools import mask as coco
from pydantic import TypeAdapter, ValidationError

from pipeline.engines.base import Precision
from pipeline.errors import BundleError
from pipeline.schemas import Detection, Mask, RleMask

EXPECTED_FILE = "expected.json"
# Eight bits change more than the tolerances below allow, so they answer for themselves.
EXPECTED_INT8_FILE = "expected.int8.json"

# What other processors, libraries and float16 may change without changing the finding. Where a
# lesion is small, a pixel is a large part of it: then pixels decide instead of parts.
SCORE_TOLERANCE = 0.02
MIN_IOU = 0.95
SIDE_TOLERANCE = 1.0  # pixels of the source image, for each side of a box
BORDER_TOLERANCE = 0.25  # of the box's perimeter, in pixels of the mask that may differ

Expected = TypeAdapter(dict[str, list[Detection]])


def expected_file(precision: Precision) -> str:
    return EXPECTED_INT8_FILE if precision == "int8" else EXPECTED_FILE


def write_golden(
    folder: Path, cases: dict[str, list[Detection]], precision: Precision = "float32"
) -> None:
    """Records, for each image file of the folder, the detections to expect."""
    content = Expected.dump_json(dict(sorted(cases.items())), indent=1)
    (folder / expected_file(precision)).write_bytes(content + b"\n")


def read_golden(
    folder: Path, precision: Precision = "float32"
) -> Iterator[tuple[Path, list[Detection]]]:
    """Each image file with the detections expected on it. Raises BundleError."""
    path = folder / expected_file(precision)
    try:
        cases = Expected.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise BundleError(f"the golden cases cannot be read from {path.name}") from error
    for name, detections in cases.items():
        yield folder / name, detections


def compare(
    case: str, expected: Sequence[Detection], found: Sequence[Detection], threshold: float
) -> None:
    """Raises BundleError unless both hold the same lesions within the tolerances.

    threshold: the model's own score threshold. A lesion this near to it may come or go.
    """
    certain = threshold + SCORE_TOLERANCE
    free = list(found)
    for wanted in expected:
        match = max(
            (one for one in free if _same(wanted, one)),
            key=lambda one: _box_iou(wanted, one),
            default=None,
        )
        if match is not None:
            free.remove(match)
        elif wanted.score > certain:
            raise BundleError(
                f"golden case {case}: {_describe(wanted)} was not found again"
                + _nearest(wanted, free)
            )
    for extra in free:
        if extra.score > certain:
            raise BundleError(f"golden case {case}: {_describe(extra)} was found unexpectedly")


def _same(a: Detection, b: Detection) -> bool:
    return (
        a.class_id == b.class_id
        and abs(a.score - b.score) <= SCORE_TOLERANCE
        and _boxes_agree(a, b)
        and _masks_agree(a, b)
    )


def _boxes_agree(a: Detection, b: Detection) -> bool:
    moved = max(abs(left - right) for left, right in zip(a.box, b.box, strict=True))
    return moved <= SIDE_TOLERANCE or _box_iou(a, b) >= MIN_IOU


def _masks_agree(a: Detection, b: Detection) -> bool:
    if a.mask is None or b.mask is None:
        return a.mask is b.mask
    x1, y1, x2, y2 = a.box
    border = BORDER_TOLERANCE * 2 * (x2 - x1 + y2 - y1)
    common, either = _overlap(a.mask, b.mask)
    return either - common <= max((1 - MIN_IOU) * either, border)


def _overlap(a: Mask, b: Mask) -> tuple[int, int]:
    """Pixels in both masks, and in either."""
    assert isinstance(a, RleMask)
    assert isinstance(b, RleMask)
    pair = [a.model_dump(), b.model_dump()]
    common, either = (int(coco.area(coco.merge(pair, intersect=both))) for both in (True, False))
    return common, either


def _box_iou(a: Detection, b: Detection) -> float:
    return float(coco.iou([_xywh(a)], [_xywh(b)], [0])[0][0])


def _xywh(detection: Detection) -> list[float]:
    x1, y1, x2, y2 = detection.box
    return [x1, y1, x2 - x1, y2 - y1]


def _describe(one: Detection) -> str:
    return f"{one.label} with score {one.score:.3f}"


def _nearest(wanted: Detection, found: Sequence[Detection]) -> str:
    nearest = max(found, key=lambda one: _box_iou(wanted, one), default=None)
    if nearest is None:
        return ""
    return f"; nearest is {_describe(nearest)}, box IoU {_box_iou(wanted, nearest):.3f}"
