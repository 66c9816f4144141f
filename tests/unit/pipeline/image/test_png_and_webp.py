import struct
import zlib
from itertools import cycle, islice

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import BrokenImage
from pipeline.image import png_codec
from pipeline.image.decode import decode
from pipeline.image.inspect import inspect
from tests.detectron2_reader import read_image
from tests.images import (
    PNG_DEPTHS,
    chunk,
    encoded,
    exif,
    noise,
    picture,
    png_of_rows,
    png_passes,
    with_chunk,
)

ONE_FRAME = struct.pack(">II", 1, 0)


def frame_control() -> bytes:
    height, width = picture().shape[:2]
    return struct.pack(">IIIIIHHBB", 0, width, height, 0, 0, 1, 10, 0, 0)


def test_reads_animated_png_of_one_frame():
    still = encoded(picture(), "PNG")
    data = with_chunk(with_chunk(still, b"fcTL", frame_control()), b"acTL", ONE_FRAME)
    assert np.array_equal(decode(data).pixels, read_image(still))
    assert np.array_equal(decode(data).pixels, read_image(data))


def test_rejects_png_whose_frame_is_another_picture():
    still = encoded(picture(), "PNG")
    frame = chunk(b"fcTL", frame_control()) + chunk(b"fdAT", bytes(4) + b"x")
    data = with_chunk(still[:-12] + frame + still[-12:], b"acTL", ONE_FRAME)
    with pytest.raises(BrokenImage, match="animated; one still picture"):
        inspect(data)


def test_reads_png_with_many_uncompressed_texts():
    texts = b"".join(chunk(b"iTXt", b"Comment\0\0\0\0\0%d" % n) for n in range(100))
    data = encoded(picture(), "PNG")
    assert np.array_equal(decode(data[:33] + texts + data[33:]).pixels, read_image(data))


def test_rejects_png_with_many_compressed_texts():
    text = zlib.compress(b"value")
    texts = b"".join(chunk(b"iTXt", b"Comment\0\1\0\0\0" + text) for _ in range(100))
    data = encoded(picture(), "PNG")
    with pytest.raises(BrokenImage, match="expands beyond"):
        inspect(data[:33] + texts + data[33:])


PNG_LAYOUTS = [(colour, bits) for colour in PNG_DEPTHS for bits in PNG_DEPTHS[colour]]


@pytest.mark.parametrize("side", [8, 40, 41])
@pytest.mark.parametrize(("colour", "bits"), PNG_LAYOUTS)
def test_rejects_png_with_missing_rows(colour, bits, side):
    (rows,) = png_passes(56, side, colour, bits, 0)
    image = png_of_rows(56, side, colour, bits, 0, rows)
    assert decode(image).pixels.any()
    for missing in (1, 2, side // 2, side - 1):
        with pytest.raises(BrokenImage, match="cut off"):
            decode(png_of_rows(56, side, colour, bits, 0, rows[:-missing]))


@pytest.mark.parametrize("side", [8, 40, 41])
@pytest.mark.parametrize(("colour", "bits"), PNG_LAYOUTS)
def test_rejects_interlaced_png_with_missing_rows(colour, bits, side):
    passes = png_passes(57, side, colour, bits, 1)
    rows = [row for each in passes for row in each]
    image = png_of_rows(57, side, colour, bits, 1, rows)
    assert decode(image).pixels.any()
    for missing in range(1, 7):
        with pytest.raises(BrokenImage, match="cut off"):
            decode(
                png_of_rows(
                    57, side, colour, bits, 1, [row for each in passes[:-missing] for row in each]
                )
            )
    for missing in (1, 2):
        with pytest.raises(BrokenImage, match="cut off"):
            decode(png_of_rows(57, side, colour, bits, 1, rows[:-missing]))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("filling", ["zeros", "pattern", "inverse"])
@pytest.mark.parametrize("side", [8, 9])
def test_reads_png_whose_last_row_equals_the_filling(mode, filling, side):
    length = 64 * side
    pattern = bytes(islice(cycle(png_codec.PATTERN), length))
    content = {
        "zeros": bytes(length),
        "pattern": pattern,
        "inverse": bytes(byte ^ 0xFF for byte in pattern),
    }
    row = Image.frombytes(mode, (side, 1), content[filling])
    image = Image.new(mode, (side, side))
    if mode == "P":
        image.putpalette(bytes(range(256)) * 3)
    for y in range(side):
        image.paste(row, (0, y))
    data = encoded(image, "PNG")
    if mode == "I;16":
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        assert np.array_equal(decode(data).pixels, grey[..., None].repeat(3, 2))
    else:
        assert np.array_equal(decode(data).pixels, read_image(data))


def one_frame_webp(**options) -> bytes:
    """Return a WebP of VP8X, ANIM and a single ANMF chunk that covers the canvas."""
    simple = encoded(picture(), "WEBP", **options)
    height, width = picture().shape[:2]
    sides = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    frame = bytes(6) + sides + struct.pack("<I", 100)[:3] + b"\0" + simple[12:]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + sides
    body += b"ANIM" + struct.pack("<I", 6) + bytes(6)
    body += b"ANMF" + struct.pack("<I", len(frame)) + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("options", [{}, {"lossless": True}])
def test_reads_animated_webp_of_one_frame(options):
    data = one_frame_webp(**options)
    assert np.array_equal(decode(data).pixels, read_image(data))
    assert np.array_equal(decode(data).pixels, decode(encoded(picture(), "WEBP", **options)).pixels)


def cut_and_padded(data: bytes, share: float, padding: bytes) -> bytes:
    """Return a WebP file whose picture is truncated, and padded to its former size."""
    end = int(len(data) * share)
    return data[:end] + padding * (len(data) - end)


@pytest.mark.parametrize("padding", [b"\0", b"\xff"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("lossless", [True, False])
def test_rejects_webp_that_lost_pixels(padding, share, orientation, lossless):
    smooth = np.asarray(Image.fromarray(noise()).resize((320, 240)))
    data = encoded(smooth, "WEBP", lossless=lossless)
    if orientation != 1:
        data = encoded(smooth, "WEBP", lossless=lossless, exif=exif(orientation))
        metadata = data.index(b"EXIF")
        data = cut_and_padded(data[:metadata], share, padding) + data[metadata:]
    else:
        data = cut_and_padded(data, share, padding)
    with pytest.raises(BrokenImage, match="damaged"):
        decode(data)


def extended_webp(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """Return a WebP of these chunks after a VP8X chunk with every flag of metadata."""
    sides = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    body = b"WEBP"
    for kind, content in ((b"VP8X", b"\x0c\0\0\0" + sides), *chunks):
        body += kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def picture_of(data: bytes) -> bytes:
    return data[20 : 20 + struct.unpack_from("<I", data, 16)[0]]


@pytest.mark.parametrize("kind", [b"EXIF", b"XMP ", b"ICCP", b"JUNK"])
@pytest.mark.parametrize("share", [0.25, 0.5, 0.75, 0.95, 0.995])
@pytest.mark.parametrize("lossless", [True, False])
def test_rejects_truncated_webp_followed_by_metadata(kind, share, lossless):
    smooth = np.asarray(Image.fromarray(noise()).resize((320, 240)))
    simple = encoded(smooth, "WEBP", lossless=lossless)
    coding, content = simple[12:16], picture_of(simple)
    metadata = kind, np.random.default_rng(0).bytes(60_000)
    image = extended_webp(320, 240, (coding, content), metadata)
    assert np.array_equal(decode(image).pixels, decode(simple).pixels)
    cut = content[: int(len(content) * share)]
    with pytest.raises(BrokenImage, match="damaged"):
        decode(extended_webp(320, 240, (coding, cut), metadata))


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_rejects_truncated_webp_of_one_frame(share):
    simple = encoded(noise(), "WEBP")
    content = picture_of(simple)
    content = content[: int(len(content) * share)]
    coded = b"VP8 " + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
    metadata = b"EXIF", np.random.default_rng(0).bytes(60_000)
    inside = metadata[0] + struct.pack("<I", 60_000) + metadata[1]
    frame = bytes(6) + b"\x7f\0\0\x5f\0\0" + b"\x64\0\0\0"
    for parts in ((b"ANMF", frame + coded + inside), (b"ANMF", frame + coded)):
        data = bytearray(extended_webp(128, 96, (b"ANIM", bytes(6)), parts, metadata))
        data[20] |= 2
        with pytest.raises(BrokenImage, match="damaged"):
            decode(bytes(data))


def test_rejects_webp_whose_canvas_differs_from_picture():
    simple = encoded(noise(), "WEBP")
    for width, height in ((129, 96), (128, 95), (96, 128)):
        with pytest.raises(BrokenImage, match="damaged"):
            decode(extended_webp(width, height, (b"VP8 ", picture_of(simple))))


@pytest.mark.parametrize("side", [8, 40])
@pytest.mark.parametrize("colour", [0, 255])
def test_reads_webp_of_few_bytes_without_output(side, colour, capfd):
    flat = np.full((side, side, 3), colour, np.uint8)
    data = encoded(flat, "WEBP", lossless=True, quality=100, method=6)
    assert len(data) <= 32
    assert np.array_equal(decode(data).pixels, flat)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("colour", [0, 77, 255])
@pytest.mark.parametrize("side", [8, 100, 700])
def test_reads_webp_of_uniform_colour(lossless, colour, side):
    flat = np.full((side, side, 3), colour, np.uint8)
    half = flat.copy()
    half[: side // 2] = np.random.default_rng(0).integers(0, 256, (side // 2, side, 3))
    for image in (flat, half):
        data = encoded(image, "WEBP", lossless=lossless)
        assert np.array_equal(decode(data).pixels, read_image(data))


def test_drops_transparency_of_webp_without_blending():
    rgba = np.dstack((picture(), np.arange(56, dtype=np.uint8)[None].repeat(40, 0)))
    for options in ({"lossless": True, "exact": True}, {}):
        data = encoded(rgba, "WEBP", **options)
        assert np.array_equal(decode(data).pixels, read_image(data))
