import numpy as np
import pytest
from pycocotools import mask as coco

from pipeline.lesion_boxes import box_iou, boxes_of, ious
from tests.unit.pipeline.bundle.test_profile import answer


def random_boxes(count: int, seed: int) -> np.ndarray:
    corners = np.random.default_rng(seed).uniform(0, 40, (count, 2, 2))
    return np.sort(corners, axis=1).reshape(count, 4)


def test_overlaps_are_those_of_pycocotools():
    first, second = random_boxes(30, 1), random_boxes(20, 2)
    widths = [np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]) for boxes in (first, second)]
    expected = coco.iou(*widths, [0] * len(second))
    assert ious(first, second) == pytest.approx(expected)
    assert 0 < expected.max() < 1


def test_empty_boxes_and_none_overlap_nothing():
    box, empty = np.array([[1.0, 1, 9, 9]]), np.array([[4.0, 4, 4, 8]])
    assert ious(empty, np.vstack([box, empty])).tolist() == [[0, 0]]
    assert ious(box, np.empty((0, 4))).shape == (1, 0)
    assert boxes_of([]).shape == (0, 4)


def test_overlap_of_two_lesions_is_that_of_their_boxes():
    lesion = answer(0.9).detections[0].model_copy(update={"box": (0, 0, 10, 10)})
    half = lesion.model_copy(update={"box": (0, 5, 10, 15)})
    assert box_iou(lesion, half) == pytest.approx(1 / 3)
    assert box_iou(lesion, lesion) == 1
