"""Test that OpenVINO's suppression keeps the boxes that torchvision's keeps, in its order."""

import numpy as np
import pytest
import torch
from torchvision.ops import batched_nms

from pipeline.engines.openvino.suppression import Suppression

# Of an IoU, as configurations have them; 0.3, 0.7 and 1/3 have no exact float32.
THRESHOLDS = (0.0, 0.25, 0.3, 1 / 3, 0.5, 0.7, 1.0)


@pytest.fixture(scope="module")
def suppression() -> Suppression:
    return Suppression()


def kept_by_torchvision(boxes, scores, groups, threshold) -> np.ndarray:
    tensors = (torch.from_numpy(array) for array in (boxes, scores, groups))
    return batched_nms(*tensors, threshold).numpy()


def boxes_of(random: np.random.Generator, count: int, *, whole: bool) -> np.ndarray:
    corners = random.uniform(0, 300, (count, 2))
    boxes = np.concatenate([corners, corners + random.uniform(1, 120, (count, 2))], axis=1)
    # Overlaps of whole boxes are simple fractions, such as exactly a half.
    return (boxes.round() if whole else boxes).astype(np.float32)


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("seed", range(12))
def test_keeps_boxes_of_torchvision(suppression, seed: int, threshold: float) -> None:
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 900))
    boxes = boxes_of(random, count, whole=seed % 2 == 0)
    scores = random.permutation(count).astype(np.float32) - count / 2
    groups = random.integers(0, 1 + seed % 5, count)
    expected = kept_by_torchvision(boxes, scores, groups, threshold)
    np.testing.assert_array_equal(suppression(boxes, scores, groups, threshold), expected)


@pytest.mark.parametrize("count", [999, 1000, 1001, 3000])
def test_keeps_boxes_of_torchvision_for_each_number_of_boxes(suppression, count: int) -> None:
    random = np.random.default_rng(count)
    boxes = boxes_of(random, count, whole=True)
    scores = random.permutation(count).astype(np.float32)
    groups = random.integers(0, 4, count)
    expected = kept_by_torchvision(boxes, scores, groups, 0.5)
    np.testing.assert_array_equal(suppression(boxes, scores, groups, 0.5), expected)


def test_keeps_first_of_equal_scores(suppression) -> None:
    box = np.array([[0, 0, 10, 10]], dtype=np.float32)
    boxes, scores = np.repeat(box, 5, axis=0), np.full(5, 0.25, dtype=np.float32)
    groups = np.array([0, 0, 1, 1, 0])
    np.testing.assert_array_equal(suppression(boxes, scores, groups, 0.5), [0, 2])


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_keeps_boxes_without_area_as_torchvision(suppression, threshold: float) -> None:
    boxes = np.array([[5, 5, 5, 9], [5, 5, 5, 9], [5, 5, 9, 9], [7, 7, 7, 7]], dtype=np.float32)
    scores, groups = np.array([4, 3, 2, 1], dtype=np.float32), np.zeros(4, dtype=np.int64)
    expected = kept_by_torchvision(boxes, scores, groups, threshold)
    np.testing.assert_array_equal(suppression(boxes, scores, groups, threshold), expected)


def test_keeps_nothing_of_no_boxes(suppression) -> None:
    empty = np.empty((0, 4), dtype=np.float32)
    kept = suppression(empty, empty[:, 0], np.empty(0, dtype=np.int64), 0.5)
    assert kept.shape == (0,)
