import struct

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import BrokenImage, UnsupportedImage
from pipeline.image.decode import decode
from pipeline.image.inspect import inspect
from tests.detectron2_reader import read_image
from tests.images import encoded, jpeg, noise, picture
from tests.jpegs import segment


def with_frame(marker: int, precision: int = 8) -> bytes:
    """Return a JPEG file whose frame header names another coding or precision."""
    data = bytearray(jpeg())
    at = data.index(b"\xff\xc0")
    data[at + 1], data[at + 4] = marker, precision
    return bytes(data)


@pytest.mark.parametrize(
    ("marker", "name"),
    [(0xC3, "lossless"), (0xC5, "hierarchical"), (0xC9, "arithmetic"), (0xCA, "arithmetic")],
)
def test_rejects_unsupported_coding_by_name(marker, name):
    with pytest.raises(UnsupportedImage, match=f"JPEG image is {name}.*Export it"):
        inspect(with_frame(marker))


@pytest.mark.parametrize("marker", [0xC1, 0xC2])
def test_rejects_samples_of_12_bits(marker):
    with pytest.raises(BrokenImage, match="12 bits per sample; 8 are needed"):
        inspect(with_frame(marker, precision=12))


def test_rejects_too_much_exif():
    many = segment(0xE1, b"Exif\0\0" + bytes(534)) * 600
    with pytest.raises(BrokenImage, match="bytes of Exif metadata"):
        inspect(jpeg()[:2] + many + jpeg()[2:])


def test_reads_exif_and_xmp_of_ordinary_size():
    data = jpeg()[:2] + segment(0xE1, b"Exif\0\0" + bytes(60_000)) + jpeg()[2:]
    xmp = segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(65_000)) * 40
    assert np.array_equal(decode(data[:2] + xmp + data[2:]).pixels, read_image(jpeg()))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_rejects_too_many_scans(mode):
    data = encoded(Image.fromarray(picture()).convert(mode), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    with pytest.raises(BrokenImage, match="more scans than any real image"):
        inspect(data[:-2] + data[last:-2] * 64 + b"\xff\xd9")


def test_rejects_large_progressive_jpeg_with_too_many_scans():
    data = bytearray(encoded(picture(), "JPEG", progressive=True))
    at = data.index(b"\xff\xc2")
    struct.pack_into(">HH", data, at + 5, 7000, 7000)
    last = bytes(data).rindex(b"\xff\xda")
    with pytest.raises(BrokenImage, match="more scans than any real image"):
        inspect(bytes(data[:-2]) + bytes(data[last:-2]) * 30 + b"\xff\xd9")


def test_rejects_component_without_scan():
    # The first two of three scans, each of one component, as `cjpeg -scans` writes them.
    data = encoded(noise(), "JPEG", progressive=True)
    start = data.index(b"\xff\xda")
    baseline = bytearray(data[:start])
    baseline[data.index(b"\xff\xc2") + 1] = 0xC0
    scan = segment(0xDA, bytes([1, 1, 0, 0, 63, 0])) + b"\x00" * 64
    with pytest.raises(BrokenImage, match="scans of it are missing"):
        inspect(bytes(baseline) + scan + b"\xff\xd9")


def test_ignores_second_picture_after_first():
    assert np.array_equal(decode(jpeg() + encoded(noise(), "JPEG")).pixels, read_image(jpeg()))


def test_rejects_turned_picture_that_lost_pixels():
    exif = Image.Exif()
    exif[274] = 6
    data = encoded(noise(), "JPEG", exif=exif)
    with pytest.raises(BrokenImage, match="lost pixel data"):
        decode(data[: len(data) // 2] + b"\xff\xd9")
