"""Test that pooling by OpenVINO gives the features of torchvision's ROIAlign."""

import numpy as np
import pytest
import torch
from torchvision.ops import roi_align

from pipeline.engines.openvino.pooling import ROIPooler, WeightedSums
from pipeline.engines.portable import roi_heads

CHANNELS = 5


@pytest.fixture(scope="module")
def sums() -> WeightedSums:
    return WeightedSums(CHANNELS)


def feature_map(height: int, width: int) -> np.ndarray:
    random = np.random.default_rng(height * width)
    return random.standard_normal((height, width, CHANNELS)).astype(np.float32)


def cells_of(*maps: np.ndarray) -> np.ndarray:
    return np.concatenate([feature.reshape(-1, CHANNELS) for feature in maps])


def input_size(feature: np.ndarray, stride: int) -> tuple[int, int]:
    return feature.shape[0] * stride, feature.shape[1] * stride


def expected_of(feature, boxes, resolution, stride, ratio, aligned) -> np.ndarray:
    tensor = torch.from_numpy(feature).permute(2, 0, 1)[None].contiguous()
    pooled = roi_align(
        tensor, [torch.from_numpy(boxes)], resolution, 1 / stride, ratio, aligned=aligned
    )
    return pooled.permute(0, 2, 3, 1).numpy()


def boxes_of(count: int, size: float, seed: int = 0) -> np.ndarray:
    """Return boxes in and around a square of `size` pixels, of every shape."""
    random = np.random.default_rng(seed)
    corners = random.uniform(-20, size, (count, 2))
    sides = np.exp(random.uniform(0, np.log(2 * size), (count, 2)))
    return np.concatenate([corners, corners + sides], axis=1).astype(np.float32)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 1, 2, 3])
@pytest.mark.parametrize(("resolution", "stride"), [(7, 4), (14, 8), (3, 16), (1, 32)])
def test_pools_like_torchvision(sums, resolution: int, stride: int, ratio: int, aligned: bool):
    feature, boxes = feature_map(37, 25), boxes_of(200, 37 * stride)
    pooler = ROIPooler(sums, resolution, [stride], ratio, aligned)
    found = pooler(cells_of(feature), input_size(feature, stride), boxes)
    expected = expected_of(feature, boxes, resolution, stride, ratio, aligned)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_box_without_area_is_pooled_like_torchvision(sums):
    feature = feature_map(20, 30)
    boxes = np.array([[8, 8, 8, 8], [40, 0, 40, 30], [-9, -9, -9, -9]], dtype=np.float32)
    for aligned in (True, False):
        pooler = ROIPooler(sums, 7, [4], 0, aligned)
        expected = expected_of(feature, boxes, 7, 4, 0, aligned)
        found = pooler(cells_of(feature), input_size(feature, 4), boxes)
        np.testing.assert_allclose(found, expected, atol=2e-5)


def test_huge_box_is_pooled_like_torchvision(sums):
    """Each of its bins is a sum of more terms than one pass of OpenVINO takes."""
    feature = feature_map(300, 260)
    boxes = np.array([[0, 0, 260, 300], [3, 4, 20, 30]], dtype=np.float32)
    pooler = ROIPooler(sums, 2, [1], 0, True)
    expected = expected_of(feature, boxes, 2, 1, 0, True)
    found = pooler(cells_of(feature), input_size(feature, 1), boxes)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_each_box_is_pooled_from_level_of_its_size(sums):
    strides = (4, 8, 16, 32)
    maps = [feature_map(256 // stride, 320 // stride) for stride in strides]
    boxes = np.concatenate([boxes_of(100, 256, seed=1), [[0, 0, 224, 224], [0, 0, 223.9, 224]]])
    boxes = boxes.astype(np.float32)
    pooler = ROIPooler(sums, 7, strides, 0, True)
    levels = roi_heads.ROIPooler(7, strides, 0, True).levels(torch.from_numpy(boxes)).numpy()
    np.testing.assert_array_equal(pooler.levels(boxes), levels)
    assert set(levels) == {0, 1, 2}
    found = pooler(cells_of(*maps), (256, 320), boxes)
    for level, stride in enumerate(strides):
        (chosen,) = (levels == level).nonzero()
        expected = expected_of(maps[level], boxes[chosen], 7, stride, 0, True)
        np.testing.assert_allclose(found[chosen], expected, atol=2e-5)


def test_no_boxes_are_pooled_to_none(sums):
    pooler = ROIPooler(sums, 7, [4], 0, True)
    empty = np.empty((0, 4), dtype=np.float32)
    assert pooler(cells_of(feature_map(9, 9)), (36, 36), empty).shape == (0, 7, 7, CHANNELS)


@pytest.mark.parametrize("terms", [1, 7, 300, 4095, 4096, 9000, 32767, 32768, 50_000])
def test_sums_are_those_of_numpy_for_each_number_of_terms(sums, terms: int):
    random = np.random.default_rng(terms)
    table = random.standard_normal((50, CHANNELS)).astype(np.float32)
    count = 3 + 60_000 // terms
    rows = random.integers(0, 50, (count, terms), dtype=np.int32)
    weights = random.standard_normal((count, terms)).astype(np.float32)
    bags = [(rows, weights), (rows[:, :1], weights[:, :1])]
    expected = np.concatenate(
        [np.einsum("bt,btc->bc", weights, table[rows]), weights[:, :1] * table[rows[:, 0]]]
    )
    np.testing.assert_allclose(sums(table, bags), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("count", [1023, 1024, 4095, 4096, 8190, 8191, 32767, 32768])
def test_number_of_sums_at_limits_of_passes(sums, count: int):
    table = np.ones((2, CHANNELS), dtype=np.float32)
    rows = np.ones((count, 1), dtype=np.int32)
    weights = np.arange(count, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(sums(table, [(rows, weights)])[:, 0], weights[:, 0])
