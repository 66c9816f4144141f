import pytest

from pipeline.errors import BrokenImage, ImageTooLarge
from pipeline.image.header.checks import check_exif, check_parts, check_size, cut_off, u16, u32
from pipeline.image.limits import ImageLimits

LIMITS = ImageLimits(max_pixels=5000, min_side=8, max_aspect=50)


@pytest.mark.parametrize("size", [(8, 8), (8, 400), (400, 8), (100, 50), (50, 100)])
def test_takes_sizes_at_the_limits(size):
    check_size(*size, LIMITS)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1)])
def test_takes_side_of_one_pixel_where_it_is_allowed(size):
    check_size(*size, ImageLimits(min_side=1, max_aspect=50))


@pytest.mark.parametrize(
    ("size", "error", "words"),
    [
        ((5001, 1), ImageTooLarge, "5001 x 1 pixels; at most 5000 are accepted. Scale it down"),
        ((0, 10), BrokenImage, "has no pixels: a side of it is 0"),
        ((10, 0), BrokenImage, "has no pixels: a side of it is 0"),
        ((-1, 10), BrokenImage, "has no pixels"),
        ((7, 100), BrokenImage, "too small: it has 7 x 100 pixels, and each side needs at least 8"),
        ((100, 7), BrokenImage, "too small: it has 100 x 7 pixels"),
        ((8, 401), BrokenImage, "aspect ratio exceeds 50:1: the image has 8 x 401 pixels"),
        ((401, 8), BrokenImage, "aspect ratio exceeds 50:1: the image has 401 x 8 pixels"),
    ],
)
def test_error_names_what_is_wrong_with_size(size, error, words):
    with pytest.raises(error, match=words):
        check_size(*size, LIMITS)


def test_refuses_more_parts_than_real_images_have():
    check_parts(65_536)
    with pytest.raises(BrokenImage, match="has more parts than any real image"):
        check_parts(65_537)


def test_refuses_more_exif_than_real_images_have():
    check_exif(256 * 1024)
    with pytest.raises(BrokenImage, match="262145 bytes of Exif metadata; at most 262144"):
        check_exif(256 * 1024 + 1)


def test_error_names_format_that_is_cut_off():
    assert str(cut_off("PNG")) == (
        "The PNG image is cut off before its end. Export or transfer it again."
    )


def test_reads_unsigned_numbers_of_either_order():
    data = b"\x00\x81\x02\x03\x04"
    assert (u16(data, 1), u16(data, 1, ">")) == (0x0281, 0x8102)
    assert (u32(data, 1), u32(data, 1, ">")) == (0x04030281, 0x81020304)
