import numpy as np
import pytest
from PIL import Image

from pipeline.engines.portable.config import read_resize
from pipeline.errors import BrokenImage, UnsupportedConfig
from pipeline.image.resize import Resize


@pytest.mark.parametrize(
    ("edges", "size", "expected"),
    [
        ((800, 1333), (480, 640), (800, 1067)),
        ((800, 1333), (640, 480), (1067, 800)),
        ((800, 1333), (300, 1000), (400, 1333)),
        ((256, 400), (97, 640), (61, 400)),
        ((800, 1333), (800, 800), (800, 800)),
        ((0, 1333), (3000, 4000), (3000, 4000)),
        # Half up, not to even: 5 * 333 / 2 = 832.5.
        ((5, 9999), (2, 333), (5, 833)),
    ],
)
def test_the_shorter_side_grows_until_the_longer_one_is_full(
    edges: tuple[int, int], size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert Resize(*edges, "BGR").output_size(*size) == expected


def test_pixels_are_those_of_pillows_bilinear_filter() -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    found = Resize(32, 100, "BGR")(image)
    wanted = np.asarray(Image.fromarray(image).resize((48, 32), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(found.pixels, wanted)
    assert (found.source_height, found.source_width) == (60, 90)


def test_rgb_models_get_their_channels_turned() -> None:
    image = np.zeros((40, 40, 3), dtype=np.uint8)
    image[..., 0] = 255
    assert Resize(20, 100, "RGB")(image).pixels[0, 0].tolist() == [0, 0, 255]
    assert Resize(0, 100, "RGB")(image).pixels[0, 0].tolist() == [0, 0, 255]
    assert Resize(20, 100, "BGR")(image).pixels[0, 0].tolist() == [255, 0, 0]


def test_the_configuration_fills_in_detectron2s_defaults() -> None:
    assert read_resize({}) == Resize(800, 1333, "BGR")
    assert read_resize({"INPUT": {"FORMAT": "RGB", "MIN_SIZE_TRAIN": [640]}}) == Resize(
        800, 1333, "RGB"
    )


def test_another_colour_space_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedConfig, match="FORMAT = 'L'"):
        read_resize({"INPUT": {"FORMAT": "L"}})


def test_a_strip_whose_width_would_round_to_nothing_is_refused() -> None:
    with pytest.raises(BrokenImage, match="too narrow"):
        Resize(800, 1333, "BGR")(np.zeros((1, 4000, 3), dtype=np.uint8))
