from collections.abc import Iterator, Sequence
from pathlib import Path

from pycocotools import mask as coco
from pydantic import TypeAdapter

from pipeline.errors import BundleError
from pipeline.schemas import Detection, RleMask

EXPECTED_FILE = "expected.json"

# What other processors, libraries and half precision may change without changing the finding.
SCORE_TOLERANCE = 0.02
MIN_IOU = 0.95

Expected = TypeAdapter(dict[str, list[Detection]])


def write_golden(folder: Path, cases: dict[str, list[Detection]]) -> None:
    """Records, for each image file of the folder, the detections to expect."""
    content = Expected.dump_json(dict(sorted(cases.items())), indent=1)
    (folder / EXPECTED_FILE).write_bytes(content + b"\n")


def read_golden(folder: Path) -> Iterator[tuple[Path, list[Detection]]]:
    """Each image file with the detections expected on it; nothing where the folder is absent."""
    path = folder / EXPECTED_FILE
    if path.is_file():
        for name, detections in Expected.validate_json(path.read_bytes()).items():
            yield folder / name, detections


def compare(
    case: str, expected: Sequence[Detection], found: Sequence[Detection], threshold: float
) -> None:
    """Raises BundleError unless both hold the same lesions within the tolerances.

    threshold: the model's own score threshold. A lesion this near to it may come or go.
    """
    free = list(found)
    for wanted in expected:
        match = next((one for one in free if _same(wanted, one)), None)
        if match is not None:
            free.remove(match)
        elif wanted.score > threshold + SCORE_TOLERANCE:
            raise BundleError(
                f"golden case {case}: the {wanted.label} with score {wanted.score:.3f} "
                "was not found again"
            )
    for extra in free:
        if extra.score > threshold + SCORE_TOLERANCE:
            raise BundleError(
                f"golden case {case}: a {extra.label} with score {extra.score:.3f} was found "
                "that is not expected"
            )


def _same(a: Detection, b: Detection) -> bool:
    return (
        a.class_id == b.class_id
        and abs(a.score - b.score) <= SCORE_TOLERANCE
        and _iou([list(_xywh(a))], [list(_xywh(b))]) >= MIN_IOU
        and _masks_agree(a, b)
    )


def _masks_agree(a: Detection, b: Detection) -> bool:
    if a.mask is None or b.mask is None:
        return a.mask is b.mask
    assert isinstance(a.mask, RleMask)
    assert isinstance(b.mask, RleMask)
    if not a.mask_area and not b.mask_area:
        return True
    return _iou([a.mask.model_dump()], [b.mask.model_dump()]) >= MIN_IOU


def _iou(a: list[object], b: list[object]) -> float:
    return float(coco.iou(a, b, [0])[0][0])


def _xywh(detection: Detection) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = detection.box
    return x1, y1, x2 - x1, y2 - y1
