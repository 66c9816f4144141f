import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from pipeline.bundle.coco_rle import checked_rle, decode_counts, polygons_to_rle


def encoded(mask: np.ndarray) -> str:
    return coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()


@given(st.integers(0, 2**32), st.sampled_from([(1, 1), (3, 200), (200, 3), (70, 90)]))
def test_text_of_any_mask_is_read_as_pycocotools_writes_it(seed, size):
    random = np.random.default_rng(seed)
    mask = random.random(size) < random.random()
    text = encoded(mask)
    rle = checked_rle(text, size)
    assert rle["counts"].decode() == text
    assert checked_rle(decode_counts(text), size) == rle


@pytest.mark.parametrize(
    "counts",
    ["", "0", "PPPP00000", "!", "é", "`", [], [63], [65], [70, -6], encoded(np.eye(8))[:-3]],
    ids=str,
)
def test_runs_that_do_not_fill_image_are_refused(counts):
    with pytest.raises(ValueError, match="its mask"):
        checked_rle(counts, (8, 8))


def test_polygons_become_one_mask():
    rle = polygons_to_rle([[0, 0, 4, 0, 4, 4, 0, 4], [6, 6, 8, 6, 8, 8, 6, 8]], (8, 8))
    assert coco.area(rle) == 20


@pytest.mark.parametrize("polygon", [[0, 0, 4, 0], [0, 0, 4, 0, 4, 4, 0]])
def test_polygon_of_too_few_or_half_points_is_refused(polygon):
    with pytest.raises(ValueError, match="three points"):
        polygons_to_rle([polygon], (8, 8))
