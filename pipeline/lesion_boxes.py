"""The boxes of an answer's lesions as arrays, and how far they overlap."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.schemas import Detection

Boxes = NDArray[np.float64]


def boxes_of(lesions: Sequence[Detection]) -> Boxes:
    """Return the boxes, (N, 4) XYXY in pixels of the image."""
    return np.array([lesion.box for lesion in lesions], np.float64).reshape(-1, 4)


def ious(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Return the intersections over unions of N boxes and M others, (N, M); 0 for an empty box."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    union = _areas(first)[:, None] + _areas(second)[None, :] - shared
    overlaps: NDArray[np.float64] = np.zeros_like(shared)
    np.divide(shared, union, out=overlaps, where=union > 0)
    return overlaps


def box_iou(first: Detection, second: Detection) -> float:
    """Return the intersection over union of the boxes of two lesions; 0 for empty boxes."""
    return float(ious(boxes_of([first]), boxes_of([second]))[0, 0])


def _areas(boxes: Boxes) -> NDArray[np.float64]:
    areas: NDArray[np.float64] = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return areas
