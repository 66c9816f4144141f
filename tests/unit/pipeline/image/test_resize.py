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
        # Rounded half up, not half to even: 5 * 333 / 2 = 832.5.
        ((5, 9999), (2, 333), (5, 833)),
    ],
)
def test_output_size_is_bounded_by_longest_edge(
    edges: tuple[int, int], size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert Resize(*edges, "BGR").output_size(*size) == expected


def test_resizes_with_bilinear_filter_of_pillow() -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    model_input = Resize(32, 100, "BGR")(image)
    expected = np.asarray(Image.fromarray(image).resize((48, 32), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(model_input.pixels, expected)
    assert (model_input.source_height, model_input.source_width) == (60, 90)


def test_rgb_models_get_rgb_channels() -> None:
    image = np.zeros((40, 40, 3), dtype=np.uint8)
    image[..., 0] = 255
    assert Resize(20, 100, "RGB")(image).pixels[0, 0].tolist() == [0, 0, 255]
    assert Resize(0, 100, "RGB")(image).pixels[0, 0].tolist() == [0, 0, 255]
    assert Resize(20, 100, "BGR")(image).pixels[0, 0].tolist() == [255, 0, 0]


def test_read_resize_uses_defaults_of_detectron2() -> None:
    assert read_resize({}) == Resize(800, 1333, "BGR")
    assert read_resize({"INPUT": {"FORMAT": "RGB", "MIN_SIZE_TRAIN": [640]}}) == Resize(
        800, 1333, "RGB"
    )


def test_rejects_other_colour_space() -> None:
    with pytest.raises(UnsupportedConfig, match="FORMAT = 'L'"):
        read_resize({"INPUT": {"FORMAT": "L"}})


def test_rejects_image_whose_width_rounds_to_zero() -> None:
    with pytest.raises(BrokenImage, match="too narrow"):
        Resize(800, 1333, "BGR")(np.zeros((1, 4000, 3), dtype=np.uint8))
