"""Test the mean of a feature map by PyTorch and by NumPy, which have to agree."""

import numpy as np
import pytest
import torch

from pipeline.engines.openvino.embedding import embed as embed_in_numpy
from pipeline.engines.portable.embedding import embed

STRIDE = 8
INPUT_SIZE = (32, 48)  # padded: a map of 4 x 6 cells


def feature_map(channels: int = 3) -> np.ndarray:
    """Return a map (C, h, w) with another value in each cell."""
    height, width = (side // STRIDE for side in INPUT_SIZE)
    values = np.random.default_rng(0).normal(size=(channels, height, width))
    return values.astype(np.float32)


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [
        ((32, 48), 4, 6),
        ((25, 41), 4, 6),
        ((24, 40), 3, 5),
        ((1, 9), 1, 2),
    ],
    ids=["whole", "part of the last cell", "cells of padding", "small"],
)
def test_mean_is_of_cells_that_hold_pixels_of_the_image(size, rows, columns):
    values = feature_map()
    expected = values[:, :rows, :columns].mean(axis=(1, 2))
    values[:, rows:] = values[:, :, columns:] = np.nan  # is not read
    finer = np.zeros((7, len(values)), np.float32)
    cells = np.concatenate([finer, values.reshape(len(values), -1).T])
    by_numpy = embed_in_numpy(cells, size, INPUT_SIZE, STRIDE)
    (by_torch,) = embed(torch.from_numpy(values)[None], torch.tensor([size]), STRIDE).numpy()
    for mean in (by_numpy, by_torch):
        assert mean.dtype == np.float32
        np.testing.assert_allclose(mean, expected, rtol=1e-5, atol=1e-6)


def test_each_image_of_a_batch_has_its_own_area():
    values = torch.from_numpy(feature_map())[None].repeat(2, 1, 1, 1)
    means = embed(values, torch.tensor([[32, 48], [8, 8]]), STRIDE)
    np.testing.assert_allclose(means[0], values[0].mean(dim=(1, 2)), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(means[1], values[1, :, 0, 0])


def test_mean_of_bfloat16_is_summed_in_float32():
    values = torch.full((1, 1, 4, 6), 1.0).bfloat16()
    values[0, 0, 0, 0] = 1.0078125
    (mean,) = embed(values, torch.tensor([INPUT_SIZE]), STRIDE)[:, 0].tolist()
    assert mean == pytest.approx(1 + 0.0078125 / 24, abs=1e-6)
