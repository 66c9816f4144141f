import itertools
import logging
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pipeline.errors import BrokenImage, ImageError, ImageTooLarge, UnsupportedImage
from pipeline.image.decode import decode
from pipeline.image.inspect import inspect
from pipeline.image.limits import ImageLimits
from tests.detectron2_reader import read_image
from tests.images import (
    BOMBS,
    BROKEN,
    FOREIGN,
    HEIGHT,
    ORDINARY,
    WIDTH,
    corrupted,
    encoded,
    exif,
    grey16,
    jpeg,
    jpeg_claiming,
    picture,
    tiff_claiming,
)

LOSSLESS = {"PNG": {}, "TIFF": {}, "BMP": {}, "WEBP": {"lossless": True}}
UPRIGHT = {  # the turn that makes the stored picture upright, as EXIF defines it
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("data", ORDINARY.values(), ids=ORDINARY)
def test_decodes_to_pixels_of_detectron2_reader(data):
    decoded = decode(data)
    assert np.array_equal(decoded.pixels, read_image(data))
    assert inspect(data).agrees_with(decoded.info)
    assert (decoded.info.height, decoded.info.width, 3) == decoded.pixels.shape


@pytest.mark.parametrize("format", LOSSLESS)
def test_pixels_are_bgr_contiguous_and_writable(format):
    pixels = decode(encoded(picture(), format, **LOSSLESS[format])).pixels
    assert np.array_equal(pixels[:, :, ::-1], picture())
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable


@pytest.mark.parametrize(
    ("format", "orientation"), list(itertools.product(["PNG", "TIFF", "WEBP"], UPRIGHT))
)
def test_decodes_every_orientation_upright(format, orientation):
    data = encoded(picture(), format, exif=exif(orientation), **LOSSLESS[format])
    upright = UPRIGHT[orientation](picture())
    assert np.array_equal(decode(data).pixels[:, :, ::-1], upright)
    assert inspect(data).agrees_with(decode(data).info)


@pytest.mark.parametrize("orientation", [0, 9, 99])
def test_ignores_invalid_orientation(orientation):
    info = decode(encoded(picture(), "JPEG", exif=exif(orientation))).info
    assert (info.width, info.height) == (WIDTH, HEIGHT)


def test_ignores_truncated_exif():
    data = encoded(picture(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01")
    assert decode(data).pixels.shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize(
    "data",
    [
        encoded(grey16(), "PNG"),
        encoded(grey16(), "TIFF"),
        encoded(grey16(), "TIFF", compression="tiff_lzw"),
        encoded(
            Image.frombytes("I;16B", (WIDTH, HEIGHT), grey16().astype(">u2").tobytes()), "TIFF"
        ),
    ],
    ids=["PNG", "TIFF", "compressed TIFF", "big-endian TIFF"],
)
def test_scales_16_bit_grey_without_clipping(data):
    expected = (grey16() >> 8).astype(np.uint8)
    assert np.array_equal(decode(data).pixels, np.stack((expected,) * 3, axis=2))


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_ignores_trailing_bytes(format):
    data = encoded(picture(), format)
    assert np.array_equal(decode(data + b"GIF89a trailing").pixels, decode(data).pixels)


@pytest.mark.parametrize(("data", "reason"), BROKEN.values(), ids=BROKEN)
def test_rejects_broken_image_and_names_damage(data, reason):
    with pytest.raises(BrokenImage, match=reason):
        decode(data)


@pytest.mark.parametrize("data", FOREIGN.values(), ids=FOREIGN)
def test_rejects_file_of_other_format(data):
    with pytest.raises(UnsupportedImage, match="JPEG, PNG, TIFF, WEBP, BMP"):
        inspect(data)


def test_rejects_format_that_limits_exclude():
    limits = ImageLimits(formats=("JPEG",))
    assert inspect(jpeg(), limits).format == "JPEG"
    with pytest.raises(UnsupportedImage, match=r"This is a PNG image\. Accepted are JPEG\."):
        inspect(encoded(picture(), "PNG"), limits)


def test_rejects_run_length_encoded_bmp():
    bmp = bytearray(encoded(Image.fromarray(picture()).convert("P"), "BMP"))
    bmp[30] = 1
    with pytest.raises(UnsupportedImage, match="run-length"):
        inspect(bytes(bmp))


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS)
def test_rejects_decompression_bomb_by_its_header(data):
    with pytest.raises(ImageTooLarge, match="pixels"):
        inspect(data)


def test_rejects_too_many_bytes_without_reading_them():
    with pytest.raises(ImageTooLarge, match="bytes"):
        inspect(b"anything", ImageLimits(max_bytes=7))


def test_rejects_tiff_of_enormous_tiles():
    with pytest.raises(ImageTooLarge, match="tiles"):
        inspect(tiff_claiming(WIDTH, HEIGHT, (322, 4, 1, 50_000), (323, 4, 1, 50_000)))


def test_never_logs_name_of_patient(caplog):
    images = [encoded(picture(), format, exif=exif(1)) for format in ("JPEG", "TIFF", "PNG")]
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    for data in images:
        decode(data)
    assert "Jane" not in caplog.text


def test_rejects_second_frame_header():
    frame = jpeg_claiming(64, 64)[2:]
    with pytest.raises(BrokenImage):
        decode(jpeg()[:2] + frame + jpeg()[2:])


def test_messages_contain_no_metadata():
    info = PngInfo()
    info.add_text("Patient", "Jane Doe", zip=True)
    image = encoded(picture(), "PNG", pnginfo=info, exif=exif(1))
    for damaged in (image[:-12], corrupted(image, -20), corrupted(image, 60)):
        with pytest.raises(BrokenImage) as refusal:
            decode(damaged)
        assert "Jane" not in str(refusal.value)
        assert "BytesIO" not in str(refusal.value)


def test_inspect_decodes_no_pixels(monkeypatch):
    def refuse(*args, **options):
        raise AssertionError("Pillow was called")

    monkeypatch.setattr(Image, "open", refuse)
    assert inspect(ORDINARY["palette PNG with alphas"]).format == "PNG"
    assert inspect(ORDINARY["lossy WebP"]).format == "WEBP"


def test_decode_emits_no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for data in ORDINARY.values():
            decode(data)


def test_decode_prints_nothing_for_damaged_metadata(tmp_path):
    damaged = tmp_path / "damaged"
    damaged.write_bytes(encoded(picture(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01"))
    script = (
        "import sys; from pipeline.image.decode import decode; "
        "decode(open(sys.argv[1], 'rb').read())"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, damaged], capture_output=True, check=True, timeout=60
    )
    assert run.stderr == b""


def test_decoding_in_threads_returns_same_pixels():
    images = list(ORDINARY.values()) * 3
    with ThreadPoolExecutor(4) as pool:
        decoded = list(pool.map(decode, images))
    for data, result in zip(images, decoded, strict=True):
        assert np.array_equal(result.pixels, decode(data).pixels)


@settings(deadline=None, max_examples=400, derandomize=True)
@given(
    st.sampled_from(list(ORDINARY.values())),
    st.lists(st.tuples(st.integers(0, 5000), st.binary(min_size=1, max_size=4)), max_size=4),
    st.integers(0, 5000),
)
def test_damaged_files_raise_only_image_errors(data, overwrites, end):
    damaged = bytearray(data)
    for offset, content in overwrites:
        offset %= len(damaged)
        damaged[offset : offset + len(content)] = content
    if end % 4 == 0:
        del damaged[end % len(damaged) :]
    try:
        header = inspect(bytes(damaged))
        decoded = decode(bytes(damaged))
    except ImageError:
        return
    assert header.agrees_with(decoded.info)
    assert decoded.pixels.shape == (decoded.info.height, decoded.info.width, 3)
