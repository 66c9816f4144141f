"""Test JPEG files with headers that libjpeg warns of: complete ones are read, others refused."""

import numpy as np
import pytest

from pipeline.errors import BrokenImage
from pipeline.image.decode import decode
from tests.detectron2_reader import read_image
from tests.images import encoded, noise
from tests.jpegs import odd_jpegs, with_scan_bounds

ODD = dict(odd_jpegs(noise()))


@pytest.mark.parametrize("data", ODD.values(), ids=ODD)
def test_reads_jpeg_with_odd_header(data):
    assert np.array_equal(decode(data).pixels, read_image(data))


@pytest.mark.parametrize("data", ODD.values(), ids=ODD)
def test_rejects_odd_jpeg_that_lost_pixels(data):
    half = data.rindex(b"\xff\xda") + (len(data) - data.rindex(b"\xff\xda")) // 2
    late = b"twenty bytes of text" + b"\xff\xd9"
    for lossy in (data[:half] + b"\xff\xd9", data[:-2], data[:-2] + late):
        with pytest.raises(BrokenImage, match=r"lost pixel data|belong to no row|cut off"):
            decode(lossy)


@pytest.mark.parametrize("orientation", [1, 6])
def test_odd_header_does_not_change_orientation(orientation):
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\3\0\0\0\1\0" + bytes([orientation, 0, 0])
    data = with_scan_bounds(encoded(noise(), "JPEG", exif=exif + bytes(4)), b"\0\0\0")
    assert np.array_equal(decode(data).pixels, read_image(data))


@pytest.mark.parametrize("marker", [b"\xff\xd9", b"\xff\xd0"])
def test_rejects_bytes_that_belong_to_no_row(marker):
    data = encoded(noise(), "JPEG", restart_marker_blocks=2)
    at = data.index(marker)
    with pytest.raises(BrokenImage, match=r"holds bytes that belong to no row of pixels"):
        decode(data[:at] + b"\x55" * 9 + data[at:])
