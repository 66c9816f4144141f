import subprocess
import sys

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.image.quality import measure, reduce
from pipeline.schemas import ImageStatistics

Picture = NDArray[np.uint8]


def tissue(height: int = 240, width: int = 320) -> Picture:
    """A reddish picture with texture at several scales, (H, W, 3) uint8 BGR, from 33 to 210."""
    rng = np.random.default_rng(0)
    field = np.zeros((height, width), np.float32)
    for cells in (6, 24, 96):
        coarse = rng.normal(size=(cells, cells)).astype(np.float32)
        field += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    field = (field - field.min()) / (field.max() - field.min())
    colour = np.array([0.55, 0.6, 1.0]) * (60 + 150 * field[..., None])
    return colour.astype(np.uint8)


def clipped(picture: NDArray[np.float64]) -> Picture:
    return np.clip(picture, 0, 255).astype(np.uint8)


def blurred(picture: Picture, sigma: float) -> Picture:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)


def with_gain(picture: Picture, *gains: float) -> Picture:
    return clipped(picture * np.array(gains if len(gains) == 3 else gains * 3))


def with_glint(picture: Picture, side: int) -> Picture:
    copy = picture.copy()
    copy[:side, :side] = 252
    return copy


def with_noise(picture: Picture, deviation: float) -> Picture:
    grain = np.random.default_rng(1).normal(0, deviation, picture.shape)
    return clipped(picture + np.round(grain))


def with_dark_corners(picture: Picture, strength: float) -> Picture:
    y, x = np.mgrid[-1 : 1 : picture.shape[0] * 1j, -1 : 1 : picture.shape[1] * 1j]
    return clipped(picture * (1 - strength * (x**2 + y**2) / 2)[..., None])


def with_contrast(picture: Picture, share: float) -> Picture:
    return clipped(picture * share + picture.mean() * (1 - share))


CHANGES = {
    "laplacian_variance falls with blur": [blurred(tissue(), sigma) for sigma in (4, 2, 1, 0.5)],
    "tenengrad falls with blur": [blurred(tissue(), sigma) for sigma in (4, 2, 1, 0.5)],
    "sharpness falls with blur": [blurred(tissue(), sigma) for sigma in (4, 2, 1, 0.5)],
    "luma_mean rises with exposure": [with_gain(tissue(), gain) for gain in (0.2, 0.5, 1, 1.5)],
    "bright_share rises with exposure": [with_gain(tissue(), gain) for gain in (1, 2.2, 2.5, 2.8)],
    "dark_share rises with darkness": [with_gain(tissue(), gain) for gain in (0.08, 0.06, 0.04)],
    "glare_share rises with glints": [with_glint(tissue(), side) for side in (0, 10, 40, 120)],
    "contrast rises with contrast": [with_contrast(tissue(), share) for share in (0, 0.3, 0.6, 1)],
    "noise rises with noise": [with_noise(tissue(), deviation) for deviation in (0, 3, 8, 20)],
    "red_stops rises with red": [with_gain(tissue(), 1, 1, gain) for gain in (0.5, 0.8, 1, 1.2)],
    "blue_stops rises with blue": [with_gain(tissue(), gain, 1, 1) for gain in (0.5, 0.8, 1, 1.5)],
    "vignette rises with dark corners": [
        with_dark_corners(tissue(), strength) for strength in (0, 0.3, 0.6, 1)
    ],
}


@pytest.mark.parametrize("change", CHANGES)
def test_statistic_moves_with_what_it_measures(change: str) -> None:
    name = change.split()[0]
    values = [getattr(measure(picture), name) for picture in CHANGES[change]]
    assert values == sorted(values)
    assert len(set(values)) == len(values)


def test_white_balance_is_in_stops() -> None:
    before, after = measure(tissue()), measure(with_gain(tissue(), 1, 1, 0.5))
    assert after.red_stops == pytest.approx(before.red_stops - 1, abs=0.02)
    assert after.blue_stops == before.blue_stops


def test_noise_is_the_deviation_of_added_noise() -> None:
    flat = np.full((300, 300), 128, np.uint8)
    grain = np.round(np.random.default_rng(0).normal(0, 5, flat.shape))
    grey = np.repeat(clipped(flat + grain)[..., None], 3, axis=2)
    assert measure(grey).noise == pytest.approx(5, rel=0.05)


@pytest.mark.parametrize("name", ["sharpness", "contrast", "red_stops", "blue_stops", "vignette"])
def test_statistic_is_the_same_for_a_darker_copy(name: str) -> None:
    before, after = measure(tissue()), measure(with_gain(tissue(), 0.5))
    assert getattr(after, name) == pytest.approx(getattr(before, name), rel=0.2, abs=0.02)


def test_blur_is_told_from_darkness() -> None:
    dark, blurry = measure(with_gain(tissue(), 0.4)), measure(blurred(tissue(), 2))
    assert blurry.sharpness < 0.5 * dark.sharpness
    assert dark.luma_mean < 0.5 * blurry.luma_mean


@pytest.mark.parametrize("level", [0, 128, 255], ids=["black", "grey", "white"])
def test_even_picture_has_no_edge_noise_or_cast(level: int) -> None:
    statistics = measure(np.full((50, 70, 3), level, np.uint8))
    expected = dict.fromkeys(ImageStatistics.model_fields, 0.0) | {
        "shorter_side": 50,
        "luma_mean": float(f"{level / 255:.6g}"),
        "dark_share": float(level == 0),
        "bright_share": float(level == 255),
        "glare_share": float(level == 255),
    }
    assert statistics.model_dump() == expected


@pytest.mark.parametrize(
    ("height", "width"),
    [(1, 1), (1, 2), (2, 1), (3, 3), (1, 5000), (5000, 1), (8, 400), (641, 2), (3, 1279)],
    ids=lambda side: str(side),
)
def test_measures_tiny_and_narrow_pictures(height: int, width: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert measure(picture).shorter_side == min(height, width)


def test_grey_picture_has_no_cast() -> None:
    grey = np.repeat(tissue()[..., :1], 3, axis=2)
    statistics = measure(grey)
    assert (statistics.red_stops, statistics.blue_stops) == (0, 0)


@pytest.mark.parametrize(
    ("size", "reduced"),
    [
        ((480, 640), (480, 640)),
        ((480, 641), (479, 640)),
        ((960, 1280), (480, 640)),
        ((1280, 960), (640, 480)),
        ((1080, 1920), (360, 640)),
        ((3000, 4000), (480, 640)),
        ((100, 100), (100, 100)),
    ],
    ids=str,
)
def test_reduces_to_longest_edge_without_enlarging(
    size: tuple[int, int], reduced: tuple[int, int]
) -> None:
    assert reduce(np.zeros((*size, 3), np.uint8)).shape == (*reduced, 3)


@pytest.mark.parametrize("factor", [2, 3, 7])
def test_larger_picture_of_the_same_scene_has_the_same_statistics(factor: int) -> None:
    small = tissue(480, 640)
    large = np.kron(small, np.ones((factor, factor, 1), np.uint8))
    np.testing.assert_array_equal(reduce(large), small)
    assert measure(large).model_copy(update={"shorter_side": 480}) == measure(small)


def test_picture_is_left_unchanged() -> None:
    picture = tissue()
    picture.setflags(write=False)
    measure(picture)


_WITH_THREADS = """
import sys, cv2, numpy as np
from pipeline.image.quality import measure
cv2.setNumThreads(int(sys.argv[1]))
picture = np.random.default_rng(0).integers(0, 256, (1201, 1603, 3), dtype=np.uint8)
print(measure(picture).model_dump_json())
"""


def test_number_of_threads_changes_nothing() -> None:
    one, four = (
        subprocess.check_output([sys.executable, "-c", _WITH_THREADS, threads])
        for threads in ("1", "4")
    )
    assert one == four
