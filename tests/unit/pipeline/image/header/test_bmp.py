import struct

import pytest

from pipeline.errors import BrokenImage, ImageTooLarge, UnsupportedImage
from pipeline.image.header.bmp import read_size
from pipeline.image.limits import DEFAULT_LIMITS, ImageLimits


def bmp(
    width: int = 10, height: int = 8, bits: int = 24, coding: int = 0, missing: int = 0
) -> bytes:
    """Return a BMP with a header of 40 bytes, less the last `missing` bytes of its pixels."""
    head = b"BM" + struct.pack("<IHHI", 0, 0, 0, 54)
    head += struct.pack("<IiiHHI", 40, width, height, 1, bits, coding) + bytes(20)
    row = (width * bits + 31) // 32 * 4
    return head + bytes(row * abs(height) - missing)


def core_bmp(width: int = 10, height: int = 8, bits: int = 24, missing: int = 0) -> bytes:
    """Return a BMP of OS/2 with a header of 12 bytes, less the last bytes of its pixels."""
    head = b"BM" + struct.pack("<IHHI", 0, 0, 0, 26)
    head += struct.pack("<IHHHH", 12, width, height, 1, bits)
    row = (width * bits + 31) // 32 * 4
    return head + bytes(row * height - missing)


def read(data: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> tuple[int, int]:
    return read_size(data, limits)


@pytest.mark.parametrize("make", [bmp, core_bmp])
@pytest.mark.parametrize("bits", [1, 4, 8, 16, 24, 32])
@pytest.mark.parametrize("width", [8, 9, 300])
def test_reads_the_size(make, bits: int, width: int):
    assert read(make(width, 11, bits)) == (width, 11)


def test_reads_rows_from_the_top_down():
    assert read(bmp(10, -8)) == (10, 8)


def test_reads_pixels_with_a_mask_of_bits():
    assert read(bmp(bits=32, coding=3)) == (10, 8)


@pytest.mark.parametrize("make", [bmp, core_bmp])
@pytest.mark.parametrize(("width", "bits"), [(8, 1), (9, 4), (10, 24), (40, 32)])
def test_refuses_pixels_that_lack_a_byte(make, width: int, bits: int):
    with pytest.raises(BrokenImage, match="The BMP image is cut off"):
        read(make(width, 8, bits, missing=1))


def test_counts_pixels_from_where_the_header_says():
    data = bytearray(bmp() + bytes(5))
    struct.pack_into("<I", data, 10, 59)
    assert read(bytes(data)) == (10, 8)
    struct.pack_into("<I", data, 10, 60)
    with pytest.raises(BrokenImage, match="The BMP image is cut off"):
        read(bytes(data))


@pytest.mark.parametrize("data", [core_bmp()[:25], bmp()[:25], bmp()[:53]])
def test_refuses_a_header_that_is_cut_off(data: bytes):
    with pytest.raises(BrokenImage, match="The BMP image is cut off"):
        read(data)


def test_reads_a_header_at_its_last_byte():
    with pytest.raises(BrokenImage, match="side of it is 0"):
        read(core_bmp(0, 0))
    with pytest.raises(BrokenImage, match="side of it is 0"):
        read(bmp(0, 0))


@pytest.mark.parametrize("make", [bmp, core_bmp])
@pytest.mark.parametrize("bits", [0, 2, 3, 48])
def test_error_names_bits_that_bmp_does_not_have(make, bits: int):
    with pytest.raises(
        BrokenImage, match=f"has {bits} bits per pixel, which the format does not allow"
    ):
        read(make(bits=bits))


@pytest.mark.parametrize(
    ("coding", "name"),
    [
        (1, "run-length encoded"),
        (2, "run-length encoded"),
        (4, "JPEG-coded"),
        (5, "PNG-coded"),
        (6, "compressed"),
        (1 << 24, "compressed"),
    ],
)
def test_error_names_coding_that_is_not_read(coding: int, name: str):
    with pytest.raises(UnsupportedImage, match=f"BMP image is {name}; only uncompressed BMP"):
        read(bmp(coding=coding))


@pytest.mark.parametrize("make", [bmp, core_bmp])
def test_refuses_more_pixels_than_are_accepted(make):
    with pytest.raises(ImageTooLarge, match="10 x 8 pixels"):
        read(make(), ImageLimits(max_pixels=79))
    assert read(make(), ImageLimits(max_pixels=80)) == (10, 8)
